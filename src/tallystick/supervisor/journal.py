"""Writes the journal: numbered records, each durable before anything is told about it.

One writer, guarded by the lock of the run directory; threads of the supervisor share it through a
lock of its own. When the disk refuses (full, failing), records wait in memory in order and nobody
is told, until `flush` succeeds: supervision goes on meanwhile.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tallystick.supervisor.process import now_ms
from tallystick.wire import journal as wire_journal
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.observation import Observation

Draft = Callable[..., Observation]
"""Makes a record from its number `n` and its time `at`."""


class Journal:
    """The journal of one run directory, opened for appending."""

    def __init__(self, directory: Path) -> None:
        """Open or create it, mode 0600; a torn tail is cut off. The caller holds the lock."""
        self._directory = directory
        self._file = os.open(
            directory / JOURNAL_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._guard = threading.Lock()
        self._records = list(wire_journal.load(directory / JOURNAL_FILE))
        self._waiting: list[Observation] = []
        self._size = sum(len(wire_journal.line(record)) for record in self._records)
        if os.fstat(self._file).st_size > self._size and not self._records:
            os.ftruncate(self._file, 0)  # the first append was cut short: nothing had been started

    def durable(self, after: int = 0) -> tuple[Observation, ...]:
        """Records on disk whose number is greater than `after`."""
        with self._guard:
            return tuple(self._records[after:])

    @property
    def count(self) -> int:
        """How many records are on disk."""
        return len(self._records)

    @property
    def waiting(self) -> bool:
        """Whether records could not be written yet."""
        return bool(self._waiting)

    def note(self, *drafts: Draft) -> bool:
        """Number, append and fsync; False when the disk refused and the records wait."""
        with self._guard:
            for draft in drafts:
                number = len(self._records) + len(self._waiting) + 1
                self._waiting.append(draft(n=number, at=now_ms()))
            return self._flush()

    def flush(self) -> bool:
        """Try again what waits; True when nothing does any more."""
        with self._guard:
            return self._flush()

    def _flush(self) -> bool:
        """Guarded by the lock: all that waits is written, or none of it."""
        if not self._waiting:
            return True
        content = b"".join(wire_journal.line(record) for record in self._waiting)
        try:
            _write_all(self._file, content)
            os.fsync(self._file)
            if not self._records:
                _sync_directory(self._directory)  # the name of the file must survive, too
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(content)
        self._records += self._waiting
        self._waiting = []
        return True


def _write_all(descriptor: int, content: bytes) -> None:
    """Write every byte; a short write is continued."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: Path) -> None:
    """Make new names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
