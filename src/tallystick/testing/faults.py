"""A database that fails when a test says so: before its commit, or only in telling of it.

For every write the two faults that a caller must survive are a commit that failed and was not
applied, and one that was applied although it seemed to fail. Everything else is passed on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum

from sqlalchemy import MetaData, Table

from tallystick.db.database import Database, Transaction
from tallystick.errors import CorruptLedgerError, TallystickError, UnavailableError


class Fault(Enum):
    """What becomes of one write block."""

    NONE = "none"
    NOT_APPLIED = "not applied"
    """It fails, and nothing of it remains."""
    APPLIED = "applied"
    """It fails, and all of it is there."""
    DAMAGED = "damaged"
    """It fails because the file is damaged; nothing of it remains."""


class FaultyDatabase:
    """A `Database` over another one, with faults in the order in which a test plans them."""

    def __init__(self, database: Database, *, choose: Callable[[], Fault] | None = None) -> None:
        """No faults are planned yet; without a plan `choose` says how a write block ends."""
        self._database = database
        self._choose = choose or (lambda: Fault.NONE)
        self._writes: deque[Fault] = deque()
        self._reads: deque[Fault] = deque()
        self.name = database.name
        self.commits = 0
        """Write blocks that were applied, whether or not that was told."""

    def plan_writes(self, *faults: Fault) -> None:
        """The next write blocks end like this."""
        self._writes.extend(faults)

    def plan_reads(self, *faults: Fault) -> None:
        """The next read blocks begin like this; `APPLIED` means nothing here."""
        self._reads.extend(faults)

    def create(self, metadata: MetaData, *, append_only: Sequence[Table] = ()) -> None:
        self._database.create(metadata, append_only=append_only)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with self._database.write() as tx:
            yield tx
            fault = self._writes.popleft() if self._writes else self._choose()
            if fault in {Fault.NOT_APPLIED, Fault.DAMAGED}:
                raise _error(fault)
        self.commits += 1
        if fault is Fault.APPLIED:
            raise _error(fault)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        fault = self._reads.popleft() if self._reads else Fault.NONE
        if fault is not Fault.NONE:
            raise _error(fault)
        with self._database.read() as tx:
            yield tx

    def wake(self) -> None:
        self._database.wake()

    def wait(self, timeout_seconds: float) -> bool:
        return self._database.wait(timeout_seconds)

    def close(self) -> None:
        self._database.close()


def _error(fault: Fault) -> TallystickError:
    if fault is Fault.DAMAGED:
        return CorruptLedgerError("the test damaged it", code="database_corrupt")
    return UnavailableError(f"the test made it fail: {fault.value}", code="storage_failed")
