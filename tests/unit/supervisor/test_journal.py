"""The journal is durable before it is told, numbered without gaps, and survives a full disk."""

import errno
import os
from functools import partial
from pathlib import Path

import pytest

from tallystick.supervisor.journal import Journal
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.journal import load
from tallystick.wire.observation import Described, Ended, Observation


def on_disk(directory: Path) -> tuple[Observation, ...]:
    return load(directory / JOURNAL_FILE, attempt=directory.name, key="k")


def ended() -> partial[Ended]:
    return partial(Ended, cause="stop")


def test_records_are_numbered_and_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path, key="k")
    assert journal.note(partial(Described, host="a"), partial(Described, host="b"))
    assert journal.note(ended())
    assert [record.n for record in on_disk(tmp_path)] == [1, 2, 3]
    assert journal.durable() == on_disk(tmp_path)
    assert [record.n for record in journal.durable(after=2)] == [3]
    assert (tmp_path / JOURNAL_FILE).stat().st_mode & 0o777 == 0o600


def test_a_torn_first_record_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b'{"n":1,')
    journal = Journal(tmp_path, key="k")
    assert journal.count == 0
    journal.note(ended())
    assert len(on_disk(tmp_path)) == 1


def test_earlier_records_are_found(tmp_path: Path) -> None:
    assert not Journal(tmp_path, key="k").has_begun
    Journal(tmp_path, key="k").note(ended())
    assert Journal(tmp_path, key="k").has_begun
    assert Journal(tmp_path, key="another").has_begun


@pytest.mark.parametrize("written", [0, 5])
def test_what_a_full_disk_refused_is_told_to_nobody_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    journal = Journal(tmp_path, key="k")
    journal.note(partial(Described, host="before"))
    write, full = os.write, [True]

    def failing(descriptor: int, content: bytes) -> int:
        if full[0]:
            write(descriptor, bytes(content[:written]))
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr("os.write", failing)
    assert not journal.note(partial(Described, host="while"))
    assert not journal.note(ended())
    assert journal.waiting
    assert journal.count == 1
    assert len(on_disk(tmp_path)) == 1
    full[0] = False
    assert journal.flush()
    assert [record.n for record in on_disk(tmp_path)] == [1, 2, 3]


def test_a_failing_fsync_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, key="k")

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", failing)
        assert not journal.note(ended())
        assert journal.durable() == ()
    assert journal.flush()
    assert len(journal.durable()) == 1
