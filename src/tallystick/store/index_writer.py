"""Adds what readers found to one run's index; each piece of a stream in one transaction.

How far a stream was read and what was read of it change together, so a writer that dies anywhere
leaves an index that can be gone on from.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tallystick.intake.batch import Batch, Column, Number, shown
from tallystick.store.columns import Block, blocks_of, joined, pack, unpack
from tallystick.store.index import (
    FORMAT,
    INDEX_FILE,
    NUMBERS,
    SCHEMA,
    SEGMENT_POINTS,
    Source,
    Told,
    connect,
    format_of,
    reached,
)

_NOWHERE = '["NaN","NaN"]'
_BESIDE = ("", "-wal", "-shm", "-journal")


@dataclass(slots=True)
class _Tail:
    """Where the next points of a series go."""

    id: int
    points: int
    segments: int
    tail: int
    """Points of its last segment."""
    reach: tuple[Told, Told]
    """Its least and its greatest value."""


class IndexWriter:
    """One run's index, open for adding; one at a time."""

    def __init__(self, directory: Path) -> None:
        """Open the index in a run's metrics directory; one that cannot be used is made anew."""
        self._path = directory / INDEX_FILE
        try:
            self.connection = _open(self._path)
        except sqlite3.DatabaseError:
            remove(directory)
            self.connection = _open(self._path)
        self._tails: dict[tuple[str, str], _Tail] = {}
        (self._newest,) = self.connection.execute("SELECT max(id) FROM series").fetchone()

    def position(self, source: str) -> Source:
        """How far a stream is indexed."""
        row = self.connection.execute(
            "SELECT name, position, rows, unstepped, unread FROM source WHERE name = ?", [source]
        ).fetchone()
        return Source(*row) if row else Source(source, 0, 0, 0, 0)

    def add(self, source: str, batch: Batch) -> None:
        """What a reader found in the next piece of a stream."""
        with self._transaction():
            before = self.position(source)
            self.connection.execute(
                "INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?)",
                [
                    source,
                    before.position + batch.used,
                    before.rows + batch.rows,
                    before.unstepped + batch.unstepped,
                    before.unread + batch.unread,
                ],
            )
            for name, column in batch.columns.items():
                self._add_points(source, name, column)
            self.connection.executemany(
                "INSERT OR IGNORE INTO other VALUES (?)", [(name,) for name in batch.other]
            )
            self.connection.executemany(
                "INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?)",
                [(source, kind, name, _document(v)) for (kind, name), v in batch.notes.items()],
            )

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    def _add_points(self, source: str, name: str, column: Column) -> None:
        """Fill the last segment, then begin others."""
        tail = self._tail(source, name)
        for block in blocks_of(column):
            self._add_block(tail, block)
        tail.points += len(column.values)
        tail.reach = (
            reached(min, tail.reach[0], *_ends(min, column)),
            reached(max, tail.reach[1], *_ends(max, column)),
        )
        last = [shown(column.steps[-1]), shown(column.values[-1]), column.times[-1]]
        self.connection.execute(
            "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
            "points = excluded.points, segments = excluded.segments, tail = excluded.tail, "
            "last = excluded.last, reach = excluded.reach",
            [
                tail.id,
                source,
                name,
                tail.points,
                tail.segments,
                tail.tail,
                orjson.dumps(last).decode(),
                orjson.dumps(tail.reach).decode(),
            ],
        )

    def _add_block(self, tail: _Tail, block: Block) -> None:
        if 0 < tail.tail < SEGMENT_POINTS:
            number = tail.id * NUMBERS + tail.segments - 1
            (content,) = self.connection.execute(
                "SELECT content FROM segment WHERE id = ?", [number]
            ).fetchone()
            whole = joined(unpack(content), block)
            if whole is not None:
                block = whole
                tail.segments -= 1
        for start in range(0, len(block), SEGMENT_POINTS):
            piece = block.part(start, start + SEGMENT_POINTS)
            self.connection.execute(
                "INSERT OR REPLACE INTO segment VALUES (?, ?)",
                [tail.id * NUMBERS + tail.segments, pack(piece)],
            )
            tail.segments += 1
            tail.tail = len(piece)

    def _tail(self, source: str, name: str) -> _Tail:
        found = self._tails.get((source, name))
        if found is None:
            row = self.connection.execute(
                "SELECT id, points, segments, tail, reach FROM series "
                "WHERE source = ? AND name = ?",
                [source, name],
            ).fetchone()
            if row is None:
                self._newest = (self._newest or 0) + 1
                row = (self._newest, 0, 0, 0, _NOWHERE)
            series, points, segments, tail, reach = row
            found = _Tail(series, points, segments, tail, tuple(orjson.loads(reach)))
            self._tails[source, name] = found
        return found

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._tails.clear()  # they told what was about to be
            self.connection.execute("ROLLBACK")
            (self._newest,) = self.connection.execute("SELECT max(id) FROM series").fetchone()
            raise
        self.connection.execute("COMMIT")


def _ends(choose: Callable[[list[Number]], Number], column: Column) -> list[Told]:
    """The least, or the greatest, value of a column; nothing when all of it is NaN."""
    known = [value for value in column.values if value == value]  # noqa: PLR0124 - NaN
    return [shown(choose(known))] if known else []


def remove(directory: Path) -> None:
    """Throw an index away; it is made anew from the streams."""
    for suffix in _BESIDE:
        (directory / f"{INDEX_FILE}{suffix}").unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    try:
        if format_of(connection) != FORMAT:
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")  # fails on one of another format
            path.chmod(0o600)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _document(value: Any) -> str:
    """What a note holds, as JSON; numbers that are not finite as text."""
    if isinstance(value, float):
        value = shown(value)
    return orjson.dumps(value, default=str).decode()
