"""Looking at a SQLite file without a trace: what is seen, what is refused, what is left behind."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select
from sqlalchemy.exc import DBAPIError

from tallystick.db.open import open_database
from tallystick.db.reading import SqliteReading, log_bytes
from tallystick.errors import CorruptLedgerError, UnavailableError

metadata = MetaData()
numbers = Table("numbers", metadata, Column("n", Integer, primary_key=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 100 numbers, closed."""
    database = open_database(f"sqlite:///{tmp_path / 'a db.db'}")
    database.create(metadata)
    with database.write() as tx:
        tx.insert(numbers, [{"n": n} for n in range(100)])
    database.close()
    return tmp_path / "a db.db"


def test_rows_are_read_and_nothing_is_left_behind(path: Path) -> None:
    names = sorted(path.parent.iterdir())
    reading = SqliteReading(path)
    with reading.read() as tx:
        assert len(tx.fetch(select(numbers))) == 100
    assert reading.is_wal()
    assert reading.damage(limit_seconds=10) == []
    assert sorted(path.parent.iterdir()) == names


def test_what_a_writer_has_committed_is_seen_while_it_is_open(path: Path) -> None:
    database = open_database(f"sqlite:///{path}")
    with database.write() as tx:
        tx.insert(numbers, [{"n": 1000}])
    with SqliteReading(path).read() as tx:
        assert len(tx.fetch(select(numbers))) == 101
    assert log_bytes(path) > 0
    database.close()
    assert log_bytes(path) == 0


def test_nothing_can_be_written(path: Path) -> None:
    with pytest.raises((DBAPIError, UnavailableError)), SqliteReading(path).read() as tx:
        tx.insert(numbers, [{"n": 1000}])
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (100,)
    connection.close()


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError),
        SqliteReading(tmp_path / "none.db").read() as tx,
    ):
        tx.fetch(select(numbers))
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    try:
        damage = SqliteReading(path).damage(limit_seconds=10)
    except CorruptLedgerError:
        return
    assert damage


def test_a_check_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    large = tmp_path / "large.db"
    connection = sqlite3.connect(large)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
    connection.execute(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300000) "
        "INSERT INTO t SELECT n, zeroblob(60) FROM c"
    )
    connection.commit()
    connection.close()
    assert SqliteReading(large).damage(limit_seconds=0.0) is None
