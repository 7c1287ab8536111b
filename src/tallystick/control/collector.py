"""Keeps the files of every attempt when it has ended, and when somebody asks.

First the bytes, under their digest; then a line that says so, in a stream of the run that is sealed
like every other, so the ledger covers every digest. A line that a crash has prevented is written by
the next look. Which entries were followed is a cursor; losing it repeats looks, and no more.
"""

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from tallystick.clock import Clock
from tallystick.config import ArtifactSettings
from tallystick.control.indexer import Indexer
from tallystick.control.places import Place, places_of
from tallystick.control.sealer import Sealer
from tallystick.control.tailer import Tailer
from tallystick.db.database import Database
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import AttemptId
from tallystick.errors import TallystickError, UnavailableError
from tallystick.ledger.ledger import Ledger
from tallystick.projections import attempts, cursors, runs
from tallystick.store.blobs import PIECE_BYTES, Blobs
from tallystick.store.incoming import Blob
from tallystick.store.index import opened
from tallystick.store.scanning import Found, scan
from tallystick.store.series import Series

_log = logging.getLogger(__name__)

STREAM: Final = "run.artifacts"
CURSOR: Final = "collector"
POLL_SECONDS: Final = 5.0
INDEX_SECONDS: Final = 10.0
PAGE: Final = 500
MOST_REPEATED: Final = 1_000
"""Entries without an end that may be read again after a restart: a write for each would only be in
the way of others."""

_ENDS: Final = frozenset({"attempt.ended", "run.ended"})
_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class Collected:
    """What one look has kept."""

    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    held_bytes: int = 0
    """Of files that are kept now, by this look or before."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason."""


