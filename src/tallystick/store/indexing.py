"""Brings indexes up to their streams, in a process of its own: parsing never holds up an answer.

One JSON object a line comes in, `{"run": …, "final": …}`, and one goes out for each, after at most
`PASS_BYTES` of work: whether the index has caught up, and what lists show of the run. Whatever goes
wrong with one run is said in its answer. The process ends with its input.
"""

import json
import os
import sqlite3
import sys
from collections import OrderedDict
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.intake.batch import Batch
from tallystick.store.index import Index, Told
from tallystick.store.index_writer import IndexWriter, remove
from tallystick.store.series import Extent, Series
from tallystick.store.streams import READERS

PIECE_BYTES: Final = 4 * 1024 * 1024
PASS_BYTES: Final = 16 * 1024 * 1024
"""Of one run before another has its turn."""

LONGEST_PIECE: Final = 64 * 1024 * 1024
"""A longer line, or record, counts as one that could not be read."""

OPEN: Final = 32
"""Indexes kept open; more runs than usually log at once."""

BRIEF_METRICS: Final = 20
"""What a list shows of a run."""

FOUND_METRICS: Final = 200
"""What a run can be found, ordered and compared by."""

NICENESS: Final = 5


@dataclass(frozen=True, slots=True)
class Job:
    """Bring one run's index up to its streams; `final` when no process writes them any more."""

    run: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Indexed:
    """What came of a job."""

    run: str
    final: bool = False
    """As the job was."""
    caught_up: bool = True
    error: str = ""
    names: int = 0
    points: int = 0
    metrics: dict[str, Told] = field(default_factory=dict)
    """Last values of the first metrics."""
    ranges: dict[str, tuple[Told, Told, Told]] = field(default_factory=dict)
    """The last, the least and the greatest value of more of them."""
    summary: dict[str, object] = field(default_factory=dict)


class Indexing:
    """Indexes that are being written."""

    def __init__(self, runs_dir: Path) -> None:
        """Nothing is opened yet."""
        self._series = Series(runs_dir)
        self._open: OrderedDict[str, IndexWriter] = OrderedDict()

    def carry_out(self, job: Job) -> Indexed:
        """One job; raises nothing for what is wrong with the files of the run."""
        try:
            return self._advance(job)
        except (OSError, sqlite3.Error, ValueError) as error:
            self._forget(job.run)
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(
                error, sqlite3.OperationalError
            ):
                remove(self._series.directory(job.run))  # damaged: the next job makes it anew
            return Indexed(
                job.run, job.final, caught_up=False, error=f"{type(error).__name__}: {error}"
            )

    def close(self) -> None:
        """Give every file back."""
        for run in list(self._open):
            self._forget(run)

    def _advance(self, job: Job) -> Indexed:
        extents = self._series.extents(job.run)
        if not extents:
            return Indexed(job.run, job.final)
        writer = self._writer(job.run, extents)
        left = PASS_BYTES
        for extent in extents:
            while left > 0 and (used := _advance_one(writer, extent, final=job.final)):
                left -= used
        done = left > 0
        found = self._told(writer, extents, job, caught_up=done)
        if job.final and done:
            self._forget(job.run)
        return found

    def _writer(self, run: str, extents: tuple[Extent, ...]) -> IndexWriter:
        """The run's index; made anew when a stream is shorter than what was read of it."""
        writer = self._open.get(run)
        if writer is None:
            while len(self._open) >= OPEN:
                self._forget(next(iter(self._open)))
            writer = self._open[run] = IndexWriter(self._series.directory(run))
        self._open.move_to_end(run)
        if any(writer.position(extent.name).position > extent.size for extent in extents):
            self._forget(run)
            remove(self._series.directory(run))
            writer = self._open[run] = IndexWriter(self._series.directory(run))
        return writer

    def _told(
        self, writer: IndexWriter, extents: tuple[Extent, ...], job: Job, *, caught_up: bool
    ) -> Indexed:
        index = Index(writer.connection, [extent.name for extent in extents])
        names, points = writer.connection.execute(
            "SELECT count(DISTINCT name), coalesce(sum(points), 0) FROM series"
        ).fetchone()
        return Indexed(
            job.run,
            job.final,
            caught_up=caught_up,
            names=names,
            points=points,
            metrics=index.latest(limit=BRIEF_METRICS),
            ranges=index.ranges(limit=FOUND_METRICS),
            summary=index.notes("summary"),
        )

    def _forget(self, run: str) -> None:
        writer = self._open.pop(run, None)
        if writer is not None:
            with suppress(sqlite3.Error):
                writer.close()


def _advance_one(writer: IndexWriter, extent: Extent, *, final: bool) -> int:
    """Index the next piece of one stream; how many bytes that was, 0 when there is none."""
    source = writer.position(extent.name)
    size = PIECE_BYTES
    while source.position < extent.size:
        end = min(extent.size, source.position + size)
        content = _piece(extent.path, source.position, end)
        last = final and end == extent.size
        batch = READERS[extent.path.suffix](content, source, last)
        if batch.used == 0 and end < extent.size and size >= LONGEST_PIECE:
            batch = Batch(used=len(content), unread=1)
        if batch.used > 0:
            writer.add(extent.name, batch)
            return batch.used
        if end == extent.size:
            break
        size *= 2
    return 0


def _piece(path: Path, start: int, end: int) -> bytes:
    file = durable.open_regular(path)
    try:
        return os.pread(file, end - start, start)
    finally:
        os.close(file)


def main() -> None:
    """Answer jobs until there are no more."""
    os.nice(NICENESS)
    indexing = Indexing(Path(sys.argv[1]))
    for line in sys.stdin.buffer:
        found = indexing.carry_out(Job(**json.loads(line)))
        sys.stdout.buffer.write(json.dumps(asdict(found)).encode() + b"\n")
        sys.stdout.buffer.flush()
    indexing.close()


if __name__ == "__main__":
    main()
