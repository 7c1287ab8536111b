"""A session's rules: P1.1."""

from tallystick.domain import session as sessions
from tallystick.domain.events import SessionOpened
from tallystick.domain.session import Session
from tallystick.domain.status import Status, Tally
from tests.unit.domain.states import SESSION, START, record

OPEN = sessions.opened(record(SessionOpened(), seq=7))


def test_the_first_sighting_opens_it_and_no_other() -> None:
    (fact,) = sessions.opening(SESSION, None)
    assert (fact.stream, fact.session) == ("session:chat-1", SESSION)
    assert fact.event == SessionOpened()
    assert Session(id=SESSION, opened_at=START, opened_seq=7, last_at=START) == OPEN
    assert sessions.opening(SESSION, OPEN) == []


def test_a_clock_that_was_set_back_does_not_move_its_last_moment_back() -> None:
    later = sessions.touched(OPEN, record(SessionOpened(), ts=START + 5))
    assert later.last_at == START + 5
    assert sessions.touched(later, record(SessionOpened(), ts=START - 5)).last_at == START + 5


def test_it_counts_runs_sweeps_and_violations() -> None:
    state = sessions.counted(OPEN, None, Status.READY, ts=1)
    state = sessions.counted(state, Status.READY, Status.STOPPED, ts=2)
    state = sessions.with_sweeps(sessions.with_sweeps(state, 2), -1)
    state = sessions.marked(sessions.marked(state))
    assert (state.runs, state.sweeps, state.violations) == (Tally(stopped=1), 1, 2)


def test_it_started_when_its_first_run_did() -> None:
    state = sessions.counted(OPEN, None, Status.LAUNCHING, ts=1)
    state = sessions.counted(state, Status.LAUNCHING, Status.RUNNING, ts=2)
    state = sessions.counted(state, None, Status.RUNNING, ts=3)
    assert state.started_at == 2


def test_gpu_time_adds_up_and_who_was_served_last_is_known() -> None:
    state = sessions.used(sessions.used(OPEN, 5), 7)
    assert sessions.used(state, 0) is state
    assert sessions.served(state, record(SessionOpened(), seq=44), number=1).served_seq == 44
    assert state.gpu_ms == 12
