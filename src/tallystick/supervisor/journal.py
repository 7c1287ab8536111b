"""Writes the journal: numbered records, each durable before anything is told about it.

One writer, guarded by the lock of the run directory; threads of the supervisor share it through a
lock of its own. When the disk refuses (full, failing), records wait in memory in order and nobody
is told, until `flush` succeeds: supervision goes on meanwhile.
"""

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tallystick import durable
from tallystick.supervisor.process import now_ms
from tallystick.wire import journal as wire_journal
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.observation import Ended, Observation

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Draft = Callable[..., Observation]
"""Makes a record from its number `n` and its time `at`."""


class Journal:
    """The journal of one run directory, opened for appending.

    The command can reach the file. So the records are kept in memory, and whatever was done to the
    file is undone before the next one is added to it; `ended`, the last, comes when no process of
    the run is left that could do it again.
    """

    def __init__(self, directory: Path, *, key: str) -> None:
        """Open or create it, mode 0600; a torn tail is cut off. The caller holds the lock.

        `key` is the supervisor's token, for the MAC of each line; the directory bears the name of
        the attempt.
        """
        self._directory = directory
        self._path = directory / JOURNAL_FILE
        self._key = key
        self._file = os.open(self._path, _FLAGS | os.O_CREAT, 0o600)
        self._guard = threading.Lock()
        self._records: list[Observation] = []
        self._waiting: list[Observation] = []
        self._size = 0
        self.has_begun = wire_journal.has_begun(self._path)
        """Whether it held something whole already: the attempt was started before."""
        if not self.has_begun:
            os.ftruncate(self._file, 0)  # the first append was cut short: nothing was executed

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
        content = self._lines(self._waiting)
        try:
            self._restore()
            durable.write_all(self._file, content)
            os.fsync(self._file)
            if not self._records:
                durable.sync_directory(self._directory)  # the file's name must survive, too
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(content)
        self._records += self._waiting
        self._waiting = []
        return True

    def _lines(self, records: Sequence[Observation]) -> bytes:
        """What they are in the file."""
        attempt = self._directory.name
        return b"".join(wire_journal.line(r, attempt=attempt, key=self._key) for r in records)

    def _restore(self) -> None:
        """Write the whole file anew unless it is as we left it; raises OSError.

        Its bytes are compared for the last record only: a long journal need not be read for each.
        """
        last = any(isinstance(record, Ended) for record in self._waiting)
        if not self._directory.is_dir():
            return  # nobody wants it any more; the open file still takes it
        if self._is_ours() and not (last and self._differs()):
            return
        with suppress(OSError):
            self._directory.chmod(0o700)
        if self._path.is_dir() and not self._path.is_symlink():
            self._path.rename(self._path.with_name(f".{JOURNAL_FILE}.{os.getpid()}"))
        durable.write(self._path, self._lines(self._records))
        os.close(self._file)
        self._file = os.open(self._path, _FLAGS)

    def _is_ours(self) -> bool:
        """Whether the name still stands for our file, and it has its size."""
        ours = os.fstat(self._file)
        try:
            named = self._path.lstat()
        except OSError:
            return False
        return os.path.samestat(ours, named) and ours.st_size == self._size

    def _differs(self) -> bool:
        """Whether its bytes are not what we wrote."""
        return wire_journal.read_bytes(self._path, self._size + 1) != self._lines(self._records)
