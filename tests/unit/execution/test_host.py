"""CPUs and memory of the host."""

import os
from pathlib import Path

import pytest

from tallystick.execution import host


def test_cpus_are_those_that_this_process_may_use() -> None:
    assert host.cpus() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "megabytes"),
    [
        ("MemFree: 1 kB\nMemTotal:       16384 kB\n", 16),
        ("MemTotal:\n", 0),
        ("MemTotal: much kB\n", 0),
        ("", 0),
    ],
)
def test_memory_is_what_the_kernel_says(tmp_path: Path, content: str, megabytes: int) -> None:
    (tmp_path / "meminfo").write_text(content)
    assert host.memory_mb(tmp_path / "meminfo") == megabytes


def test_memory_that_nothing_tells_of_is_not_known(tmp_path: Path) -> None:
    assert host.memory_mb(tmp_path / "none") == 0
    assert host.memory_mb() > 0
