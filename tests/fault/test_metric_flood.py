"""A run that logs a million points, and one with fifty thousand metrics: memory stays bounded."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually, running_server

ROWS = 250_000
MOST_MIB = 400
"""Resident, of the server and of the process that indexes, each; a parsed flood would be more."""

FLOOD = f"""
import os
with open(os.environ["TALLY_METRICS"], "ab") as file:
    for first in range(0, {ROWS}, 5_000):
        file.write(b"".join(
            b'{{"_step":%d,"a":%d.5,"b":0.25,"c":-1,"d":1e-3}}\\n'
            % (step, 99_999 if step == 123_456 else step % 97)
            for step in range(first, first + 5_000)
        ))
"""

WIDE = """
import os, tallystick
for step in range(3):
    tallystick.log({f"metric/{number}": number + step for number in range(50_000)}, step=step)
"""


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def helper_of(pid: int) -> int:
    """The process that indexes: the child of the server that does so."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += (task / "children").read_text().split()
    for child in children:
        if b"tallystick.store.indexing" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("nobody indexes")


def told(server: ServerProcess, run: str, keys: str, rows: int) -> Any:
    found = server.get(f"/runs/{run}/metrics?keys={keys}")
    assert server.get("/health", token=None)["status"] == "ok"
    return found if found.get("rows") == rows else None


@pytest.mark.timeout(300)
def test_a_million_points_are_all_there_and_nothing_holds_them_in_memory(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        (server.workspace / "flood.py").write_text(FLOOD)
        (server.workspace / "wide.py").write_text(WIDE)
        sweep = server.sweep()
        flood = str(server.run(sweep, f"{sys.executable} flood.py")["id"])
        wide = str(server.run(sweep, f"{sys.executable} wide.py")["id"])
        found = eventually(lambda: told(server, flood, "a,d", ROWS), within_seconds=200)
        assert {"step": 123_456, "value": 99_999.5} in found["metricSeries"]["a"]
        assert (found["sampled"], found["unread_rows"]) == (True, 0)
        assert len(found["metricSeries"]["a"]) <= 2_000
        names = eventually(lambda: told(server, wide, "metric/49999", 3), within_seconds=200)
        assert len(names["metricKeys"]) == 50_000
        assert [point["value"] for point in names["metricSeries"]["metric/49999"]] == [
            49_999, 50_000, 50_001,
        ]  # fmt: skip
        assert server.process is not None
        assert peak_mib(server.process.pid) < MOST_MIB
        assert peak_mib(helper_of(server.process.pid)) < MOST_MIB
