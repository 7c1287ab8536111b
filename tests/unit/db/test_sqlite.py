"""What is particular to the database in a file."""

import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, func, select, text
from sqlalchemy.exc import IntegrityError

from tallystick.db import sqlite
from tallystick.db.sqlite import SqliteDatabase
from tallystick.errors import CorruptLedgerError, UnavailableError

METADATA = MetaData()
ROWS = Table(
    "rows",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tally.db"


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(path)
    opened.create(METADATA)
    yield opened
    opened.close()


def rows(database: SqliteDatabase) -> int:
    with database.read() as tx:
        return int(tx.fetch(select(func.count().label("n")).select_from(ROWS))[0]["n"])


def test_only_the_owner_may_read_the_files(database: SqliteDatabase, path: Path) -> None:
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1, "data": b"secret"}])
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"tally.db": 0o600, "tally.db-wal": 0o600, "tally.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_closing_leaves_one_file_that_holds_everything(
    database: SqliteDatabase, path: Path
) -> None:
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1}])
    database.close()
    assert [each.name for each in path.parent.iterdir()] == ["tally.db"]


def test_writes_are_logged_ahead_and_reach_the_disk_before_commit_returns(
    database: SqliteDatabase,
) -> None:
    def setting(tx: object, name: str) -> object:
        (row,) = tx.fetch(text(f"PRAGMA {name}"))  # type: ignore[attr-defined]
        return next(iter(row.values()))

    with database.write() as tx:
        assert setting(tx, "journal_mode") == "wal"
        assert setting(tx, "synchronous") == 2  # FULL
        assert setting(tx, "busy_timeout") == 5000
    with database.read() as tx:
        assert setting(tx, "query_only") == 1


def test_a_replacing_insert_does_not_slip_past_append_only(database: SqliteDatabase) -> None:
    database.create(METADATA, append_only=[ROWS])
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1, "data": b"true"}])
    with pytest.raises(IntegrityError, match="append-only"), database.write() as tx:
        tx.execute(text("INSERT OR REPLACE INTO rows (id, data) VALUES (1, 'forged')"))


def test_a_second_opener_in_this_process_does_not_drop_the_locks_of_the_first(
    database: SqliteDatabase, path: Path
) -> None:
    # Closing any descriptor of the file drops this process's POSIX locks on it; the next process
    # to leave would then take itself for the last one, and delete the log under our feet.
    SqliteDatabase(path).close()
    visit = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"
    )
    subprocess.run([sys.executable, "-c", visit, path, "SELECT count(*) FROM rows"], check=True)
    assert path.with_name("tally.db-wal").exists()
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1}])
    assert rows(database) == 1


def test_a_full_disk_is_unavailable_and_undoes_the_block(database: SqliteDatabase) -> None:
    with database.write() as tx:
        tx.fetch(text("PRAGMA max_page_count = 20"))
    with pytest.raises(UnavailableError) as caught, database.write() as tx:
        tx.insert(ROWS, [{"id": n, "data": bytes(4000)} for n in range(100)])
    assert caught.value.code == "storage_full"
    assert rows(database) == 0
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1}])


def test_a_commit_that_fails_is_unavailable_and_undoes_the_block(
    database: SqliteDatabase, path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = path.with_name("tally.db-wal")

    def write() -> None:
        with database.write() as tx:
            tx.insert(ROWS, [{"id": n, "data": bytes(4000)} for n in range(100)])
            resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 4096, hard))

    try:
        with pytest.raises(UnavailableError) as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code in {"storage_full", "storage_failed"}
    assert rows(database) == 0
    with database.write() as tx:
        tx.insert(ROWS, [{"id": 1}])
    assert rows(database) == 1


def test_a_file_that_is_no_database_is_corrupt(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"These are the accounts of another program.\n" * 200)
    with pytest.raises(CorruptLedgerError) as caught:
        SqliteDatabase(path)
    assert caught.value.code == "database_corrupt"
    assert caught.value.facts["path"] == str(path)


def test_a_damaged_page_is_corrupt(database: SqliteDatabase, path: Path) -> None:
    with database.write() as tx:
        tx.insert(ROWS, [{"id": n, "data": bytes(1000)} for n in range(500)])
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    again = SqliteDatabase(path)
    try:
        with pytest.raises(CorruptLedgerError):
            rows(again)
        with pytest.raises(CorruptLedgerError), again.write() as tx:
            tx.insert(ROWS, [{"id": 501}])
    finally:
        again.close()


@pytest.mark.parametrize("where", ["directory", "below a file"])
def test_a_path_that_cannot_be_a_file_is_a_storage_failure(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path if where == "directory" else tmp_path / "file" / "tally.db"
    with pytest.raises(UnavailableError) as caught:
        SqliteDatabase(path)
    assert caught.value.code == "storage_failed"


def test_a_file_system_without_a_write_ahead_log_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A database in rollback mode, and a switch that SQLite answers without making it.
    monkeypatch.setattr(sqlite, "_WAL", "PRAGMA journal_mode")
    with pytest.raises(UnavailableError) as caught:
        SqliteDatabase(path)
    assert caught.value.code == "storage_failed"
    assert "network" in (caught.value.hint or "")


def test_opening_waits_for_a_stranger_who_holds_a_new_file(path: Path) -> None:
    path.parent.mkdir()
    stranger = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    stranger.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnavailableError) as caught:
        SqliteDatabase(path, busy_timeout_seconds=0.05)
    assert caught.value.code == "database_busy"
    release = threading.Timer(0.1, stranger.close)
    release.start()
    SqliteDatabase(path).close()
    release.join()


def test_an_exception_of_the_caller_passes_as_it_is(database: SqliteDatabase) -> None:
    for block in (database.write, database.read):
        with pytest.raises(OSError, match="mine"), block():
            raise OSError("mine")
