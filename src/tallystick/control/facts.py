"""Loads the neighbouring facts that a decision needs, and asks the rules.

The only place that knows which states a command is about; what is allowed stands in `domain`.
"""

from typing import TypeVar

from tallystick.domain import attempt as attempts
from tallystick.domain import commands as cm
from tallystick.domain import events as ev
from tallystick.domain import policy as policies
from tallystick.domain import protocol as protocols
from tallystick.domain import run as runs
from tallystick.domain import session as sessions
from tallystick.domain import sweep as sweeps
from tallystick.domain import token as tokens
from tallystick.domain.events import Fact
from tallystick.domain.ids import Actor, RequestMark, Role, RunId, SweepId
from tallystick.domain.request import SeenRequest, check_repeat
from tallystick.errors import NotFoundError
from tallystick.projections.world import World

T = TypeVar("T")


def subject_of(command: cm.Command) -> str:
    """The id of what a command is about."""
    match command:
        case cm.OpenLedger():
            return "ledger"
        case cm.SetPolicy():
            return "policy"
        case cm.PublishProtocol():
            return protocols.stream_of(command.skill)
        case cm.CreateToken() | cm.RevokeToken():
            return command.token
        case cm.CreateSweep():
            return command.sweep
        case _:
            return command.run


def repeated(world: World, command: cm.Command, *, again: bool) -> SeenRequest | None:
    """The original of a request whose key, or whose own fresh id, is in the ledger already.

    The second can only be when a command is tried `again`: its commit was applied although it
    seemed to fail.
    """
    mark: RequestMark | None = getattr(command, "request", None)
    if mark is not None:
        seen = world.request(mark.k)
        if seen is not None:
            return check_repeat(seen, mark)
    if not again:
        return None
    made: runs.Run | sweeps.Sweep | tokens.Token | None = None
    match command:
        case cm.RegisterRun():
            made = world.run(command.run)
        case cm.CreateSweep():
            made = world.sweep(command.sweep)
        case cm.CreateToken():
            made = world.token(command.token)
        case _:
            return None
    if made is None:
        return None
    return SeenRequest(id=made.id, body="", subject=made.id, seq=made.created_seq)


def decide(world: World, command: cm.Command, *, by: Actor, now: int) -> list[Fact]:
    """The facts that a command leads to; raises a `Refusal` and changes nothing otherwise."""
    match command:
        case cm.RegisterRun():
            return _register(world, command, by)
        case cm.CreateSweep():
            return _create_sweep(world, command, by)
        case (
            cm.EditRun()
            | cm.QueueRun()
            | cm.StopRun()
            | cm.ArchiveRun()
            | cm.UnarchiveRun()
            | cm.AssignAttempt()
        ):
            return runs.decide(run_of(world, command.run), command)
        case (
            cm.OpenLedger()
            | cm.SetPolicy()
            | cm.PublishProtocol()
            | cm.CreateToken()
            | cm.RevokeToken()
        ):
            return _administer(world, command, by=by, now=now)
        case _:
            return _report(world, command)


def _administer(
    world: World,
    command: (cm.OpenLedger | cm.SetPolicy | cm.PublishProtocol | cm.CreateToken | cm.RevokeToken),
    *,
    by: Actor,
    now: int,
) -> list[Fact]:
    """What concerns the server as a whole."""
    match command:
        case cm.OpenLedger():
            return [Fact("ledger", ev.LedgerOpened(origin=command.origin, vkey=command.vkey))]
        case cm.SetPolicy():
            return policies.decide_set(world.policy(), command, by=by)
        case cm.PublishProtocol():
            return protocols.decide_publish(world.publication(command.skill), command)
        case cm.CreateToken():
            return tokens.decide_create(command, now=now, by_system=by.role is Role.SYSTEM)
        case cm.RevokeToken():
            token = _found(world.token(command.token), "token", command.token)
            return tokens.decide_revoke(token)


def _register(world: World, command: cm.RegisterRun, by: Actor) -> list[Fact]:
    """A run, with the session and the attribution that may come with it."""
    policy = world.policy()
    sweep = None
    marks: tuple[str, ...] = ()
    if command.sweep is None:
        marks = policies.require_sweep(policy=policy)
    else:
        sweep = sweep_of(world, command.sweep)
    if command.parent is not None:
        run_of(world, command.parent)
    claimed = command.session
    falls_back = command.session_of_sweep and by.session is None  # P1.2: the token's comes first
    if not (claimed and claimed.strip()) and falls_back and sweep is not None:
        claimed = sweep.session
    attribution = policies.attribute(claimed, by=by, policy=policy, call="POST /runs")
    facts = sessions.opening(attribution.session, world.session(attribution.session))
    if sweep is not None:
        facts += sweeps.attributing(sweep, attribution.session)
    return facts + runs.decide_register(command, attribution, marks=marks)


def _create_sweep(world: World, command: cm.CreateSweep, by: Actor) -> list[Fact]:
    """A sweep, with the session that may come with it."""
    call = "POST /sweeps/wild" if command.wild else "POST /sweeps"
    attribution = policies.attribute(command.session, by=by, policy=world.policy(), call=call)
    facts = sessions.opening(attribution.session, world.session(attribution.session))
    return facts + sweeps.decide_create(command, attribution)


def _report(world: World, command: attempts.AttemptCommand) -> list[Fact]:
    """What supervisor, backend or kernel said about an attempt."""
    run = run_of(world, command.run)
    attempt = _found(world.attempt(command.attempt), "attempt", command.attempt)
    return attempts.decide(run, attempt, command)


def run_of(world: World, run: RunId) -> runs.Run:
    """A run that must exist."""
    return _found(world.run(run), "run", run, next_actions=("GET /runs lists the runs there are",))


def sweep_of(world: World, sweep: SweepId) -> sweeps.Sweep:
    """A sweep that must exist."""
    return _found(
        world.sweep(sweep),
        "sweep",
        sweep,
        next_actions=(
            "GET /sweeps lists the sweeps there are",
            'POST /sweeps/wild with {"name": "...", "chat_session_id": "..."} creates one',
        ),
    )


def _found(state: T | None, noun: str, key: str, *, next_actions: tuple[str, ...] = ()) -> T:
    """The state, or the refusal that says it is not there."""
    if state is None:
        raise NotFoundError(
            f"{noun.capitalize()} not found: {key}",
            code=f"{noun}_not_found",
            next_actions=next_actions,
        )
    return state
