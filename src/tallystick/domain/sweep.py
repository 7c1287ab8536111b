"""A sweep: a user-visible container of related runs, with a goal (P2)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from tallystick.domain.commands import CreateSweep
from tallystick.domain.events import AttemptEnded, Fact, Record, RunEnded
from tallystick.domain.ids import UNATTRIBUTED, SessionId, SweepId, Text
from tallystick.domain.policy import SESSION_PLACEHOLDER, Attribution
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome, Status, Tally, sweep_status
from tallystick.domain.sweep_events import (
    SweepArchived,
    SweepAttributed,
    SweepCreated,
    SweepEdited,
    SweepEvent,
    SweepMaterialised,
    SweepPaused,
    SweepPlanned,
    SweepResumed,
    SweepStarted,
    SweepStopped,
    SweepUnarchived,
)

QUICK_MS: Final = 60_000
"""A run that fails within so long of its start counts for the breaker; a longer one did work."""


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
    idle_ms: int = 0
    """How long nothing of it was left to do, before it went on."""
    archived: bool = False
    archived_at: int | None = None
    plan: SweepPlanned | None = None
    plan_seq: int | None = None
    planned: int = 0
    """Points of its plan; 0 without one."""
    registered: int = 0
    """Planned points that are runs."""
    parallel: int | None = None
    """Runs of it at a time; None: as many as there is room for."""
    started_seq: int | None = None
    """The entry that started or resumed it last."""
    stopped_seq: int | None = None
    resumed_seq: int | None = None
    halted: bool = False
    """Stopped, and not started since: no further point is registered."""
    paused: SweepPaused | None = None
    """Why no run of it is started."""
    to_queue: int = 0
    """Runs that were ready when it was started, and still are."""
    to_stop: int = 0
    """Runs that were queued or active when it was stopped, and still are."""
    to_requeue: int = 0
    """Runs that had ended without success when it was resumed, and were not queued again yet."""
    streak: int = 0
    """How many runs, one after the other, failed the same way within `QUICK_MS`."""
    streak_kind: str | None = None
    """In which way."""
    gpu_ms: int = 0
    """GPU time of its ended attempts, in milliseconds of one device."""
    unsettled: bool = False
    """Whether the planner has something to do for it; always what the other fields say."""
    begun: int = 0
    """Runs of it that were executed at least once; a budget of runs counts those."""
    runs: Tally = field(default_factory=Tally)
    put_away: Tally = field(default_factory=Tally)
    """Of them, those that are archived: neither started nor resumed with the rest."""

    @property
    def waiting(self) -> int:
        """Runs that a start would queue."""
        return self.runs.ready - self.put_away.ready

    @property
    def unsuccessful(self) -> int:
        """Runs that a resumption would queue again."""
        shown = self.runs.failed + self.runs.stopped
        return shown - self.put_away.failed - self.put_away.stopped

    @property
    def unregistered(self) -> int:
        """Points that are to become runs now."""
        return 0 if self.draft or self.halted else self.planned - self.registered

    @property
    def going(self) -> bool:
        """Whether a point is queued as soon as it is a run."""
        return self.started_seq is not None and not self.halted

    @property
    def done(self) -> bool:
        """Whether it had runs, all have ended, and no further one comes by itself."""
        return 0 < self.runs.total == self.runs.ended and self.unregistered <= 0

    @property
    def missing(self) -> int:
        """Runs that are ready although the plan is to execute them; else somebody left them so."""
        return 0 if self.plan is None else self.waiting

    @property
    def status(self) -> str:
        """The word that agents know."""
        missing = self.planned - self.registered
        return sweep_status(self.runs, draft=self.draft, missing=missing, halted=self.halted)


def decide_create(command: CreateSweep, attribution: Attribution) -> list[Fact]:
    """Create a sweep for a session that is already settled."""
    event = SweepCreated(
        name=command.name,
        goal=command.goal,
        wild=command.wild,
        draft=command.draft,
        parallel=command.parallel,
        violations=attribution.violations,
        request=command.request,
    )
    facts = [Fact(command.sweep, event, attribution.session)]
    if command.plan is not None:
        facts.append(Fact(command.sweep, command.plan, attribution.session))
    if command.start:
        facts.append(Fact(command.sweep, SweepStarted(), attribution.session))
    return facts


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
        parallel=event.parallel,
        violations=event.violations,
        created_at=record.ts,
        created_seq=record.seq,
        created_by=record.role,
    )


def evolve(state: Sweep, record: Record, event: SweepEvent) -> Sweep:
    """State after any later entry of the sweep's stream; total, never raises."""
    return _derived(_evolve(state, record, event), ts=record.ts)


def _derived(state: Sweep, *, ts: int) -> Sweep:
    """The fields that follow from others."""
    unsettled = state.unregistered > 0 or state.to_queue + state.to_stop + state.to_requeue > 0
    completed_at = (state.completed_at or ts) if state.done else None
    if (unsettled, completed_at) == (state.unsettled, state.completed_at):
        return state
    goes_on = completed_at is None and state.completed_at is not None
    idle_ms = state.idle_ms + (max(ts - (state.completed_at or ts), 0) if goes_on else 0)
    return replace(state, unsettled=unsettled, completed_at=completed_at, idle_ms=idle_ms)


