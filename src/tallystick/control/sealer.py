"""Seals metrics that were posted to the server: their digest goes into the ledger (P6.4).

A supervisor seals what its own run writes; what arrives by POST is the server's to seal, after
8 MiB or 60 s of growth and at the end of the run. Which runs have unsealed rows is operational:
losing it loses no fact, only the next seal.
"""

import hashlib
import logging
import threading
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
    """`touch` when rows were stored; `tick` is called by its service."""

    def __init__(
        self, database: Database, handler: CommandHandler, runs_dir: Path, *, clock: Clock
    ) -> None:
        """Nothing is read before the first tick."""
        self._database = database
        self._handler = handler
        self._runs_dir = runs_dir
        self._clock = clock
        self._lock = threading.Lock()
        self._touched: set[str] = set()
        self._hashed: dict[str, Hashed] = {}
        """How far the file of each growing run is hashed; the service's thread only."""

    def touch(self, run: str) -> None:
        """Rows of `run` were stored; remembered durably once until they are sealed."""
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
        sealed = {attempt.run: attempt.posted_bytes or 0 for attempt in newest}
        now = self._clock.now()
        for run in found:
            if run.phase is Phase.ENDED and run.attempt is None:
                self._done(run, None, 0)  # never executed: there is no attempt to seal it for
                continue
            path = self._runs_dir / run.id / "metrics" / "posted.jsonl"
            size = path.stat().st_size if path.exists() else 0
            due = run.phase is Phase.ENDED or now - waiting[run.id] >= SEAL_MS
            if run.id in sealed and (due or size - sealed[run.id] >= SEAL_BYTES):
                try:
                    self._seal(run, path, size)
                except OSError as error:  # others are sealed all the same
                    _log.warning("metrics of run %s cannot be sealed yet: %s", run.id, error)

    def _seal(self, run: Run, path: Path, size: int) -> None:
        """Put the digest of the first `size` bytes into the ledger."""
        if run.attempt is None or size == 0:
            return
        command = ReportSealed(
            run=run.id,
            attempt=run.attempt,
            stream="posted",
            bytes=size,
            sha256=self._digest(run.id, path, size),
        )
        self._handler.handle(command, by=SYSTEM)
        self._done(run, path, size)

    def _done(self, run: Run, path: Path | None, size: int) -> None:
        """The entry is there: forget the run, unless rows have come since (they touch no more)."""
        with self._lock, self._database.write() as tx:
            if path is not None and path.stat().st_size > size:
                unsealed.mark(tx, run.id, since=self._clock.now())
                return
            unsealed.clear(tx, run.id)
            self._touched.discard(run.id)
            if run.phase is Phase.ENDED:
                self._hashed.pop(run.id, None)

    def _digest(self, run: str, path: Path, size: int) -> str:
        """SHA-256 of the first `size` bytes, going on from the seal before."""
        hashed = self._hashed.setdefault(run, Hashed())
        with open(durable.open_regular(path), "rb") as file:  # noqa: PTH123 - a descriptor
            file.seek(hashed.size)
            while chunk := file.read(min(_CHUNK_BYTES, size - hashed.size)):
                hashed.add(chunk)
        return hashed.hexdigest()
