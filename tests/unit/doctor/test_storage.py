"""The checks of the disk and of the database file, each both ways."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tallystick.db.reading import SqliteReading
from tallystick.doctor import storage
from tallystick.doctor.finding import Verdict
from tallystick.doctor.place import Place
from tests.unit.doctor.conftest import MakePlace


class Disk:
    """What statvfs says of a disk of a test's making."""

    f_frsize = 4096
    f_files = 1

    def __init__(self, *, free_bytes: int, free_files: int) -> None:
        self.f_bavail = free_bytes // 4096
        self.f_favail = free_files


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "verdict"),
    [
        (50 * 2**30, 1_000_000, Verdict.OK),
        (500 * 2**20, 1_000_000, Verdict.WARN),
        (50 * 2**30, 5_000, Verdict.WARN),
        (20 * 2**20, 1_000_000, Verdict.FAIL),
        (50 * 2**30, 100, Verdict.FAIL),
    ],
)
def test_room_is_measured_in_bytes_and_in_files(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    free_bytes: int,
    free_files: int,
    verdict: Verdict,
) -> None:
    disk = Disk(free_bytes=free_bytes, free_files=free_files)
    monkeypatch.setattr(os, "statvfs", lambda _path: disk)
    found = storage.free_space(place)
    assert found.verdict is verdict
    assert (found.mend is None) == (verdict is Verdict.OK)


def test_a_file_system_without_a_count_of_files_is_not_empty(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk: Any = Disk(free_bytes=50 * 2**30, free_files=0)
    disk.f_files = 0
    monkeypatch.setattr(os, "statvfs", lambda _path: disk)
    assert storage.free_space(place).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("ext4", Verdict.OK),
        ("xfs", Verdict.OK),
        ("nfs4", Verdict.WARN),
        ("fuse.sshfs", Verdict.WARN),
        ("tmpfs", Verdict.WARN),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(
    place_of: MakePlace, tmp_path: Path, kind: str, verdict: Verdict
) -> None:
    mounts = tmp_path / "proc" / "self" / "mountinfo"
    mounts.parent.mkdir(parents=True)
    mounts.write_text(
        "22 1 8:1 / / rw - ext3 /dev/root rw\n"
        f"23 22 0:9 / {tmp_path.resolve()} rw shared:7 - {kind} somewhere rw\n"
        f"24 22 0:9 / {tmp_path.resolve()}-other rw - nfs elsewhere rw\n"
    )
    found = storage.file_system(place_of(proc=tmp_path / "proc"))
    assert found.verdict is verdict
    assert kind in found.found


def test_where_nothing_tells_of_mounts_nothing_is_claimed(
    place_of: MakePlace, tmp_path: Path
) -> None:
    assert "not known" in storage.file_system(place_of(proc=tmp_path / "none")).found


def test_a_whole_database_is_well_and_looking_leaves_no_trace(place: Place) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in place.data_dir.iterdir())
    found = storage.database(place)
    assert found.verdict is Verdict.OK
    assert found.found.endswith("WAL, whole")
    after = sorted((path.name, path.stat().st_mtime_ns) for path in place.data_dir.iterdir())
    assert after == before


def test_a_database_elsewhere_is_not_looked_for_here(place_of: MakePlace) -> None:
    found = storage.database(place_of(url="postgresql+psycopg://u:secret@h/d"))
    assert found.verdict is Verdict.OK
    assert "secret" not in found.found


def test_a_missing_database_fails(place: Place) -> None:
    (place.data_dir / "tally.db").unlink()
    found = storage.database(place)
    assert found.verdict is Verdict.FAIL
    assert "cp BACKUP/tally.db" in str(found.mend)
    assert not (place.data_dir / "tally.db").exists()


@pytest.mark.parametrize(
    ("at", "content"), [(0, bytes(4096)), (3 * 4096, bytes(4096)), (0, b"hello " * 4000)]
)
def test_a_damaged_database_fails(place: Place, at: int, content: bytes) -> None:
    with (place.data_dir / "tally.db").open("r+b") as file:
        file.seek(at)
        file.write(content)
    found = storage.database(place)
    assert found.verdict is Verdict.FAIL
    assert "damaged" in found.found
    assert "BACKUP" in str(found.mend)


def test_a_database_that_left_its_mode_is_told(place: Place) -> None:
    connection = sqlite3.connect(place.data_dir / "tally.db")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    found = storage.database(place)
    assert found.verdict is Verdict.WARN
    assert "not in WAL mode" in found.found


def test_a_log_that_does_not_shrink_is_told(place: Place) -> None:
    with (place.data_dir / "tally.db-wal").open("wb") as log:
        log.truncate(300 * 2**20)
    found = storage.database(place)
    assert found.verdict is Verdict.WARN
    assert "a log of 300 MiB" in found.found
    assert "fuser" in str(found.mend)


def test_a_check_that_would_take_too_long_is_left_and_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteReading, "damage", lambda *_args, **_kwargs: None)
    found = storage.database(place)
    assert found.verdict is Verdict.OK
    assert "too large to check here" in found.found
