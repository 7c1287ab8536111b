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
    state = sessions.counted(OPEN, None, Status.READY)
    state = sessions.counted(state, Status.READY, Status.STOPPED)
    state = sessions.with_sweeps(sessions.with_sweeps(state, 2), -1)
    state = sessions.marked(sessions.marked(state))
    assert (state.runs, state.sweeps, state.violations) == (Tally(stopped=1), 1, 2)
