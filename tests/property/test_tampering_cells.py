"""Any changed cell of any table of facts is named: every column, in several rows, in many ways.

The tables are laid out anew without types, keys and constraints first, as somebody with the file
in hand can do, so that every change is possible. Tables named `op_…` hold no facts.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Table, text
from sqlalchemy.exc import DBAPIError

from tallystick.db.database import Database, Transaction
from tallystick.db.open import open_database
from tallystick.domain import commands as cm
from tallystick.domain.ids import SYSTEM
from tallystick.ledger import tables as stored
from tallystick.ledger.keys import Signer
from tallystick.projections import audit, tables
from tallystick.projections.audit import AuditReport, verify_database
from tallystick.testing.spine import spine
from tests.unit.projections.history import everything

PROJECTIONS = [t for t in tables.metadata.sorted_tables if not t.name.startswith("op_")]
LEDGER = list(stored.metadata.sorted_tables)
FACTS = [*LEDGER, *PROJECTIONS]
NOT_TEXT = b"\xff"
"""Stored as text, which it cannot be."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A database that holds something of everything, and the same one laid out without rules."""

    right: Path
    loose: Path
    vkey: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory = tmp_path_factory.mktemp("cells")
    with spine(directory) as opened:
        everything(opened)
        while opened.ledger.size < 300:  # so that a tile is full
            publish = cm.PublishProtocol(skill="protocol", sha256=f"{opened.ledger.size:064x}")
            opened.handler.handle(publish, by=SYSTEM)
    right, loose = directory / "tally.db", directory / "loose.db"
    shutil.copy(right, loose)
    with closing(sqlite3.connect(loose)) as connection, connection:
        for table in FACTS:
            lay_out_anew(connection, table)
    return Made(right, loose, Signer.load(directory / "ledger.key").vkey)


def lay_out_anew(connection: sqlite3.Connection, table: Table) -> None:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    connection.execute(f"CREATE TABLE anew ({columns})")
    connection.execute(f'INSERT INTO anew SELECT {columns} FROM "{table.name}"')
    connection.execute(f'DROP TABLE "{table.name}"')
    connection.execute(f'ALTER TABLE anew RENAME TO "{table.name}"')


@pytest.fixture(scope="module")
def pair(made: Made) -> Iterator[tuple[Database, Database]]:
    """What is tampered with, and what is right."""
    loose, right = (open_database(f"sqlite:///{path}") for path in (made.loose, made.right))
    yield loose, right
    loose.close()
    right.close()


