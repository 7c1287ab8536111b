"""A sweep: a user-visible container of related runs, with a goal (P2)."""

from dataclasses import dataclass, field, replace

from tallystick.domain.commands import CreateSweep
from tallystick.domain.events import Fact, Record, SweepAttributed, SweepCreated
from tallystick.domain.ids import UNATTRIBUTED, SessionId, SweepId, Text
from tallystick.domain.policy import SESSION_PLACEHOLDER, Attribution
from tallystick.domain.status import Status, Tally, sweep_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """State of one sweep; its status and progress follow from `runs` (P2.3)."""

    id: SweepId
    session: SessionId
    name: Text
    goal: Text | None = None
    wild: bool
    draft: bool = False
    violations: tuple[str, ...] = ()
    created_at: int
    created_seq: int
    created_by: str
    started_at: int | None = None
    completed_at: int | None = None
    runs: Tally = field(default_factory=Tally)

    @property
    def status(self) -> str:
        """The word that agents know."""
        return sweep_status(self.runs, draft=self.draft)


def decide_create(command: CreateSweep, attribution: Attribution) -> list[Fact]:
    """Create a sweep for a session that is already settled."""
    event = SweepCreated(
        name=command.name,
        goal=command.goal,
        wild=command.wild,
        draft=command.draft,
        violations=attribution.violations,
        request=command.request,
    )
    return [Fact(command.sweep, event, attribution.session)]


def attributing(state: Sweep, session: SessionId) -> list[Fact]:
    """P1.3: the first run with a real id names the session of a sweep that came without one."""
    if (
        SESSION_PLACEHOLDER in state.violations
        and state.session == UNATTRIBUTED
        and session != UNATTRIBUTED
    ):
        return [Fact(state.id, SweepAttributed(session=session), session)]
    return []


def created(record: Record, event: SweepCreated) -> Sweep:
    """State after `sweep.created`."""
    return Sweep(
        id=SweepId(record.stream),
        session=record.session or UNATTRIBUTED,
        name=event.name,
        goal=event.goal,
        wild=event.wild,
        draft=event.draft,
        violations=event.violations,
        created_at=record.ts,
        created_seq=record.seq,
        created_by=record.role,
    )


def attributed(state: Sweep, event: SweepAttributed) -> Sweep:
    """State after `sweep.attributed`."""
    return replace(state, session=event.session)


def moved(state: Sweep, before: Status | None, after: Status, *, ts: int) -> Sweep:
    """State after one of its runs changed its status."""
    runs = state.runs.moved(before, after)
    started_at = state.started_at
    if started_at is None and after is Status.RUNNING:
        started_at = ts
    completed_at = (state.completed_at or ts) if runs.ended == runs.total else None
    return replace(state, runs=runs, started_at=started_at, completed_at=completed_at)
