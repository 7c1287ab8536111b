"""A command without supervisor is held to its time limit by the server, and by nobody else."""

from typing import Any

import pytest

from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId
from tallystick.domain.status import Outcome
from tallystick.execution.backend import Exited, Gone, Supervised, Unsupervised
from tallystick.execution.bundle import write_stop
from tallystick.wire import observation as ob
from tallystick.wire.bundle import StopRequest
from tests.unit.control.rig import Rig

LIMIT_MS = 60_000
LATER_MS = 61_000


def begun(rig: Rig) -> tuple[ob.Observation, ...]:
    """A journal that begins now."""
    now = rig.road.clock.now()
    return (
        ob.SupervisorStarted(n=1, at=now, pid=7, start_ticks=8, boot_id="b"),
        ob.CommandStarted(n=2, at=now, pid=9, start_ticks=8),
    )


def alone(rig: Rig, **more: Any) -> tuple[RunId, Attempt, tuple[ob.Observation, ...]]:
    """A run whose supervisor is lost, and what that had written down."""
    run, attempt = rig.launched(demands=Demands(timeout_ms=LIMIT_MS, **more))
    journal = begun(rig)
    rig.backend.show(attempt.id, Unsupervised(pids=(9,), observations=journal))
    rig.reconciler.tick()
    return run, attempt, journal


@pytest.mark.parametrize(
    ("word", "exit_code", "signal"),
    [(Exited(signal=15), None, 15), (Exited(exit_code=0), 0, None), (Gone(reason="x"), None, None)],
)
def test_it_is_ended_when_its_time_is_over_and_says_so(
    rig: Rig, word: Exited | Gone, exit_code: int | None, signal: int | None
) -> None:
    run, attempt, _ = alone(rig)
    assert rig.backend.cancelled == []
    rig.road.clock.advance(LATER_MS)
    rig.reconciler.tick()
    assert [one.grace_seconds for one in rig.backend.cancelled] == [rig.grace_seconds]
    rig.backend.show(attempt.id, word)
    rig.restarted().reconciler.tick()  # who ended it is known to the next server, too
    state = rig.road.state(run)
    assert (state.outcome, state.reason_code) == (Outcome.TIMED_OUT, "timed_out")
    assert (state.exit_code, state.signal) == (exit_code, signal)


def test_an_end_of_its_own_that_is_seen_late_keeps_its_name(rig: Rig) -> None:
    run, attempt, journal = alone(rig)
    rig.road.clock.advance(LATER_MS)
    rig.backend.show(attempt.id, Exited(exit_code=3, observations=journal))
    rig.reconciler.tick()
    assert rig.road.state(run).outcome == Outcome.FAILED
    assert rig.backend.cancelled == []


def test_what_outlives_its_command_has_no_time_limit(rig: Rig) -> None:
    _, attempt, journal = alone(rig)
    rig.road.clock.advance(LATER_MS)
    rig.backend.show(attempt.id, Unsupervised(pids=(10,), observations=journal))
    rig.reconciler.tick()
    assert rig.backend.cancelled == []


def test_a_request_that_the_ledger_does_not_hold_is_no_time_out_before_the_time(rig: Rig) -> None:
    run, attempt, journal = alone(rig)
    directory = rig.launcher.directory_of(run, attempt.id)
    write_stop(directory, StopRequest(grace_seconds=0))  # by the command, say
    rig.backend.show(attempt.id, Exited(signal=9, observations=journal))
    rig.reconciler.tick()
    assert rig.road.state(run).outcome == Outcome.FAILED


def test_a_supervisor_that_lives_keeps_the_time_itself(rig: Rig) -> None:
    _, attempt = rig.launched(demands=Demands(timeout_ms=LIMIT_MS))
    rig.backend.show(attempt.id, Supervised())
    rig.road.clock.advance(LATER_MS)
    rig.reconciler.tick()
    assert rig.backend.cancelled == []


@pytest.mark.parametrize("asked_after_ms", [0, LATER_MS])
def test_a_stop_that_somebody_asked_for_is_one_also_when_the_time_is_over(
    rig: Rig, asked_after_ms: int
) -> None:
    run, attempt, journal = alone(rig)
    rig.road.clock.advance(asked_after_ms)
    rig.road.handle(cm.StopRun(run=run))
    write_stop(rig.launcher.directory_of(run, attempt.id), StopRequest(grace_seconds=0))
    rig.road.clock.advance(LATER_MS)
    rig.backend.show(attempt.id, Exited(signal=15, observations=journal))
    rig.reconciler.tick()
    state = rig.road.state(run)
    assert (state.outcome, state.reason_code) == (Outcome.CANCELLED, "stop_requested")
