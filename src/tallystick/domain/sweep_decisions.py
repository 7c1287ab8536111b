"""What can be asked of a sweep that exists, and what follows (P2.2)."""

from typing import assert_never

from tallystick.domain.commands import (
    ArchiveSweep,
    EditSweep,
    PauseSweep,
    RegisterPoints,
    ResumeSweep,
    StartSweep,
    StopSweep,
    UnarchiveSweep,
)
from tallystick.domain.events import Fact, RunQueued, RunRegistered
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_events import (
    SweepArchived,
    SweepEdited,
    SweepEvent,
    SweepMaterialised,
    SweepPaused,
    SweepResumed,
    SweepStarted,
    SweepStopped,
    SweepUnarchived,
)
from tallystick.errors import ConflictError, InvalidError

SweepCommand = (
    EditSweep
    | StartSweep
    | StopSweep
    | ResumeSweep
    | PauseSweep
    | ArchiveSweep
    | UnarchiveSweep
    | RegisterPoints
)

MOST_POINTS = 500
"""Points registered by one command: enough to be fast, few enough that others soon follow."""


def decide(state: Sweep, command: SweepCommand) -> list[Fact]:
    """What a command does to a sweep; nothing when it is so already. Raises `ConflictError`."""
    if isinstance(command, RegisterPoints):
        return _register(state, command)
    events: list[SweepEvent] = []
    match command:
        case EditSweep():
            events = _edit(state, command)
        case StartSweep():
            events = _start(state, command)
        case StopSweep():
            events = _stop(state)
        case ResumeSweep():
            events = _resume(state, command)
        case PauseSweep():
            events = _pause(state, command)
        case ArchiveSweep():
            events = _archive(state)
        case UnarchiveSweep():
            events = [SweepUnarchived()] if state.archived else []
        case _:
            assert_never(command)
    return [Fact(state.id, event, state.session) for event in events]


def _edit(state: Sweep, command: EditSweep) -> list[SweepEvent]:
    """Name and goal at any time; the plan while nothing has been made of it (P3.4)."""
    events: list[SweepEvent] = []
    changed = {}
    for key in ("name", "goal"):
        new = getattr(command, key)
        if new is not None and new != getattr(state, key):
            changed[key] = new
            changed[f"old_{key}"] = getattr(state, key)
    if changed:
        events.append(SweepEdited(**changed))
    if command.plan is not None and command.plan != state.plan:
        if state.runs.total or state.registered:
            raise ConflictError(
                f"sweep {state.id} has {state.runs.total} runs: its parameters, base command, "
                "directory and max_runs can be changed only before the first one",
                code="sweep_immutable",
                hint="what was run is history; declare the changed space as another sweep",
                next_actions=("POST /sweeps with the changed fields",),
                status=state.status,
            )
        if command.plan_base != state.plan_seq:
            raise ConflictError(
                f"sweep {state.id} was planned anew by somebody else at the same moment",
                code="edited_meanwhile",
                next_actions=(f"GET /sweeps/{state.id}", f"PUT /sweeps/{state.id} once more"),
                status=state.status,
            )
        events.append(command.plan)
    if command.materialise and state.draft:
        _refuse_archived(state)
        events.append(SweepMaterialised())
    if command.start:
        events += _start(state, StartSweep(sweep=state.id))
    return events


def _start(state: Sweep, command: StartSweep) -> list[SweepEvent]:
    """Asking again changes nothing but the parallelism; what is paused has to be resumed."""
    _refuse_archived(state)
    _refuse_stopping(state)
    if state.paused:
        return []
    changes = command.parallel is not None and command.parallel != state.parallel
    idle = state.waiting > state.to_queue or state.draft or state.halted
    waits = state.unregistered > 0 and not state.going
    if not (changes or idle or waits or state.started_seq is None):
        return []
    return [SweepStarted(parallel=command.parallel)]


def _stop(state: Sweep) -> list[SweepEvent]:
    """Right in every state; what is ready stays ready."""
    moving = state.runs.queued + state.runs.active
    if state.halted and moving == state.to_stop:  # all that moves is ending already
        return []
    return [SweepStopped()] if moving or state.unregistered > 0 or state.going else []


def _resume(state: Sweep, command: ResumeSweep) -> list[SweepEvent]:
    """What succeeded is left alone."""
    _refuse_archived(state)
    _refuse_stopping(state)
    ended = state.unsuccessful > state.to_requeue
    idle = ended or state.missing > state.to_queue or state.paused or state.halted
    missing = state.planned > state.registered and not state.going  # else they are on their way
    return [SweepResumed(parallel=command.parallel)] if idle or missing else []


def _pause(state: Sweep, command: PauseSweep) -> list[SweepEvent]:
    """The streak may have been broken since the scheduler looked."""
    if state.paused or state.streak_kind is None or state.streak < command.failures:
        return []
    outcome, _, exit_code, signal = state.streak_kind.split(":")
    paused = SweepPaused(
        reason_code="breaker",
        failures=state.streak,
        outcome=outcome,
        exit_code=None if exit_code == "None" else int(exit_code),
        signal=None if signal == "None" else int(signal),
    )
    return [paused]


def _archive(state: Sweep) -> list[SweepEvent]:
    """Only what does not move any more can be put away."""
    owed = state.to_queue or state.to_requeue or (state.unregistered > 0 and state.going)
    if state.runs.queued or state.runs.active or owed:
        raise ConflictError(
            f"sweep {state.id} is {state.status}; only one without queued and active runs can be "
            "archived",
            code="sweep_active",
            next_actions=(f"POST /sweeps/{state.id}/stop",),
            status=state.status,
        )
    return [] if state.archived else [SweepArchived()]


def _register(state: Sweep, command: RegisterPoints) -> list[Fact]:
    """The next points of the plan, in its order; exactly once, whoever asks how often."""
    if command.first != state.registered or state.unregistered < len(command.runs):
        return []
    if command.plan_seq != state.plan_seq:  # it was replaced meanwhile
        return []
    if len(command.runs) > MOST_POINTS or state.plan is None:
        raise InvalidError(f"runs: expected at most {MOST_POINTS} of a plan")
    facts: list[Fact] = []
    for offset, planned in enumerate(command.runs):
        event = RunRegistered(
            sweep=state.id,
            name=planned.name,
            command=planned.command,
            workdir=state.plan.workdir,
            environment=planned.environment or state.plan.environment,
            params=planned.params,
            demands=state.plan.demands,
            tags=state.plan.tags,
            point=command.first + offset,
            violations=state.violations,
        )
        facts.append(Fact(planned.run, event, state.session))
        if state.going:
            facts.append(Fact(planned.run, RunQueued(), state.session))
    return facts


def _refuse_archived(state: Sweep) -> None:
    if state.archived:
        raise ConflictError(
            f"sweep {state.id} is archived; what executes stands in the ordinary lists",
            code="sweep_archived",
            next_actions=(f"POST /sweeps/{state.id}/unarchive",),
            status=state.status,
        )


def _refuse_stopping(state: Sweep) -> None:
    """What ends just now would be neither stopped nor resumed."""
    if state.to_stop:
        raise ConflictError(
            f"sweep {state.id} is being stopped: {state.to_stop} of its runs are still ending",
            code="sweep_stopping",
            hint="a stop is true when every process has ended; then resume",
            next_actions=(
                f"GET /sweeps/{state.id}?wait=55",
                f"POST /sweeps/{state.id}/resume",
            ),
            status=state.status,
        )
