"""A sweep's rules: P1.3, P2.1, P2.3."""

from dataclasses import replace
from typing import Any

import pytest

from tallystick.domain import sweep as sweeps
from tallystick.domain.commands import CreateSweep
from tallystick.domain.events import SweepAttributed, SweepCreated
from tallystick.domain.ids import UNATTRIBUTED, SessionId
from tallystick.domain.policy import Attribution
from tallystick.domain.status import Status, Tally
from tallystick.domain.sweep import Sweep
from tests.unit.domain.states import MARK, SESSION, START, SWEEP, record, text


def swept(**changes: Any) -> Sweep:
    event = SweepCreated(name=text("s"), goal=text("g"), wild=True)
    state = sweeps.created(record(event, stream=SWEEP, session=SESSION, seq=5), event)
    return replace(state, **changes)


def test_creating_keeps_everything_and_belongs_to_the_session() -> None:
    command = CreateSweep(
        sweep=SWEEP, name=text("s"), goal=text("g"), wild=False, draft=True, request=MARK
    )
    (fact,) = sweeps.decide_create(command, Attribution(SESSION, ("session_placeholder",)))
    assert (fact.stream, fact.session) == (SWEEP, SESSION)
    event = fact.event
    assert isinstance(event, SweepCreated)
    state = sweeps.created(record(event, stream=SWEEP, session=SESSION, seq=5), event)
    assert state == Sweep(
        id=SWEEP,
        session=SESSION,
        name=text("s"),
        goal=text("g"),
        wild=False,
        draft=True,
        violations=("session_placeholder",),
        created_at=START,
        created_seq=5,
        created_by="agent",
    )
    assert event.request == MARK


def test_an_entry_without_session_is_unattributed() -> None:
    event = SweepCreated(name=text("s"), wild=True)
    assert sweeps.created(record(event, session=None), event).session == UNATTRIBUTED


@pytest.mark.parametrize(
    ("violations", "session", "of_run", "named"),
    [
        (("session_placeholder",), UNATTRIBUTED, "chat-9", True),
        (("session_placeholder",), UNATTRIBUTED, UNATTRIBUTED, False),
        (("session_placeholder",), "chat-7", "chat-9", False),
        (("session_missing",), UNATTRIBUTED, "chat-9", False),
        ((), SESSION, "chat-9", False),
    ],
)
def test_the_first_real_run_names_the_session_of_a_sweep_that_came_with_a_placeholder(
    violations: tuple[str, ...], session: str, of_run: str, *, named: bool
) -> None:
    state = swept(violations=violations, session=SessionId(session))
    facts = sweeps.attributing(state, SessionId(of_run))
    assert bool(facts) == named
    for fact in facts:
        assert fact.event == SweepAttributed(session=SessionId(of_run))
        assert (fact.stream, fact.session) == (SWEEP, of_run)
        assert isinstance(fact.event, SweepAttributed)
        after = sweeps.attributed(state, fact.event)
        assert after == replace(state, session=SessionId(of_run))
        assert sweeps.attributing(after, SessionId("chat-10")) == []


def test_started_and_completed_follow_from_the_runs() -> None:
    state = swept()
    state = sweeps.moved(state, None, Status.READY, ts=1)
    state = sweeps.moved(state, None, Status.QUEUED, ts=2)
    assert (state.started_at, state.completed_at, state.status) == (None, None, "pending")
    state = sweeps.moved(state, Status.QUEUED, Status.LAUNCHING, ts=3)
    assert (state.started_at, state.status) == (None, "running")
    state = sweeps.moved(state, Status.LAUNCHING, Status.RUNNING, ts=4)
    state = sweeps.moved(state, Status.RUNNING, Status.FINISHED, ts=5)
    assert (state.started_at, state.completed_at, state.status) == (4, None, "pending")
    state = sweeps.moved(state, Status.READY, Status.STOPPED, ts=6)
    assert (state.started_at, state.completed_at, state.status) == (4, 6, "completed")
    again = sweeps.moved(state, None, Status.RUNNING, ts=7)
    assert (again.started_at, again.completed_at, again.status) == (4, None, "running")
    assert again.runs == Tally(finished=1, stopped=1, running=1)


def test_a_draft_stays_one_until_it_has_runs() -> None:
    state = swept(draft=True)
    assert state.status == "draft"
    assert sweeps.moved(state, None, Status.READY, ts=1).status == "pending"
