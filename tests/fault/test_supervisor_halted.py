"""A command that stops its own supervisor (SIGSTOP) gains nothing by it.

Nothing of it is left at the end, and the sighting is that of an ordinary end, by which the server
gives the lease back.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import proc
from tallystick.execution.backend import Handle
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import Rig, journal_of, wait_for
from tallystick.wire.observation import Ended, SupervisorStarted
from tests.fault.test_supervisor_stop import processes_of

HALTS = "kill -STOP $PPID; touch halted; sleep 600"
STANDS_STILL = b"T"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


def halted(rig: Rig, **fields: object) -> Handle:
    """A run whose supervisor stands still."""
    handle = rig.submit(HALTS, grace_seconds=0.3, **fields)
    wait_for((rig.root / "halted").exists, what="the signal")
    first = journal_of(handle)[0]
    assert isinstance(first, SupervisorStarted)
    pid = first.pid
    wait_for(lambda: state_of(pid) == STANDS_STILL, what="its effect")
    return handle


def state_of(pid: int) -> bytes | None:
    """The letter that the kernel tells of a process."""
    fields = proc.stat_fields(pid)
    return fields[0] if fields else None


def last_of(handle: Handle) -> Ended | None:
    """Its end as it is written down, without a look that might help it on."""
    last = journal_of(handle)[-1]
    return last if isinstance(last, Ended) else None


def test_a_command_that_stops_its_supervisor_is_ended_at_its_time_limit(rig: Rig) -> None:
    handle = halted(rig, timeout_seconds=0.5)
    ended = rig.ended(handle)
    assert (ended.cause, ended.signal) == ("timed_out", signal.SIGTERM)
    assert processes_of(handle) == []


def test_a_command_that_stops_its_supervisor_is_ended_by_a_stop(rig: Rig) -> None:
    handle = halted(rig)
    rig.backend.cancel(handle, grace_seconds=0.3)
    ended = wait_for(lambda: last_of(handle), what="the end, though nobody looked")
    assert ended.cause == "stop"
    rig.record(handle)  # by which the server gives the lease back
    assert processes_of(handle) == []
