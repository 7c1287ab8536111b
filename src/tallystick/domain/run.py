"""A run: one registered trial (P3). Its state, and what each entry makes of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from tallystick.domain.demands import Demands
from tallystick.domain.events import (
    AttemptAssigned,
    AttemptDescribed,
    AttemptEnded,
    AttemptSubmitted,
    AttemptUnsupervised,
    OutputSealed,
    Record,
    RunAnnotated,
    RunArchived,
    RunEdited,
    RunEnded,
    RunMoved,
    RunQueued,
    RunRegistered,
    RunReleased,
    RunRequeued,
    RunStarted,
    RunStopRequested,
    RunUnarchived,
)
from tallystick.domain.ids import (
    UNATTRIBUTED,
    AttemptId,
    RunId,
    SessionId,
    SweepId,
    Text,
)
from tallystick.domain.status import Outcome, Phase, Status, StopReason, flatten

RunEvent = (
    RunEdited
    | RunQueued
    | RunReleased
    | RunRequeued
    | RunMoved
    | RunStopRequested
    | RunArchived
    | RunUnarchived
    | RunAnnotated
    | AttemptAssigned
    | AttemptSubmitted
    | RunStarted
    | AttemptDescribed
    | AttemptUnsupervised
    | OutputSealed
    | AttemptEnded
    | RunEnded
)
"""What can follow `run.registered` in a run's stream."""


MOST_TAGS: Final = 16
"""On one run; they fit into one entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """State of one run. Times are milliseconds; texts are commitments."""

    id: RunId
    sweep: SweepId | None = None
    session: SessionId
    name: Text
    command: Text
    workdir: Text
    environment: Text | None = None
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    parent: RunId | None = None
    origin_alert: str | None = None
    gpuwrap: Text | None = None
    demands: Demands = field(default_factory=Demands)
    tags: tuple[str, ...] = ()
    depends_on: tuple[RunId, ...] = ()
    point: int | None = None
    """Its place in the plan of its sweep, from 0."""
    violations: tuple[str, ...] = ()
    phase: Phase = Phase.READY
    status: Status = Status.READY
    """Always what `flatten` says; kept so that lists can be filtered by it."""
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason_code: str | None = None
    reason: Text | None = None
    archived: bool = False
    starred: bool = False
    note: Text | None = None
    attempt: AttemptId | None = None
    """The newest attempt."""
    attempts: int = 0
    tries: int = 0
    """Attempts since it was queued by somebody; retries are counted against it."""
    urgency: int = 0
    """The priority, negated: what sorts first starts first."""
    lane: str | None = None
    """Where it stands in the queue: the same for runs that wait for the same things (session,
    sweep, resources, priority). None unless it is queued, and not held."""
    held: bool = False
    """Queued, and waits for the runs that it depends on."""
    not_before: int | None = None
    """A retry waits until then."""
    stop_requested: bool = False
    stop_why: StopReason | None = None
    """What asked for the stop, where that was not a request for this very run."""
    unsupervised: bool = False
    created_at: int
    created_seq: int
    created_by: str
    queued_at: int | None = None
    queued_seq: int | None = None
    """Its age in the queue: the entry that queued it, or that moved it into its sweep since."""
    launched_at: int | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    ended_at: int | None = None
    ended_seq: int | None = None
    archived_at: int | None = None
    changed_seq: int


def registered(record: Record, event: RunRegistered) -> Run:
    """State after `run.registered`."""
    return Run(
        id=RunId(record.stream),
        sweep=event.sweep,
        session=record.session or UNATTRIBUTED,
        name=event.name,
        command=event.command,
        workdir=event.workdir,
        environment=event.environment,
        params=event.params,
        parent=event.parent,
        origin_alert=event.origin_alert,
        gpuwrap=event.gpuwrap,
        demands=event.demands,
        tags=event.tags,
        depends_on=event.depends_on,
        point=event.point,
        urgency=-event.demands.priority,
        violations=event.violations,
        created_at=record.ts,
        created_seq=record.seq,
        created_by=record.role,
        changed_seq=record.seq,
    )


def evolve(state: Run, record: Record, event: RunEvent) -> Run:
    """State after any later entry of the run's stream; total, never raises."""
    after = replace(_evolve(state, record, event), changed_seq=record.seq)
    status = flatten(after.phase, after.outcome, started=after.started_at is not None)
    lane = _lane(after)
    if (status, lane) == (after.status, after.lane):
        return after
    return replace(after, status=status, lane=lane)


def _lane(state: Run) -> str | None:
    """Runs with the same lane start in the order in which they were queued."""
    if state.phase is not Phase.QUEUED or state.held:
        return None
    asked = state.demands
    same = (
        state.session,
        state.sweep,
        asked.priority,
        asked.cpus,
        asked.gpus,
        asked.gpu_memory_mb,
        asked.memory_mb,
        asked.pins,
        state.attempts > 0,  # no budget of runs holds up what it has allowed
    )
    return hashlib.sha256(repr(same).encode()).hexdigest()[:24]


