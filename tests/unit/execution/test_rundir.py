"""What a run directory says from outside, whatever state it is in."""

import fcntl
import os
from pathlib import Path

from tallystick.execution import rundir
from tallystick.execution.processes import Pid
from tallystick.wire.bundle import JOURNAL_FILE, LOCK_FILE
from tallystick.wire.journal import line, load
from tallystick.wire.observation import CommandStarted, Ended, Observation, SupervisorStarted

RECORDS: tuple[Observation, ...] = (
    SupervisorStarted(n=1, at=1, pid=2, start_ticks=3, boot_id="b"),
    CommandStarted(n=2, at=1, pid=4, start_ticks=5),
    Ended(n=3, at=1, cause="exited", exit_code=1, detail='"kind":"ended"\n' + "\x01" * 400),
)


def write(directory: Path, records: tuple[Observation, ...], more: bytes = b"") -> int:
    content = b"".join(line(record, attempt="att_1", key="k") for record in records) + more
    return (directory / JOURNAL_FILE).write_bytes(content)


def read_head(directory: Path) -> tuple[Observation | None, Pid | None]:
    return rundir.read_head(directory, attempt="att_1", key="k")


def test_the_lock_is_held_as_long_as_somebody_holds_it(tmp_path: Path) -> None:
    assert not rundir.is_held(tmp_path)
    assert not (tmp_path / LOCK_FILE).exists()
    lock = os.open(tmp_path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    assert not rundir.is_held(tmp_path)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert rundir.is_held(tmp_path)
    os.close(lock)
    assert not rundir.is_held(tmp_path)


def test_the_head_names_who_was_started(tmp_path: Path) -> None:
    assert read_head(tmp_path) == (None, None)
    write(tmp_path, RECORDS[:1], b'{"n":2,')
    assert read_head(tmp_path) == (RECORDS[0], None)
    write(tmp_path, RECORDS)
    assert read_head(tmp_path) == (RECORDS[0], Pid(4, 5))


def test_an_end_is_known_by_the_last_whole_record(tmp_path: Path) -> None:
    assert rundir.journal_bytes(tmp_path) == 0
    size = write(tmp_path, RECORDS)
    assert rundir.journal_bytes(tmp_path) == size
    assert rundir.has_ended(load(tmp_path / JOURNAL_FILE, attempt="att_1", key="k"))
    write(tmp_path, RECORDS[:2], line(RECORDS[2], attempt="att_1", key="k")[:-9])
    assert not rundir.has_ended(load(tmp_path / JOURNAL_FILE, attempt="att_1", key="k"))
    assert not rundir.has_ended(())
