"""Bulk inserts of SQLite: a group of rows is one statement, not one for each.

The driver lets go of the interpreter's lock and takes it again at every statement, and a busy event
loop makes it wait each time. Rows that name every column of a table of plain types go to the driver
as they are; all others take SQLAlchemy's road.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, String, Table
from sqlalchemy.exc import DBAPIError

from tallystick.db.database import CoreTransaction, Statements

MOST_ROWS: Final = 32
"""Rows of one statement: more save nothing, and a statement that is kept prepared takes memory."""

_PLAIN_TYPES: Final = frozenset({String, Integer, BigInteger, Boolean, LargeBinary})
"""Columns whose values the driver takes as they are."""


class Bulk:
    """The text of inserts that take several rows at once, built once and reused."""

    def __init__(self) -> None:
        """Nothing is built yet."""
        self._plans: dict[tuple[Table, bool], _Plan | None] = {}

    def plan(self, table: Table, *, replace: bool) -> "_Plan | None":
        """How to insert into `table`; None when its values need SQLAlchemy's conversions."""
        key = (table, replace)
        if key not in self._plans:
            plain = all(type(column.type) in _PLAIN_TYPES for column in table.columns)
            self._plans[key] = _Plan(table, replace=replace) if plain else None
        return self._plans[key]


class _Plan:
    """Inserts into one table, by number of rows."""

    def __init__(self, table: Table, *, replace: bool) -> None:
        self.columns = tuple(column.name for column in table.columns)
        names = _names(self.columns)
        self._head = f'INSERT INTO "{table.name}" ({names}) VALUES '  # noqa: S608 - our own names
        self._row = f"({', '.join('?' * len(self.columns))})"
        self._tail = _on_conflict(table) if replace else ""
        self._texts: dict[int, str] = {}

    def text(self, rows: int) -> str:
        """The statement for so many rows."""
        found = self._texts.get(rows)
        if found is None:
            found = self._head + ", ".join([self._row] * rows) + self._tail
            self._texts[rows] = found
        return found


class SqliteTransaction(CoreTransaction):
    """A Transaction whose bulk inserts are few statements instead of one for each row."""

    __slots__ = ("_bulk",)

    def __init__(self, connection: Connection, statements: Statements, bulk: Bulk) -> None:
        super().__init__(connection, statements)
        self._bulk = bulk

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in bulk; ValueError when their keys differ."""
        if not self._add(table, rows, replace=False):
            super().insert(table, rows)

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace rows in bulk; ValueError when their keys differ or the table has none."""
        if not self._add(table, rows, replace=True):
            super().upsert(table, rows)

    def _add(self, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool) -> bool:
        """Whether the rows were such that plain statements could take them."""
        plan = self._bulk.plan(table, replace=replace) if table.primary_key else None
        if plan is None or any(len(row) != len(plan.columns) for row in rows):
            return False
        try:
            values = [tuple([row[name] for name in plan.columns]) for row in rows]
        except KeyError:
            return False
        raw = driver_of(self._connection)
        done = 0
        while done < len(values):
            # Powers of two: any number of rows is made of a few statements that are kept prepared.
            count = min(1 << (len(values) - done).bit_length() - 1, MOST_ROWS)
            flat = tuple(chain.from_iterable(values[done : done + count]))
            text = plan.text(count)
            try:
                raw.execute(text, flat)
            except sqlite3.Error as error:
                raise DBAPIError.instance(text, None, error, sqlite3.Error) from error
            done += count
        return True


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _on_conflict(table: Table) -> str:
    """Replace the whole row; of two rows with one key in one statement the later wins here."""
    key = [column.name for column in table.primary_key]
    rest = [column.name for column in table.columns if not column.primary_key]
    change = ", ".join(f'"{name}"=excluded."{name}"' for name in rest)
    action = f"UPDATE SET {change}" if rest else "NOTHING"
    return f" ON CONFLICT ({_names(key)}) DO {action}"


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection behind SQLAlchemy's."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - the engines here make these
    return raw
