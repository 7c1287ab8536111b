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
    started_at: int | None = None
    """When the first run of it started; milliseconds."""
    served_seq: int | None = None
    """The entry that gave one of its runs a place last: of sessions that have the same share, the
    one that was served longest ago is next."""
    gpu_ms: int = 0
    """GPU time of its ended attempts, in milliseconds of one device."""
    begun: int = 0
    """Runs of it that were executed at least once; a budget of runs counts those."""
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


def counted(state: Session, before: Status | None, after: Status, *, ts: int) -> Session:
    """One of its runs changed its status."""
    started_at = state.started_at
    if started_at is None and after is Status.RUNNING:
        started_at = ts
    return replace(state, runs=state.runs.moved(before, after), started_at=started_at)


def served(state: Session, record: Record, *, number: int) -> Session:
    """One of its runs was given a place, for its attempt `number`."""
    return replace(state, served_seq=record.seq, begun=state.begun + int(number == 1))


def used(state: Session, gpu_ms: int) -> Session:
    """An attempt of it gave its devices back."""
    return replace(state, gpu_ms=state.gpu_ms + gpu_ms) if gpu_ms else state


def with_sweeps(state: Session, change: int) -> Session:
    """Sweeps came or went."""
    return replace(state, sweeps=state.sweeps + change)


def marked(state: Session) -> Session:
    """One of its requests broke a rule."""
    return replace(state, violations=state.violations + 1)
