"""A run: one registered trial (P3). State, what may happen to it, and what did."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from tallystick.domain.commands import (
    ArchiveRun,
    AssignAttempt,
    EditRun,
    QueueRun,
    RegisterRun,
    StopRun,
    UnarchiveRun,
)
from tallystick.domain.events import (
    AttemptAssigned,
    AttemptDescribed,
    AttemptSubmitted,
    AttemptUnsupervised,
    Fact,
    OutputSealed,
    Record,
    RunArchived,
    RunEdited,
    RunEnded,
    RunQueued,
    RunRegistered,
    RunStarted,
    RunStopRequested,
    RunUnarchived,
)
from tallystick.domain.ids import UNATTRIBUTED, AttemptId, RunId, SessionId, SweepId, Text
from tallystick.domain.policy import Attribution
from tallystick.domain.status import Outcome, Phase, Status, flatten
from tallystick.errors import ConflictError, InvalidError

RunEvent = (
    RunEdited
    | RunQueued
    | RunStopRequested
    | RunArchived
    | RunUnarchived
    | AttemptAssigned
    | AttemptSubmitted
    | RunStarted
    | AttemptDescribed
    | AttemptUnsupervised
    | OutputSealed
    | RunEnded
)
"""What can follow `run.registered` in a run's stream."""

RunCommand = EditRun | QueueRun | StopRun | ArchiveRun | UnarchiveRun | AssignAttempt
"""What can be asked of a run that exists."""


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
    attempt: AttemptId | None = None
    """The newest attempt."""
    attempts: int = 0
    stop_requested: bool = False
    unsupervised: bool = False
    created_at: int
    created_seq: int
    created_by: str
    queued_at: int | None = None
    queued_seq: int | None = None
    """Position in the queue: the sequence number of `run.queued`."""
    launched_at: int | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    ended_at: int | None = None
    archived_at: int | None = None
    changed_seq: int


def decide_register(
    command: RegisterRun, attribution: Attribution, *, marks: tuple[str, ...]
) -> list[Fact]:
    """Register a run whose session is settled; `marks` are further violations (P3.1)."""
    if command.name.n == 0 or command.command.n == 0 or command.workdir.n == 0:
        raise InvalidError("name, command and workdir: expected text, found an empty string")
    event = RunRegistered(
        sweep=command.sweep,
        name=command.name,
        command=command.command,
        workdir=command.workdir,
        environment=command.environment,
        params=command.params,
        parent=command.parent,
        origin_alert=command.origin_alert,
        gpuwrap=command.gpuwrap,
        violations=attribution.violations + marks,
        request=command.request,
    )
    facts = [Fact(command.run, event, attribution.session)]
    if command.start:
        facts.append(Fact(command.run, RunQueued(), attribution.session))
    return facts


def decide(state: Run, command: RunCommand) -> list[Fact]:
    """What a command does to a run; nothing when it is so already. Raises `ConflictError`."""
    match command:
        case EditRun():
            events = _decide_edit(state, command)
        case QueueRun():
            events = _decide_queue(state)
        case StopRun():
            events = _decide_stop(state)
        case ArchiveRun():
            events = _decide_archive(state)
        case UnarchiveRun():
            events = [RunUnarchived()] if state.archived else []
        case AssignAttempt():
            events = _decide_assign(state, command)
        case _:
            assert_never(command)
    return [Fact(state.id, event, state.session) for event in events]


def _decide_edit(state: Run, command: EditRun) -> list[RunEvent]:
    """P3.4: nothing changes once it has started."""
    if state.phase not in {Phase.READY, Phase.QUEUED}:
        raise ConflictError(
            f"run {state.id} is {state.status}: command, workdir and name can be changed only "
            "while it is ready or queued",
            code="run_immutable",
            hint="a run that has started is history; run the changed command as a new run",
            next_actions=(f'POST /runs/{state.id}/rerun with {{"command": "..."}}',),
            status=state.status,
        )
    wanted = (command.name, command.command, command.workdir)
    if any(text is not None and text.n == 0 for text in wanted):
        raise InvalidError("name, command and workdir: expected text, found an empty string")
    changed: dict[str, Text] = {}
    for key in ("name", "command", "workdir"):
        new = getattr(command, key)
        if new is not None and new != getattr(state, key):
            changed[key] = new
            changed[f"old_{key}"] = getattr(state, key)
    return [RunEdited(**changed)] if changed else []