def _evolve(  # noqa: C901, PLR0912 - one flat match
    state: Run, record: Record, event: RunEvent
) -> Run:
    """The change itself, without the derived fields."""
    match event:
        case RunEdited():
            return replace(
                state,
                name=event.name or state.name,
                command=event.command or state.command,
                workdir=event.workdir or state.workdir,
                demands=event.demands or state.demands,
                urgency=-(event.demands or state.demands).priority,
            )
        case RunQueued():
            return _queued(state, record, tries=0, held=bool(state.depends_on))
        case RunRequeued():
            return _queued(state, record, tries=0, held=bool(state.depends_on))
        case AttemptEnded():
            return _queued(state, record, tries=state.tries, not_before=event.retry_at)
        case RunReleased():
            return replace(state, held=False)
        case RunMoved():
            waits = state.phase in {Phase.QUEUED, Phase.ACTIVE}
            queued_seq = record.seq if waits else state.queued_seq  # no earlier stop concerns it
            return replace(state, sweep=event.sweep, queued_seq=queued_seq)
        case RunStopRequested():
            return replace(state, stop_requested=True, stop_why=event.why, stopped_at=record.ts)
        case RunArchived():
            return replace(state, archived=True, archived_at=record.ts)
        case RunUnarchived():
            return replace(state, archived=False, archived_at=None)
        case RunAnnotated():
            return replace(
                state,
                tags=state.tags if event.tags is None else event.tags,
                starred=state.starred if event.starred is None else event.starred,
                note=state.note if event.note is None else event.note if event.note.n else None,
            )
        case AttemptAssigned():
            return replace(
                state,
                phase=Phase.ACTIVE,
                attempt=event.attempt,
                attempts=event.number,
                tries=state.tries + 1,
                launched_at=record.ts,
            )
        case RunStarted():
            return replace(state, started_at=event.at or record.ts)
        case AttemptUnsupervised():
            return replace(state, unsupervised=True)
        case AttemptSubmitted() | AttemptDescribed() | OutputSealed():
            return state
        case RunEnded():
            return _ended(state, record, event)
        case _:
            assert_never(event)


def _queued(
    state: Run, record: Record, *, tries: int, held: bool = False, not_before: int | None = None
) -> Run:
    """State of a run that waits for its first or its next attempt; what was before is history."""
    return replace(
        state,
        phase=Phase.QUEUED,
        outcome=None,
        exit_code=None,
        signal=None,
        reason_code=None,
        reason=None,
        tries=tries,
        held=held,
        not_before=not_before,
        stop_requested=False,
        stop_why=None,
        unsupervised=False,
        queued_at=record.ts,
        queued_seq=record.seq,
        launched_at=None,
        started_at=None,
        stopped_at=None,
        ended_at=None,
        ended_seq=None,
    )


def _ended(state: Run, record: Record, event: RunEnded) -> Run:
    """State after `run.ended`."""
    return replace(
        state,
        phase=Phase.ENDED,
        outcome=event.outcome,
        exit_code=event.exit_code,
        signal=event.signal,
        reason_code=event.reason_code,
        reason=event.reason,
        held=False,
        not_before=None,
        ended_at=event.at or record.ts,
        ended_seq=record.seq,
        stopped_at=state.stopped_at or (record.ts if event.outcome is Outcome.CANCELLED else None),
    )


def explain(state: Run) -> str | None:
    """Why the run is where it is, in words; None when the status says it all."""
    if state.unsupervised and state.phase is Phase.ACTIVE:
        return "supervisor lost, watched by the server"
    if state.phase is Phase.ACTIVE and state.stop_requested:
        return "stopping: waiting for every process of the run to end"
    if state.reason_code is None:
        return None
    if state.reason_code == "exit_code":
        return f"exit code {state.exit_code}"
    if state.reason_code == "signal":
        return f"ended by signal {state.signal}"
    return _REASONS.get(state.reason_code, state.reason_code)


_REASONS = {
    "succeeded": None,
    "stop_requested": "stopped on request",
    "sweep_stopped": "stopped with its sweep",
    "budget_reached": "stopped: a budget of its session or its sweep was used up",
    "alert_answered": "stopped by the answer to an alert",
    "cancelled_before_start": "stopped before it started",
    "cancelled_between_attempts": "stopped while it waited for its next attempt",
    "dependency_failed": "a run that it depends on did not succeed",
    "timed_out": "ran longer than its time limit",
    "kernel_out_of_memory": "out of memory: the kernel ended it",
    "cuda_out_of_memory": "out of memory on its GPU",
    "workdir_missing": "the working directory does not exist",
    "exec_failed": "the command could not be executed",
    "supervisor_killed": "lost: the supervisor was killed, and nothing tells how the command ended",
    "host_rebooted": "lost: the host was rebooted while the run was active",
    "supervisor_terminated": "ended with its supervisor, which somebody sent a signal to",
    "launch_failed": "the backend could not start it",
}
