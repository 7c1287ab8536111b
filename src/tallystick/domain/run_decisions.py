"""What can be asked of a run, and what follows (P3)."""

from typing import Any, assert_never

from tallystick.domain.commands import (
    AnnotateRun,
    ArchiveRun,
    AssignAttempt,
    EditRun,
    FailDependency,
    MoveRun,
    QueueRun,
    RegisterRun,
    ReleaseRun,
    RequeueRun,
    StopRun,
    UnarchiveRun,
)
from tallystick.domain.events import (
    AttemptAssigned,
    Fact,
    RunAnnotated,
    RunArchived,
    RunEdited,
    RunEnded,
    RunMoved,
    RunQueued,
    RunRegistered,
    RunReleased,
    RunRequeued,
    RunStopRequested,
    RunUnarchived,
)
from tallystick.domain.policy import Attribution
from tallystick.domain.run import MOST_TAGS, Run, RunEvent
from tallystick.domain.status import Outcome, Phase
from tallystick.errors import ConflictError, InvalidError

RunCommand = (
    EditRun
    | QueueRun
    | RequeueRun
    | ReleaseRun
    | FailDependency
    | MoveRun
    | StopRun
    | ArchiveRun
    | UnarchiveRun
    | AnnotateRun
    | AssignAttempt
)
"""What can be asked of a run that exists."""


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
        demands=command.demands,
        tags=command.tags,
        depends_on=command.depends_on,
        violations=attribution.violations + marks,
        request=command.request,
    )
    facts = [Fact(command.run, event, attribution.session)]
    if command.start:
        facts.append(Fact(command.run, RunQueued(), attribution.session))
    return facts


def decide(  # noqa: C901 - one flat match
    state: Run, command: RunCommand
) -> list[Fact]:
    """What a command does to a run; nothing when it is so already. Raises `ConflictError`."""
    match command:
        case EditRun():
            events = _decide_edit(state, command)
        case QueueRun():
            events = _decide_queue(state)
        case RequeueRun():
            events = _decide_requeue(state)
        case ReleaseRun() | FailDependency():
            events = _decide_dependency(state, command)
        case MoveRun():
            events = _decide_move(state, command)
        case StopRun():
            events = _decide_stop(state, command)
        case ArchiveRun():
            events = _decide_archive(state)
        case UnarchiveRun():
            events = [RunUnarchived()] if state.archived else []
        case AnnotateRun():
            events = _decide_annotate(state, command)
        case AssignAttempt():
            events = _decide_assign(state, command)
        case _:
            assert_never(command)
    return [Fact(state.id, event, state.session) for event in events]


def _decide_edit(state: Run, command: EditRun) -> list[RunEvent]:
    """P3.4: nothing changes once it has started."""
    if state.phase not in {Phase.READY, Phase.QUEUED} or state.attempts:
        raise ConflictError(
            f"run {state.id} is {state.status} and has had {state.attempts} attempts: it can be "
            "changed only before the first one",
            code="run_immutable",
            hint="a run that has started is history; run the changed command as a new run",
            next_actions=(f'POST /runs/{state.id}/rerun with {{"command": "..."}}',),
            status=state.status,
        )
    wanted = (command.name, command.command, command.workdir)
    if any(text is not None and text.n == 0 for text in wanted):
        raise InvalidError("name, command and workdir: expected text, found an empty string")
    if command.demands is not None and command.demands_base not in (None, state.demands):
        raise ConflictError(
            f"run {state.id} was changed by somebody else at the same moment",
            code="edited_meanwhile",
            next_actions=(f"GET /runs/{state.id}", f"PUT /runs/{state.id} once more"),
            status=state.status,
        )
    changed: dict[str, Any] = {}
    for key in ("name", "command", "workdir", "demands"):
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


def _decide_requeue(state: Run) -> list[RunEvent]:
    """A resumed sweep repeats what has ended without success, in the same run."""
    again = state.phase is Phase.ENDED and state.outcome is not Outcome.SUCCEEDED
    return [RunRequeued()] if again and not state.archived else []


def _decide_dependency(state: Run, command: ReleaseRun | FailDependency) -> list[RunEvent]:
    """A queued run that waits for others: they have succeeded, or one of them never will."""
    if state.phase is not Phase.QUEUED or not state.held:
        return []
    if isinstance(command, ReleaseRun):
        return [RunReleased()]
    return [
        RunEnded(outcome=Outcome.CANCELLED, reason_code="dependency_failed", reason=command.reason)
    ]


def _decide_move(state: Run, command: MoveRun) -> list[RunEvent]:
    """A run changes its sweep only while nothing of either is decided by it."""
    if state.sweep == command.sweep:
        return []
    if state.point is not None:
        raise ConflictError(
            f"run {state.id} is point {state.point} of the plan of sweep {state.sweep}; a plan "
            "keeps its runs",
            code="run_planned",
            next_actions=(f'POST /runs with {{"sweep_id": "{command.sweep}", ...}}',),
        )
    if state.sweep is not None and state.phase in {Phase.QUEUED, Phase.ACTIVE}:
        raise ConflictError(
            f"run {state.id} is {state.status} in sweep {state.sweep}; expected one that is ready "
            "or has ended",
            code="run_active",
            next_actions=(f"POST /runs/{state.id}/stop",),
            status=state.status,
        )
    return [RunMoved(sweep=command.sweep, old_sweep=state.sweep)]


def _decide_stop(state: Run, command: StopRun) -> list[RunEvent]:
    """A waiting run ends at once; an active one ends when its processes are gone (P3.6)."""
    if state.phase is Phase.ACTIVE:
        if state.stop_requested or state.attempt is None:
            return []
        return [RunStopRequested(attempt=state.attempt, why=command.why)]
    if state.phase is Phase.ENDED:
        return []
    code = "cancelled_between_attempts" if state.attempts else "cancelled_before_start"
    return [RunEnded(outcome=Outcome.CANCELLED, reason_code=code)]


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


def _decide_annotate(state: Run, command: AnnotateRun) -> list[RunEvent]:
    """Opinions may change at any time; what a run did does not (P3.4)."""
    kept = [tag for tag in state.tags if tag not in command.remove_tags]
    tags = tuple(dict.fromkeys([*kept, *command.add_tags]))
    if len(tags) > MOST_TAGS:
        raise InvalidError(
            f"tags: expected at most {MOST_TAGS} on a run; found {len(tags)}", code="tags_invalid"
        )
    none_before = state.note is None and command.note is not None and command.note.n == 0
    event = RunAnnotated(
        tags=None if tags == state.tags else tags,
        starred=None if command.starred == state.starred else command.starred,
        note=None if none_before else command.note,
    )
    return [] if event == RunAnnotated() else [event]


def _decide_assign(state: Run, command: AssignAttempt) -> list[RunEvent]:
    """Only a queued run can be executed; assigning the same attempt again changes nothing."""
    if state.attempt == command.attempt:
        return []
    if state.phase is not Phase.QUEUED or state.held:
        raise ConflictError(f"run {state.id} is {state.status}, not next", code="run_not_queued")
    event = AttemptAssigned(
        attempt=command.attempt,
        number=state.attempts + 1,
        backend=command.backend,
        run_token=command.run_token,
        supervisor_token=command.supervisor_token,
        gpus=command.gpus,
    )
    return [event]