def _evolve(state: Sweep, record: Record, event: SweepEvent) -> Sweep:
    """The change itself."""
    match event:
        case SweepAttributed():
            return replace(state, session=event.session)
        case SweepPlanned():
            return replace(state, plan=event, plan_seq=record.seq, planned=event.count)
        case SweepMaterialised():
            return replace(state, draft=False)
        case SweepStarted() | SweepResumed():
            return _started(state, record, event)
        case SweepStopped():
            return _stopped(state, record)
        case SweepPaused():
            return replace(state, paused=event)
        case SweepEdited():
            name, goal = event.name or state.name, event.goal or state.goal
            return replace(state, name=name, goal=goal)
        case SweepArchived():
            return replace(state, archived=True, archived_at=record.ts)
        case SweepUnarchived():
            return replace(state, archived=False, archived_at=None)
        case _:
            assert_never(event)


def _started(state: Sweep, record: Record, event: SweepStarted | SweepResumed) -> Sweep:
    """What is ready is queued from now on; resumed, what did not succeed as well."""
    after = replace(
        state,
        draft=False,
        halted=False,
        paused=None,
        streak=0,
        streak_kind=None,
        parallel=event.parallel or state.parallel,
        started_seq=record.seq,
        to_queue=state.waiting,
    )
    if isinstance(event, SweepStarted):
        return after
    return replace(
        after,
        resumed_seq=record.seq,
        to_requeue=state.unsuccessful,
        to_queue=state.missing,
    )


def _stopped(state: Sweep, record: Record) -> Sweep:
    """What is queued or active ends; what is ready stays so."""
    return replace(
        state,
        halted=True,
        stopped_seq=record.seq,
        to_queue=0,
        to_requeue=0,
        to_stop=state.runs.queued + state.runs.active,
    )


def with_run(state: Sweep, before: Run | None, after: Run | None, *, ts: int) -> Sweep:
    """State after one of its runs came, changed or left (None on either side)."""
    was = None if before is None else before.status
    now = None if after is None else after.status
    runs = state.runs.moved(was, now)
    started_at = state.started_at
    if started_at is None and now is Status.RUNNING:
        started_at = ts
    put_away = state.put_away.moved(_put_away(before), _put_away(after))
    moved = replace(
        _settling(state, before, after),
        runs=runs,
        put_away=put_away,
        started_at=started_at,
        begun=state.begun + _begun(after) - _begun(before),
    )
    if before is None and after is not None and after.point is not None:
        moved = replace(moved, registered=moved.registered + 1)
    return _derived(moved, ts=ts)


def _begun(run: Run | None) -> int:
    return int(run is not None and run.attempts > 0)


def _put_away(run: Run | None) -> Status | None:
    """The status of an archived run."""
    return run.status if run is not None and run.archived else None


def _settling(state: Sweep, before: Run | None, after: Run | None) -> Sweep:
    """The counters of what the planner still has to move."""
    queue, stop, requeue = (
        _one(concerns, state, after) - _one(concerns, state, before)
        for concerns in (_to_be_queued, _to_be_stopped, to_be_repeated)
    )
    if not (queue or stop or requeue):
        return state
    return replace(
        state,
        to_queue=state.to_queue + queue,
        to_stop=state.to_stop + stop,
        to_requeue=state.to_requeue + requeue,
    )


def _one(concerns: Callable[[Sweep, Run], bool], state: Sweep, run: Run | None) -> int:
    return int(run is not None and concerns(state, run))


def _to_be_queued(state: Sweep, run: Run) -> bool:
    """Whether the start of the sweep concerns the run as it is."""
    started = state.started_seq if state.to_queue else None
    ready = run.status is Status.READY and not run.archived
    return started is not None and ready and run.created_seq < started


def _to_be_stopped(state: Sweep, run: Run) -> bool:
    """Whether the stop of the sweep concerns the run as it is."""
    return state.to_stop > 0 and stopping(state, run)


def stopping(state: Sweep, run: Run) -> bool:
    """Whether the run was on its way when its sweep was stopped."""
    stopped = state.stopped_seq
    return stopped is not None and run.status in _MOVING and (run.queued_seq or 0) < stopped


_MOVING = frozenset({Status.QUEUED, Status.LAUNCHING, Status.RUNNING})


def to_be_repeated(state: Sweep, run: Run) -> bool:
    """Whether the resumption of the sweep concerns the run as it is."""
    resumed = state.resumed_seq if state.to_requeue else None
    unsuccessful = run.status in {Status.FAILED, Status.STOPPED} and not run.archived
    return resumed is not None and unsuccessful and (run.ended_seq or 0) < resumed


def with_end(
    state: Sweep, end: AttemptEnded | RunEnded, *, tries: int, gpu_ms: int, elapsed_ms: int | None
) -> Sweep:
    """State after an attempt of one of its runs ended, its `tries`-th since it was queued.

    `gpu_ms` is the time of its devices, `elapsed_ms` that of the command: None when it never
    started. A run counts for the breaker by its first try: else a grid would be burnt once for
    each retry before it acts, and a few runs with many retries would set it off.
    """
    used = replace(state, gpu_ms=state.gpu_ms + gpu_ms) if gpu_ms else state
    if end.outcome is Outcome.CANCELLED:
        return used
    if end.outcome is Outcome.SUCCEEDED or (elapsed_ms or 0) > QUICK_MS:
        return replace(used, streak=0, streak_kind=None)
    if tries > 1:
        return used
    kind = f"{end.outcome}:{end.reason_code}:{end.exit_code}:{end.signal}"
    streak = used.streak + 1 if kind == used.streak_kind else 1
    return replace(used, streak=streak, streak_kind=kind)
