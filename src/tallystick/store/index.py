"""The index of one run's metrics: packed segments in a file beside the raw streams it is made from.

It holds nothing that cannot be read from the streams again, so a damaged or an old one is thrown
away and made anew. indexing.py writes it, one process for all runs; whoever reads it sees one state
of it, whatever is written meanwhile.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tallystick.intake.batch import Number, number, shown
from tallystick.store.columns import Block, unpack

INDEX_FILE: Final = "index.sqlite"
FORMAT: Final = 2
"""Of the tables below; an index of another format is made anew."""

SEGMENT_POINTS: Final = 1_024
NUMBERS: Final = 1 << 24
"""Segments of one series, at most; a segment's id is its series' id times this, plus its number."""

BUSY_SECONDS: Final = 5.0

SCHEMA: Final = f"""
CREATE TABLE source(
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, rows INTEGER NOT NULL,
    unstepped INTEGER NOT NULL, unread INTEGER NOT NULL);
CREATE TABLE series(
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, points INTEGER NOT NULL,
    segments INTEGER NOT NULL, tail INTEGER NOT NULL, last TEXT NOT NULL, reach TEXT NOT NULL,
    UNIQUE(source, name));
CREATE TABLE segment(id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE other(name TEXT PRIMARY KEY);
CREATE TABLE note(
    source TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY(source, kind, name));
PRAGMA user_version = {FORMAT};
"""

Told = Number | str


@dataclass(frozen=True, slots=True)
class Source:
    """One raw stream, as far as it is indexed."""

    name: str
    """Of its file."""
    position: int
    """Bytes."""
    rows: int
    unstepped: int
    unread: int


class Index:
    """One state of one run's index; made by `opened`."""

    def __init__(self, connection: sqlite3.Connection, order: Sequence[str]) -> None:
        """`order` names the streams in the order in which their points follow each other."""
        self._connection = connection
        self._order = {name: place for place, name in enumerate(order)}

    def sources(self) -> list[Source]:
        """The streams that are indexed, in order."""
        rows = self._connection.execute(
            "SELECT name, position, rows, unstepped, unread FROM source"
        ).fetchall()
        return sorted((Source(*row) for row in rows), key=lambda source: self._place(source.name))

    def names(self) -> dict[str, int]:
        """The metrics in the order of their first points, each with how many points it has."""
        rows = self._connection.execute(
            "SELECT name, sum(points) FROM series GROUP BY name ORDER BY min(id)"
        )
        return dict(rows.fetchall())

    def blocks(self, name: str) -> list[Block]:
        """The points of one metric, in order; none for a name that was never logged."""
        found = self._connection.execute(
            "SELECT source, id FROM series WHERE name = ?", [name]
        ).fetchall()
        blocks = []
        for _, series in sorted(found, key=lambda row: self._place(row[0])):
            segments = self._connection.execute(
                "SELECT content FROM segment WHERE id BETWEEN ? AND ? ORDER BY id",
                [series * NUMBERS, (series + 1) * NUMBERS - 1],
            )
            blocks += [unpack(content) for (content,) in segments]
        return blocks

    def latest(self, *, limit: int) -> dict[str, Told]:
        """The last value of each of the first `limit` metrics."""
        return {name: point[1] for name, point in self.last_points(limit=limit).items()}

    def last_points(self, *, limit: int) -> dict[str, tuple[Told, Told, int]]:
        """The last step, value and time of each of the first `limit` metrics.

        What was measured of the processes (`system/…`) is left out: nobody asked for it.
        """
        rows = self._connection.execute(
            "SELECT name, source, last FROM series WHERE name IN (SELECT name FROM series "
            "WHERE name NOT LIKE 'system/%' GROUP BY name ORDER BY min(id) LIMIT ?) ORDER BY id",
            [limit],
        ).fetchall()
        rows.sort(key=lambda row: self._place(row[1]))  # stable: a later stream overrules
        return {name: tuple(orjson.loads(last)) for name, _, last in rows}

    def ranges(self, *, limit: int) -> dict[str, tuple[Told, Told, Told]]:
        """The last, the least and the greatest value of each of the first `limit` metrics.

        NaN is neither least nor greatest, but for a metric that was never anything else.
        """
        rows = self._connection.execute(
            "SELECT name, source, last, reach FROM series WHERE name IN (SELECT name FROM series "
            "GROUP BY name ORDER BY min(name LIKE 'system/%'), min(id) LIMIT ?) ORDER BY id",
            [limit],
        ).fetchall()
        rows.sort(key=lambda row: self._place(row[1]))
        found: dict[str, tuple[Told, Told, Told]] = {}
        for name, _, last, reach in rows:
            value, (low, high) = orjson.loads(last)[1], orjson.loads(reach)
            if name in found:
                low = reached(min, found[name][1], low)
                high = reached(max, found[name][2], high)
            found[name] = (value, low, high)
        return found

    def notes(self, kind: str) -> dict[str, Any]:
        """What is no point, of one kind; what a later stream says overrules."""
        rows = self._connection.execute(
            "SELECT name, source, value FROM note WHERE kind = ? ORDER BY rowid", [kind]
        ).fetchall()
        rows.sort(key=lambda row: self._place(row[1]))
        return {name: orjson.loads(value) for name, _, value in rows}

    def others(self) -> list[str]:
        """Keys that held something else than a number."""
        rows = self._connection.execute("SELECT name FROM other ORDER BY rowid")
        return [name for (name,) in rows]

    def _place(self, source: str) -> int:
        return self._order.get(source, len(self._order))


def reached(choose: Callable[[list[Number]], Number], *ends: Told) -> Told:
    """The least, or the greatest, of ends that may be NaN."""
    known = [value for end in ends if (value := number(end)) is not None and value == value]  # noqa: PLR0124 - NaN
    return shown(choose(known)) if known else "NaN"


@contextmanager
def opened(directory: Path, order: Sequence[str]) -> Iterator[Index | None]:
    """The index in a run's metrics directory; None when there is none, or none that can be read."""
    path = directory / INDEX_FILE
    if not path.exists():
        yield None
        return
    with closing(connect(path)) as connection:
        try:
            usable = format_of(connection) == FORMAT
            connection.execute("PRAGMA query_only = 1")
            connection.execute("BEGIN")
        except sqlite3.DatabaseError:
            usable = False
        yield Index(connection, order) if usable else None


def connect(path: Path) -> sqlite3.Connection:
    """A connection without transactions of its own."""
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def format_of(connection: sqlite3.Connection) -> int:
    """The format that an index says it has; 0 for an empty file."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)
