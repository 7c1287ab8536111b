"""A waiter is woken by hand and by a file that grows, and by nothing else."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.supervisor import growth
from tallystick.supervisor.growth import Growth


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.touch()
    return path


@pytest.fixture
def watched(file: Path) -> Iterator[Growth]:
    growth = Growth([file])
    yield growth
    growth.close()


def elapsed(watched: Growth, seconds: float | None) -> float:
    began = time.monotonic()
    watched.wait(seconds)
    return time.monotonic() - began


def test_it_waits_as_long_as_it_is_told(watched: Growth) -> None:
    assert elapsed(watched, 0.1) >= 0.1


def test_a_wake_up_before_the_wait_counts_once(watched: Growth) -> None:
    watched.wake()
    watched.wake()
    assert elapsed(watched, 30) < 5
    assert elapsed(watched, 0.05) >= 0.05


def test_a_file_that_grows_wakes_but_not_more_than_twice_a_second(
    watched: Growth, file: Path
) -> None:
    with file.open("a") as writer:
        writer.write("x")
    assert 0.4 < elapsed(watched, 30) < 5


def test_a_wake_up_by_hand_does_not_wait_for_the_file(watched: Growth, file: Path) -> None:
    with file.open("a") as writer:
        writer.write("x")
    threading.Timer(0.05, watched.wake).start()
    assert elapsed(watched, 30) < 0.4


def test_without_inotify_it_looks_twice_a_second(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "_inotify", lambda _: None)
    watched = Growth([file])
    assert elapsed(watched, None) < 5
    watched.close()