def rows_of(table: Table, tx: Transaction) -> list[Row]:
    """Every row as it is stored, with its place in the file."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return [dict(row) for row in tx.fetch(text(f'SELECT rowid, {names} FROM "{table.name}"'))]


def some(rows: list[Row], count: int) -> list[Row]:
    """The first, the last, and rows between."""
    last = len(rows) - 1
    return [rows[at] for at in sorted({last * n // max(1, count - 1) for n in range(count)})]


def others(value: Any, *, boolean: bool) -> Iterator[Any]:
    """Cells that are not `value`, near to it and of other types."""
    if value is None:
        yield from (0, "", "x", b"")
        return
    yield None
    if isinstance(value, int):
        yield from (value + 1, -value - 1, float(value), value + 0.5, str(value))
        if boolean:
            yield from (2, 1 - value)
    elif isinstance(value, str):
        yield from (f"{value}x", f"{value} ", value.swapcase(), value.encode(), value[:-1])
        yield NOT_TEXT
    else:
        yield from (bytes([*value[:-1], value[-1] ^ 1]), value + b"\0", b"", value.hex())


def is_other(new: Any, old: Any) -> bool:
    return type(new) is not type(old) or new != old


def key_of(table: Table, row: Row) -> str:
    """How a problem names a row."""
    if table is stored.entries:
        return f"entry {row['seq']}"
    if table is stored.payloads:
        return f"payload {row['c']}"
    if table is stored.tiles:
        return f"tile {row['level']}/{row['idx']}"
    if table is stored.checkpoints:
        return f"checkpoint of size {row['size']}"
    return f"table {table.name}: row {row['id']}"


class UndoError(Exception):
    """Rolls a change back."""


def undo() -> None:
    raise UndoError


@dataclass(frozen=True)
class Bench:
    """Changes one table at a time, has it judged, and takes the change back."""

    pair: tuple[Database, Database]
    vkey: str

    def problems(self, table: Table, statement: str, values: Row) -> AuditReport:
        loose, right = self.pair
        report = AuditReport()
        with suppress(UndoError), loose.write() as live, right.read() as rebuilt:
            assert live.execute(text(statement), values) == 1
            try:
                if table in PROJECTIONS:
                    audit._compare(table, live, rebuilt, report)
                else:
                    audit._verify(live, report, self.vkey)
            except DBAPIError:
                report.add(str(audit._undecodable(live)))
            undo()
        return report


@pytest.fixture
def bench(pair: tuple[Database, Database], made: Made, monkeypatch: pytest.MonkeyPatch) -> Bench:
    # the tables of the ledger are judged without rebuilding the others each time
    monkeypatch.setattr(audit, "_verify_projections", lambda *_: None)
    return Bench(pair, made.vkey)


def test_every_table_has_rows_to_tamper_with_and_is_right_as_it_is(
    pair: tuple[Database, Database],
) -> None:
    with pair[0].read() as tx:
        for table in FACTS:
            assert rows_of(table, tx), table.name
        for table in PROJECTIONS:
            for column in table.columns:
                assert any(row[column.name] is not None for row in rows_of(table, tx)), column
    for database in pair:
        report = verify_database(database)
        assert report.problems == report.erased == []


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_every_changed_cell_is_named(bench: Bench, table: Table) -> None:
    with bench.pair[0].read() as tx:
        rows = some(rows_of(table, tx), 3 if table in PROJECTIONS else 2)
    for row in rows:
        for column in table.columns:
            old = row[column.name]
            for new in others(old, boolean=isinstance(column.type, Boolean)):
                if not is_other(new, old) or (new is NOT_TEXT and row is not rows[0]):
                    continue
                cast = "CAST(:new AS TEXT)" if new is NOT_TEXT else ":new"
                statement = f'UPDATE "{table.name}" SET "{column.name}" = {cast} WHERE rowid = :at'
                report = bench.problems(table, statement, {"new": new, "at": row["rowid"]})
                where = (table.name, column.name, old, new, report.problems[:1])
                assert report.problems, where
                keys = {key_of(table, row), key_of(table, {**row, column.name: new})}
                if new is NOT_TEXT:
                    keys = {f"table {table.name}: row "}
                if table is stored.tiles and column.primary_key:
                    keys.add("tile ")
                if table is stored.entries and column.name == "seq":
                    keys.add("entry ")
                assert any(report.problems[0].startswith(key) for key in keys), where


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_every_doubled_row_is_named(bench: Bench, table: Table) -> None:
    with bench.pair[0].read() as tx:
        row = some(rows_of(table, tx), 3)[-1]
    statement = f'INSERT INTO "{table.name}" SELECT * FROM "{table.name}" WHERE rowid = :at'
    problems = bench.problems(table, statement, {"at": row["rowid"]}).problems
    assert problems
    if table in PROJECTIONS:
        assert problems[0].startswith(f"table {table.name}: ")
        assert problems[0].endswith("one is doubled")
    elif table is not stored.entries:
        assert problems[0].startswith(key_of(table, row))
    else:
        assert problems[0].startswith(f"entry {row['seq'] + 1}")


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_every_missing_row_is_named(bench: Bench, table: Table) -> None:
    with bench.pair[0].read() as tx:
        row = some(rows_of(table, tx), 3)[-1]
    statement = f'DELETE FROM "{table.name}" WHERE rowid = :at'
    report = bench.problems(table, statement, {"at": row["rowid"]})
    if table is stored.payloads:
        assert report.problems == []
        assert [line.split()[-3] for line in report.erased] == [row["c"]]
    elif table is stored.checkpoints:
        assert report.problems[0].startswith("entry 0 is not signed")
    else:
        assert report.problems[0].startswith(key_of(table, row))


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_every_added_row_is_named(bench: Bench, table: Table) -> None:
    with bench.pair[0].read() as tx:
        row = some(rows_of(table, tx), 3)[-1]
    del row["rowid"]
    for key in table.primary_key:
        row[key.name] = -7 if isinstance(row[key.name], int) else "zzz"
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    report = bench.problems(table, f'INSERT INTO "{table.name}" ({names}) VALUES ({values})', row)
    assert report.problems
    keys = {key_of(table, row), "entry -7" if table is stored.entries else "?"}
    if table is stored.entries:
        keys.add("entry 0 is missing")
    assert any(report.problems[0].startswith(key) for key in keys), report.problems[0]


@pytest.mark.parametrize(
    ("table", "column"), [("runs", "status"), ("entries", "type"), ("payloads", "c"),
                          ("checkpoints", "note"), ("tokens", "id")],
)  # fmt: skip
def test_text_that_is_none_is_named_by_the_whole_verification(
    made: Made, tmp_path: Path, table: str, column: str
) -> None:
    shutil.copy(made.loose, tmp_path / "tally.db")
    with closing(sqlite3.connect(tmp_path / "tally.db")) as connection, connection:
        connection.execute(
            f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT) WHERE rowid IN "
            f"(SELECT min(rowid) FROM {table})"
        )
    database = open_database(f"sqlite:///{tmp_path / 'tally.db'}")
    try:
        problem = verify_database(database).problems[0]
    finally:
        database.close()
    assert problem.startswith(f"table {table}: row ")
    assert problem.endswith(f"column {column} is not UTF-8")
