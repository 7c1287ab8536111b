"""Seals what clients and files told of a run: their digests go into the ledger (P6.4).

A supervisor seals what its own command prints and logs; every other stream is the server's to seal,
after 8 MiB or 60 s of growth and at the end of the run. Which runs have unsealed bytes is
operational: losing it loses no fact, only the next seal.
"""

import hashlib
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.db.database import Database
from tallystick.domain.commands import ReportSealed
from tallystick.domain.ids import SYSTEM
from tallystick.domain.run import Run
from tallystick.domain.status import Phase
from tallystick.projections import attempts, runs, unsealed
from tallystick.store.series import POSTED, Series

_log = logging.getLogger(__name__)

SEAL_BYTES: Final = 8 * 1024 * 1024
SEAL_MS: Final = 60_000
_CHUNK_BYTES: Final = 1024 * 1024


class Hashed:
    """A digest of the beginning of a file, and how much of it that is."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._digest = hashlib.sha256()
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """The next bytes."""
        self._digest.update(chunk)
        self.size += len(chunk)

    def hexdigest(self) -> str:
        """SHA-256 of everything so far."""
        return self._digest.hexdigest()


class Sealer:
    """`touch` when bytes were stored; `tick` is called by its service."""

    def __init__(
        self, database: Database, handler: CommandHandler, runs_dir: Path, *, clock: Clock
    ) -> None:
        """Nothing is read before the first tick."""
        self._database = database
        self._handler = handler
        self._series = Series(runs_dir)
        self._clock = clock
        self._lock = threading.Lock()
        self._touched: set[str] = set()
        self._hashed: dict[str, dict[str, Hashed]] = {}
        """How far the streams of each growing run are hashed; the service's thread only."""

    def touch(self, run: str) -> None:
        """Bytes of `run` were stored; remembered durably once until they are sealed."""
        with self._lock:
            if run in self._touched:
                return
            with self._database.write() as tx:
                unsealed.mark(tx, run, since=self._clock.now())
            self._touched.add(run)

    def tick(self) -> None:
        """Seal what has grown enough or will not grow any more."""
        with self._database.read() as tx:
            waiting = unsealed.waiting(tx)
            found = runs.many(tx, list(waiting)) if waiting else []
            newest = attempts.many(tx, [run.attempt for run in found if run.attempt])
        sealed = {attempt.run: attempt.streams for attempt in newest}
        now = self._clock.now()
        for run in found:
            if run.phase is Phase.ENDED and run.attempt is None:
                self._done(run, {})  # never executed: there is no attempt to seal it for
                continue
            sizes = self._sizes(run.id)
            before = sealed.get(run.id)
            due = run.phase is Phase.ENDED or now - waiting[run.id] >= SEAL_MS
            if before is not None and (due or _has_grown(sizes, before)):
                try:
                    self._seal(run, sizes, before)
                except OSError as error:  # others are sealed all the same
                    _log.warning("streams of run %s cannot be sealed yet: %s", run.id, error)

    def _sizes(self, run: str) -> dict[str, int]:
        """The streams of a run that are the server's to seal, by the names of their files."""
        return {
            extent.name: extent.size
            for extent in self._series.extents(run)
            if extent.size and not is_copy(extent.name)
        }

    def _seal(self, run: Run, sizes: Mapping[str, int], before: Mapping[str, int]) -> None:
        """Put the digests of all that has grown into the ledger."""
        if run.attempt is None or not sizes:
            return
        for name, size in sizes.items():
            stream = stream_of(name)
            if before.get(stream) == size:
                continue
            command = ReportSealed(
                run=run.id,
                attempt=run.attempt,
                stream=stream,
                bytes=size,
                sha256=self._digest(run.id, name, size),
            )
            self._handler.handle(command, by=SYSTEM)
        self._done(run, sizes)

    def _done(self, run: Run, sizes: Mapping[str, int]) -> None:
        """The entry is there: forget the run, unless bytes have come since (they touch no more)."""
        with self._lock, self._database.write() as tx:
            if sizes and self._sizes(run.id) != sizes:
                unsealed.mark(tx, run.id, since=self._clock.now())
                return
            unsealed.clear(tx, run.id)
            self._touched.discard(run.id)
            if run.phase is Phase.ENDED:
                self._hashed.pop(run.id, None)

    def _digest(self, run: str, name: str, size: int) -> str:
        """SHA-256 of the first `size` bytes, going on from the seal before."""
        hashed = self._hashed.setdefault(run, {}).setdefault(name, Hashed())
        path = self._series.directory(run) / name
        with open(durable.open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor
            file.seek(hashed.size)
            while chunk := file.read(min(_CHUNK_BYTES, size - hashed.size)):
                hashed.add(chunk)
        return hashed.hexdigest()


def _has_grown(sizes: Mapping[str, int], before: Mapping[str, int]) -> bool:
    """Whether one of the streams has grown enough for a seal of its own."""
    return any(size - before.get(stream_of(name), 0) >= SEAL_BYTES for name, size in sizes.items())


def stream_of(name: str) -> str:
    """What the ledger calls the stream in a file."""
    return POSTED if name == f"{POSTED}.jsonl" else name


def is_copy(name: str) -> bool:
    """Whether a file is the copy of an attempt's own metrics, which its supervisor seals."""
    return name.startswith("att_") and name.endswith(".jsonl") and "-" not in name
