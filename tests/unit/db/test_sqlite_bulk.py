"""Groups of rows as few statements: the same rows as one by one, and no more statements."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, MetaData, String, Table, select
from sqlalchemy.exc import IntegrityError

from tallystick.db.database import CoreTransaction
from tallystick.db.sqlite import SqliteDatabase
from tallystick.db.sqlite_bulk import MOST_ROWS, Bulk, driver_of

METADATA = MetaData()
ROWS = Table(
    "rows",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("word", String, nullable=True),
    Column("done", Boolean, nullable=False, default=False),
    Column("data", LargeBinary),
)
DOCUMENTS = Table("documents", METADATA, Column("id", Integer, primary_key=True), Column("d", JSON))
KEYS = Table("keys", METADATA, Column("id", Integer, primary_key=True))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase(Path(tmp_path_factory.mktemp("bulk")) / "tally.db")
    opened.create(METADATA)
    yield opened
    opened.close()


@pytest.fixture
def empty(database: SqliteDatabase) -> SqliteDatabase:
    with database.write() as tx:
        for table in METADATA.sorted_tables:
            tx.execute(table.delete())
    return database


def row(number: int, word: str | None = "w") -> dict[str, Any]:
    return {"id": number, "word": word, "done": number % 2 == 0, "data": bytes([number % 256])}


def stored(database: SqliteDatabase) -> list[dict[str, Any]]:
    with database.read() as tx:
        return [dict(found) for found in tx.fetch(select(ROWS).order_by(ROWS.c.id))]


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.none() | st.text(st.characters(codec="utf-8"), max_size=5))
    )
)
def test_a_group_leaves_what_its_rows_would_leave_one_by_one(
    database: SqliteDatabase, given_rows: list[tuple[int, str | None]]
) -> None:
    with database.write() as tx:
        tx.execute(ROWS.delete())
        tx.upsert(
            ROWS, [row(number, word) for number, word in given_rows if "\0" not in (word or "")]
        )
    expected = {
        number: row(number, word) for number, word in given_rows if "\0" not in (word or "")
    }
    assert stored(database) == [expected[number] for number in sorted(expected)]


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 100])
def test_a_group_is_a_few_statements(empty: SqliteDatabase, count: int) -> None:
    said: list[str] = []
    with empty.write() as tx:
        assert isinstance(tx, CoreTransaction)
        driver_of(tx._connection).set_trace_callback(said.append)
        tx.insert(ROWS, [row(number) for number in range(count)])
        driver_of(tx._connection).set_trace_callback(None)
    assert len(said) <= count // MOST_ROWS + MOST_ROWS.bit_length()
    assert len(stored(empty)) == count


def test_rows_that_leave_a_column_out_get_its_default(empty: SqliteDatabase) -> None:
    with empty.write() as tx:
        tx.insert(ROWS, [{"id": 1}, {"id": 2}])
    assert [found["done"] for found in stored(empty)] == [False, False]


def test_a_table_whose_values_need_conversion_gets_it(empty: SqliteDatabase) -> None:
    assert Bulk().plan(DOCUMENTS, replace=True) is None
    with empty.write() as tx:
        tx.upsert(DOCUMENTS, [{"id": 1, "d": {"a": [1]}}])
    with empty.read() as tx:
        assert tx.fetch(select(DOCUMENTS))[0]["d"] == {"a": [1]}


def test_a_table_that_is_all_key_takes_the_same_row_twice(empty: SqliteDatabase) -> None:
    for _ in range(2):
        with empty.write() as tx:
            tx.upsert(KEYS, [{"id": 1}, {"id": 2}, {"id": 1}])
    with empty.read() as tx:
        assert len(tx.fetch(select(KEYS))) == 2


def test_a_broken_constraint_is_what_it_is_on_every_road(empty: SqliteDatabase) -> None:
    with pytest.raises(IntegrityError), empty.write() as tx:
        tx.insert(ROWS, [row(1), row(1)])
    assert stored(empty) == [], "and nothing of the group remains"


def test_the_names_of_the_first_row_are_demanded_of_all(empty: SqliteDatabase) -> None:
    with pytest.raises(ValueError, match="differ in their keys"), empty.write() as tx:
        tx.insert(ROWS, [row(1), {"id": 2}])