class Collector:
    """`tick` is called by its service; `collect` and `keep` by whoever answers a request."""

    def __init__(
        self,
        database: Database,
        *,
        series: Series,
        blobs: Blobs,
        tailer: Tailer,
        sealer: Sealer,
        indexer: Indexer,
        runs_dir: Path,
        clock: Clock,
        settings: ArtifactSettings,
    ) -> None:
        """Nothing is read before the first tick."""
        self._database = database
        self._series = series
        self._blobs = blobs
        self._tailer = tailer
        self._sealer = sealer
        self._indexer = indexer
        self._runs_dir = runs_dir
        self._clock = clock
        self._settings = settings
        self._looking = threading.Lock()
        self._position = -1
        self._ignored = tuple(one.strip() for one in settings.ignore.split(",") if one.strip())

    def tick(self) -> None:
        """Follow the ledger to its end; collect what every end has left."""
        while True:
            with self._database.read() as tx:
                durable = cursors.get(tx, CURSOR)
                entries = Ledger.read(tx, after=max(durable, self._position), limit=PAGE)
            if not entries:
                return
            ends = [entry for entry in entries if entry.type in _ENDS]
            for entry in ends:
                self._ended(str(entry.data.get("attempt") or ""))
                self._position = entry.seq
            self._position = entries[-1].seq
            if ends or self._position - durable > MOST_REPEATED:
                with self._database.write() as tx:
                    cursors.put(tx, CURSOR, self._position)

    def _ended(self, key: str) -> None:
        with self._database.read() as tx:
            attempt = attempts.get(tx, AttemptId(key)) if key else None
        if attempt is None or attempt.started_at is None:
            return
        self._tailer.follow(attempt)
        try:
            self.collect(attempt)
        except UnavailableError:
            raise  # the place for files is away or full: the next tick looks again
        except (OSError, TallystickError) as error:
            _log.warning("files of attempt %s: %s", attempt.id, error)

    def collect(self, attempt: Attempt) -> Collected:
        """Keep the files in an attempt's places that are new or have changed, a look at a time."""
        with self._looking:
            return self._look(attempt)

    def _look(self, attempt: Attempt) -> Collected:
        directory = self._runs_dir / attempt.run / attempt.id
        with self._database.read() as tx:
            run = runs.get(tx, attempt.run)
            places = [] if run is None else places_of(tx, run, attempt, directory)
        known = self._known(attempt.run) if (self._path(attempt.run)).exists() else {}
        outcome = Collected()
        for place in places:
            if place.collected:
                self._collect(attempt, place, known, outcome)
        return outcome

    def _known(self, run: str) -> dict[str, Any]:
        """What is kept of a run already, as far as its index knows."""
        with suppress(TimeoutError):
            self._indexer.catch_up(run).result(INDEX_SECONDS)
        order = [path.name for path in self._series.files(run)]
        with opened(self._series.directory(run), order) as index:
            return index.notes("artifact") if index is not None else {}

    def keep(self, attempt: Attempt, path: str, blob: Blob, *, origin: str) -> None:
        """Note bytes that are kept already: what a client has sent."""
        self._note(attempt.run, [self._line(attempt, path, blob, origin=origin)])

    def _collect(
        self, attempt: Attempt, place: Place, known: dict[str, Any], outcome: Collected
    ) -> None:
        lines: list[dict[str, Any]] = []
        for found in scan(place.root):
            path = _named(place, found)
            if self._is_passed_over(place, found):
                continue
            before = known.get(path) or {}
            if (before.get("mtime_ns"), before.get("bytes")) == (found.mtime_ns, found.size):
                outcome.unchanged += 1
                outcome.held_bytes += found.size
                continue
            why = self._refusal(found, outcome)
            if why is not None:
                outcome.left_out.append((path, why))
                lines.append({"at": self._clock.now(), "left_out": path, "why": why})
                continue
            try:
                blob = self._blobs.put(_content(found))
            except OSError as error:
                lines.append(
                    {"at": self._clock.now(), "left_out": path, "why": str(error.strerror or error)}
                )
                continue
            outcome.files, outcome.bytes = outcome.files + 1, outcome.bytes + blob.size
            outcome.held_bytes += blob.size
            line = self._line(attempt, path, blob, origin="collected")
            lines.append(line | {"mtime_ns": found.mtime_ns})
        self._note(attempt.run, lines)

    def _is_passed_over(self, place: Place, found: Found) -> bool:
        """Whether a file was there before the attempt, or bears a name that is ignored."""
        parts = found.below.split("/")
        return found.mtime_ns < place.since_ns or any(
            fnmatch(part, pattern) for part in parts for pattern in self._ignored
        )

    def _refusal(self, found: Found, outcome: Collected) -> str | None:
        """Why a file is not kept; None when it is."""
        settings = self._settings
        if found.size > settings.max_file_mb * _MIB:
            return f"larger than artifacts.max_file_mb = {settings.max_file_mb}"
        if outcome.files + outcome.unchanged >= settings.max_files:
            return f"more files than artifacts.max_files = {settings.max_files}"
        if outcome.held_bytes + found.size > settings.max_total_mb * _MIB:
            return f"more than artifacts.max_total_mb = {settings.max_total_mb} together"
        return None

    def _line(self, attempt: Attempt, path: str, blob: Blob, *, origin: str) -> dict[str, Any]:
        return {
            "at": self._clock.now(),
            "attempt": attempt.id,
            "path": path,
            "bytes": blob.size,
            "sha256": blob.sha256,
            "origin": origin,
        }

    def _note(self, run: str, lines: list[dict[str, Any]]) -> None:
        """Say what is kept, durably."""
        if not lines:
            return
        self._sealer.touch(run)
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self._series.append(run, STREAM, content)
        self._indexer.touch(run)

    def _path(self, run: str) -> Path:
        return self._series.directory(run) / STREAM


def _named(place: Place, found: Found) -> str:
    """What the record calls a file."""
    if place.root.is_file():
        return place.prefix.rstrip("/")
    return place.prefix + found.below.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _content(found: Found) -> Iterator[bytes]:
    file = found.open()
    try:
        while piece := os.read(file, PIECE_BYTES):
            yield piece
    finally:
        os.close(file)
