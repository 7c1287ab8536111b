"""Seals of a growing file: the first so many bytes have this SHA-256 (P6.4).

A seal is noted after 8 MiB or 60 s of growth, and at the end. Bytes are hashed once, as they
come; a file that is cut short afterwards no longer matches its seals, which is the point of them.
"""

import hashlib
import os
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

from tallystick import durable
from tallystick.supervisor.journal import Journal
from tallystick.wire.observation import OutputSealed, StreamName

SEAL_BYTES = 8 * 1024 * 1024
SEAL_SECONDS = 60.0
CHUNK_BYTES = 1024 * 1024


class Seal:
    """Seals one stream of one attempt; safe to call from two threads."""

    def __init__(self, path: Path, *, stream: StreamName, journal: Journal) -> None:
        """Nothing is read yet; a missing file counts as empty."""
        self._path = path
        self._stream = stream
        self._journal = journal
        self._guard = threading.Lock()
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._sealed = 0
        self._growing_since: float | None = None
        self._finished = False

    def look(self, now: float) -> float | None:
        """Hash what is new and seal when due.

        `now` is monotonic seconds; returns the moment at which the next seal is due, None while
        everything is sealed.
        """
        with self._guard:
            if self._finished:
                return None
            self._read()
            if self._hashed == self._sealed:
                return None
            if self._growing_since is None:
                self._growing_since = now
            due = self._growing_since + SEAL_SECONDS
            if self._hashed - self._sealed >= SEAL_BYTES or now >= due:
                self._note()
                return None
            return due

    def finish(self) -> None:
        """Seal the whole stream once nothing writes any more; empty metrics are left unsealed."""
        with self._guard:
            self._read()
            if self._hashed > self._sealed or (self._stream == "output" and not self._sealed):
                self._note()
            self._finished = True

    def _read(self) -> None:
        """Hash up to the size the file has now: a fast writer cannot keep us here."""
        try:
            with open(durable.open_regular(self._path), "rb") as source:  # noqa: PTH123
                end = os.fstat(source.fileno()).st_size
                source.seek(self._hashed)
                while self._hashed < end:
                    chunk = source.read(min(CHUNK_BYTES, end - self._hashed))
                    if not chunk:
                        break
                    self._hash.update(chunk)
                    self._hashed += len(chunk)
        except OSError:
            return  # removed by the command: the seals made so far stand

    def _note(self) -> None:
        """Write the seal over everything hashed so far."""
        with suppress(OSError):
            source = durable.open_regular(self._path)
            try:
                os.fdatasync(source)  # a seal must not promise what a crash can lose
            finally:
                os.close(source)
        digest = self._hash.hexdigest()
        self._journal.note(
            partial(OutputSealed, stream=self._stream, bytes=self._hashed, sha256=digest)
        )
        self._sealed = self._hashed
        self._growing_since = None