def _decide_queue(state: Run) -> list[RunEvent]:
    """P3.2: asking again is safe."""
    if state.phase is Phase.ENDED:
        raise ConflictError(
            f"run {state.id} has ended ({state.status}); an ended run is never started again",
            code="run_ended",
            next_actions=(f"POST /runs/{state.id}/rerun",),
            status=state.status,
        )
    if state.archived:
        raise ConflictError(
            f"run {state.id} is archived; what executes stands in the ordinary lists",
            code="run_archived",
            next_actions=(f"POST /runs/{state.id}/unarchive",),
            status=state.status,
        )
    return [RunQueued()] if state.phase is Phase.READY else []


def _decide_stop(state: Run) -> list[RunEvent]:
    """A waiting run ends at once; an active one ends when its processes are gone (P3.6)."""
    if state.phase is Phase.ACTIVE:
        if state.stop_requested or state.attempt is None:
            return []
        return [RunStopRequested(attempt=state.attempt)]
    if state.phase is Phase.ENDED:
        return []
    return [RunEnded(outcome=Outcome.CANCELLED, reason_code="cancelled_before_start")]


def _decide_archive(state: Run) -> list[RunEvent]:
    """Only what does not move any more can be put away."""
    if state.phase is Phase.ACTIVE or state.phase is Phase.QUEUED:
        raise ConflictError(
            f"run {state.id} is {state.status}; only ready and ended runs can be archived",
            code="run_active",
            next_actions=(f"POST /runs/{state.id}/stop",),
            status=state.status,
        )
    return [] if state.archived else [RunArchived()]


def _decide_assign(state: Run, command: AssignAttempt) -> list[RunEvent]:
    """Only a queued run can be executed; assigning the same attempt again changes nothing."""
    if state.attempt == command.attempt:
        return []
    if state.phase is not Phase.QUEUED:
        raise ConflictError(f"run {state.id} is {state.status}, not queued", code="run_not_queued")
    event = AttemptAssigned(
        attempt=command.attempt,
        number=state.attempts + 1,
        backend=command.backend,
        run_token=command.run_token,
        supervisor_token=command.supervisor_token,
    )
    return [event]


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
    return after if status == after.status else replace(after, status=status)


def _evolve(state: Run, record: Record, event: RunEvent) -> Run:  # noqa: C901 - one flat match
    """The change itself, without the derived fields."""
    match event:
        case RunEdited():
            return replace(
                state,
                name=event.name or state.name,
                command=event.command or state.command,
                workdir=event.workdir or state.workdir,
            )
        case RunQueued():
            return replace(state, phase=Phase.QUEUED, queued_at=record.ts, queued_seq=record.seq)
        case RunStopRequested():
            return replace(state, stop_requested=True, stopped_at=record.ts)
        case RunArchived():
            return replace(state, archived=True, archived_at=record.ts)
        case RunUnarchived():
            return replace(state, archived=False, archived_at=None)
        case AttemptAssigned():
            return replace(
                state,
                phase=Phase.ACTIVE,
                attempt=event.attempt,
                attempts=event.number,
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
        ended_at=event.at or record.ts,
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
    "cancelled_before_start": "stopped before it started",
    "workdir_missing": "the working directory does not exist",
    "exec_failed": "the command could not be executed",
    "supervisor_killed": "lost: the supervisor was killed, and nothing tells how the command ended",
    "host_rebooted": "lost: the host was rebooted while the run was active",
    "supervisor_terminated": "ended with its supervisor, which somebody sent a signal to",
    "launch_failed": "the backend could not start it",
}
