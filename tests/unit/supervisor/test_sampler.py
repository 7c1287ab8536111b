"""What the processes of a run use, sampled from /proc."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tallystick.supervisor import sampler
from tallystick.supervisor.sampler import Sampler
from tallystick.testing.server import eventually

BUSY = """
import os, sys, time
held = bytearray(os.urandom(1024)) * 60_000
end = time.monotonic() + 60
while time.monotonic() < end:
    pass
"""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_busy_process_shows_in_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "system.jsonl"
    sampling = Sampler(path, every_seconds=0.2)
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        try:
            sampling.start()
            found = eventually(
                lambda: [
                    row
                    for row in rows(path)
                    if row["system/memory_mb"] > 60 and row["system/cpu_percent"] > 20
                ]
            )
        finally:
            child.kill()
    sampling.finish()
    assert found[0]["system/processes"] >= 1
    assert found[0]["_timestamp"] > 1e9
    assert {"system/read_mb", "system/written_mb", "system/received_mb", "system/sent_mb"} <= set(
        found[0]
    )
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_end_is_not_held_up(tmp_path: Path) -> None:
    sampling = Sampler(tmp_path / "system.jsonl", every_seconds=1_000)
    sampling.start()
    started = time.monotonic()
    sampling.finish()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("every", [0.0, -1.0])
def test_it_can_be_switched_off(tmp_path: Path, every: float) -> None:
    sampling = Sampler(tmp_path / "system.jsonl", every_seconds=every)
    sampling.start()
    sampling.join(10)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "system.jsonl").mkdir()
    sampling = Sampler(tmp_path / "system.jsonl", every_seconds=0.01)
    sampling.start()
    eventually(sampling.is_alive)
    sampling.finish()


def test_processes_that_are_gone_count_for_nothing() -> None:
    assert sampler.resident_bytes(2**22 + 1) == 0
    assert sampler.disk_bytes(2**22 + 1) is None
    assert sampler.cpu_seconds([2**22 + 1]) >= 0
