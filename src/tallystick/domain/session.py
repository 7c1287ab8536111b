"""A session: one agent conversation, and what it did (P1.1)."""

from dataclasses import dataclass, field, replace

from tallystick.domain.events import Fact, Record, SessionOpened
from tallystick.domain.ids import SessionId
from tallystick.domain.status import Status, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """State of one session; counters only, never the ids of what it holds."""

    id: SessionId
    opened_at: int
    opened_seq: int
    last_at: int
    sweeps: int = 0
    violations: int = 0
    """Creating requests that were marked non-compliant."""
    runs: Tally = field(default_factory=Tally)


def stream_of(session: SessionId) -> str:
    """The stream of a session's own entries."""
    return f"session:{session}"


def opening(session: SessionId, known: Session | None) -> list[Fact]:
    """The fact that opens a session when it is seen for the first time."""
    if known is not None:
        return []
    return [Fact(stream_of(session), SessionOpened(), session)]


def opened(record: Record) -> Session:
    """State after `session.opened`."""
    assert record.session is not None  # noqa: S101 - the envelope of this entry always has one
    return Session(id=record.session, opened_at=record.ts, opened_seq=record.seq, last_at=record.ts)


def touched(state: Session, record: Record) -> Session:
    """Any entry of the session moves its last moment."""
    return state if record.ts <= state.last_at else replace(state, last_at=record.ts)


def counted(state: Session, before: Status | None, after: Status) -> Session:
    """One of its runs changed its status."""
    return replace(state, runs=state.runs.moved(before, after))


def with_sweeps(state: Session, change: int) -> Session:
    """Sweeps came or went."""
    return replace(state, sweeps=state.sweeps + change)


def marked(state: Session) -> Session:
    """One of its requests broke a rule."""
    return replace(state, violations=state.violations + 1)
