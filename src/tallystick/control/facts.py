"""Loads the neighbouring facts that a decision needs, and asks the rules.

The only place that knows which states a command is about; what is allowed stands in `domain`.
"""

from typing import TypeVar

from tallystick.control import guard_facts
from tallystick.domain import alert as alerts
from tallystick.domain import attempt as attempts
from tallystick.domain import budget as budgets
from tallystick.domain import cluster as clusters
from tallystick.domain import commands as cm
from tallystick.domain import events as ev
from tallystick.domain import policy as policies
from tallystick.domain import protocol as protocols
from tallystick.domain import run as runs
from tallystick.domain import run_decisions, sweep_decisions
from tallystick.domain import session as sessions
from tallystick.domain import sweep as sweeps
from tallystick.domain import token as tokens
from tallystick.domain.events import Fact
from tallystick.domain.guard import GuardException
from tallystick.domain.guard_commands import GrantException, GuardCommand
from tallystick.domain.ids import PEOPLE, Actor, RequestMark, Role, RunId, SessionId, SweepId
from tallystick.domain.request import SeenRequest, check_repeat
from tallystick.domain.status import Outcome, Phase, StopReason
from tallystick.errors import ConflictError, NotFoundError, PolicyError
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
        case cm.CreateSweep() | cm.RegisterPoints():
            return command.sweep
        case _ if isinstance(command, SignalCommand):
            return _signal_subject(command)
        case _ if isinstance(command, GuardCommand):
            return guard_facts.subject_of(command)
        case _ if isinstance(command, sweep_decisions.SweepCommand):
            return command.sweep
        case _:
            return command.run


def _signal_subject(command: "SignalCommand") -> str:
    match command:
        case cm.SetBudget() | cm.ReportBudget():
            return budgets.stream_of(command.scope)
        case cm.SetCluster() | cm.Drain() | cm.Undrain():
            return clusters.CLUSTER
        case cm.RaiseAlert() | cm.AnswerAlert():
            return command.alert


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
    made: runs.Run | sweeps.Sweep | tokens.Token | alerts.Alert | GuardException | None = None
    match command:
        case cm.RegisterRun():
            made = world.run(command.run)
        case cm.CreateSweep():
            made = world.sweep(command.sweep)
        case cm.CreateToken():
            made = world.token(command.token)
        case cm.RaiseAlert():
            made = world.alert(command.alert)
        case GrantException():
            made = world.exception(command.exception)
        case _:
            return None
    if made is None:
        return None
    return SeenRequest(id=made.id, body="", subject=made.id, seq=made.created_seq)


def decide(world: World, command: cm.Command, *, by: Actor, now: int) -> list[Fact]:
    """The facts that a command leads to; raises a `Refusal` and changes nothing otherwise."""
    if isinstance(command, cm.RegisterRun):
        return _register(world, command, by)
    if isinstance(command, cm.CreateSweep):
        return _create_sweep(world, command, by)
    if isinstance(command, cm.MoveRun):
        return _move(world, command, by)
    if isinstance(command, cm.AssignAttempt):
        _check_still_next(world, run_of(world, command.run))
    if isinstance(command, cm.FailDependency) and not _in_vain(world, command.run):
        return []
    if isinstance(command, run_decisions.RunCommand):
        run = run_of(world, command.run)
        return [] if _outdated(world, command, run) else run_decisions.decide(run, command)
    if isinstance(command, sweep_decisions.SweepCommand):
        return _steer(world, command)
    if isinstance(command, attempts.AttemptCommand):
        return _report(world, command, now=now)
    if isinstance(command, SignalCommand):
        return _signal(world, command, by=by)
    return _administer(world, command, by=by, now=now)


def _check_still_next(world: World, run: runs.Run) -> None:
    """What somebody said since the scheduler chose a run comes first; raises `ConflictError`."""
    sweep = world.sweep(run.sweep) if run.sweep else None
    held_up = sweep is not None and (sweep.paused is not None or sweeps.stopping(sweep, run))
    if held_up or world.cluster().drained:
        raise ConflictError(
            f"run {run.id} is not to be started any more: its sweep was stopped or paused, or the "
            "server drained, since it was chosen",
            code="run_not_next",
        )


def _outdated(world: World, command: run_decisions.RunCommand, run: runs.Run) -> bool:
    """Whether the start of a sweep that asks for this is no longer its last word."""
    if not isinstance(command, cm.QueueRun | cm.RequeueRun) or command.of_start is None:
        return False
    sweep = world.sweep(run.sweep) if run.sweep else None
    return sweep is None or sweep.halted or sweep.started_seq != command.of_start


SignalCommand = (
    cm.RaiseAlert
    | cm.AnswerAlert
    | cm.SetBudget
    | cm.ReportBudget
    | cm.SetCluster
    | cm.Drain
    | cm.Undrain
)


def _signal(world: World, command: SignalCommand, *, by: Actor) -> list[Fact]:
    """Alerts, budgets and what people say about the machine."""
    match command:
        case cm.RaiseAlert():
            return alerts.decide_raise(run_of(world, command.run), command)
        case cm.AnswerAlert():
            return _answer(world, command)
        case cm.SetBudget():
            session = _session_in(world, command.scope)
            budget = world.budget(command.scope)
            return budgets.decide_set(budget, command, by=by, session=session)
        case cm.ReportBudget():
            budget = world.budget(command.scope)
            session = _session_in(world, command.scope)
            return budgets.decide_report(budget, command, session=session)
        case cm.SetCluster() | cm.Drain() | cm.Undrain():
            return clusters.decide(world.cluster(), command, by=by)


def _answer(world: World, command: cm.AnswerAlert) -> list[Fact]:
    """An answer, and the stop of the run when that is what was chosen."""
    alert = _found(
        world.alert(command.alert),
        "alert",
        command.alert,
        next_actions=("GET /alerts lists the alerts there are",),
    )
    facts = alerts.decide_answer(alert, command)
    if facts and command.action == "stop":
        facts += run_decisions.decide(
            run_of(world, alert.run), cm.StopRun(run=alert.run, why=StopReason.ALERT_ANSWERED)
        )
    return facts


def _session_in(world: World, scope: str) -> SessionId | None:
    """The session of a budget's scope, which must exist."""
    session = budgets.session_in(scope)
    if session is None:
        return sweep_of(world, SweepId(scope)).session
    _found(
        world.session(session),
        "session",
        session,
        next_actions=("GET /sessions lists the sessions there are",),
    )
    return session


def _in_vain(world: World, run: RunId) -> bool:
    """Whether a run waits for one that has ended without success, and is not about to be repeated.

    It may have been repeated, or its sweep resumed, since the scheduler looked.
    """
    needed = (run_of(world, key) for key in run_of(world, run).depends_on)
    return any(
        one.phase is Phase.ENDED
        and one.outcome is not Outcome.SUCCEEDED
        and not _to_be_repeated(world, one)
        for one in needed
    )


def _to_be_repeated(world: World, run: runs.Run) -> bool:
    sweep = world.sweep(run.sweep) if run.sweep else None
    return sweep is not None and sweeps.to_be_repeated(sweep, run)


def _steer(world: World, command: sweep_decisions.SweepCommand) -> list[Fact]:
    """What becomes of a sweep; what it is to execute counts in the budgets, which may refuse."""
    sweep = sweep_of(world, command.sweep)
    facts = sweep_decisions.decide(sweep, command)
    planned = sweep.planned
    match command:
        case cm.StartSweep() | cm.ResumeSweep() if facts:
            more = planned if sweep.draft else 0  # others were counted when they were declared
        case cm.EditSweep() if command.plan is not None and command.plan.count > planned:
            more = command.plan.count
        case cm.EditSweep() if facts and (command.materialise or command.start):
            more = planned if sweep.draft else 0
        case _:
            return facts
    return _budgeted(world, SessionId(sweep.session), sweep, more=more) + facts


def _administer(
    world: World,
    command: (
        cm.OpenLedger
        | cm.SetPolicy
        | cm.PublishProtocol
        | cm.CreateToken
        | cm.RevokeToken
        | GuardCommand
    ),
    *,
    by: Actor,
    now: int,
) -> list[Fact]:
    """What concerns the server as a whole, and what its guards report."""
    if isinstance(command, GuardCommand):
        return guard_facts.decide(world, command, by=by, now=now)
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
    for needed in command.depends_on:
        run_of(world, needed)
    facts += _budgeted(world, attribution.session, sweep, more=1)
    return facts + run_decisions.decide_register(command, attribution, marks=marks)


def _move(world: World, command: cm.MoveRun, by: Actor) -> list[Fact]:
    """It counts in the budget of its new sweep; what has run stays where it counts."""
    sweep, run = sweep_of(world, command.sweep), run_of(world, command.run)
    moved = run_decisions.decide(run, command)
    if not moved:
        return []
    left = world.budget(run.sweep) if run.sweep and run.attempts else None
    if left is not None and left.runs is not None and by.role not in PEOPLE:
        raise PolicyError(
            f"run {run.id} counts in the budget of sweep {run.sweep}; only people take it out",
            code="budget_exceeded",
            violations=["budget_exceeded"],
        )
    budget = world.budget(sweep.id)
    return budgets.passing(budget, sweep.runs.total, 1, session=run.session) + moved


def _budgeted(
    world: World, session: SessionId, sweep: sweeps.Sweep | None, *, more: int
) -> list[Fact]:
    """The budgets of session and sweep, with `more` runs."""
    known = world.session(session)
    had = 0 if known is None else known.runs.total
    own = budgets.passing(world.budget(budgets.scope_of(session)), had, more, session=session)
    if sweep is None:
        return own
    budget = world.budget(sweep.id)
    return own + budgets.passing(budget, sweep.runs.total, more, session=session)


def _create_sweep(world: World, command: cm.CreateSweep, by: Actor) -> list[Fact]:
    """A sweep, with the session that may come with it."""
    call = "POST /sweeps/wild" if command.wild else "POST /sweeps"
    attribution = policies.attribute(command.session, by=by, policy=world.policy(), call=call)
    facts = sessions.opening(attribution.session, world.session(attribution.session))
    if command.plan is not None:
        facts += _budgeted(world, attribution.session, None, more=command.plan.count)
    return facts + sweeps.decide_create(command, attribution)


def _report(world: World, command: attempts.AttemptCommand, *, now: int) -> list[Fact]:
    """What supervisor, backend or kernel said about an attempt.

    What fails while its sweep is being stopped is not tried again.
    """
    run = run_of(world, command.run)
    attempt = _found(world.attempt(command.attempt), "attempt", command.attempt)
    sweep = world.sweep(run.sweep) if run.sweep else None
    retry = sweep is None or not sweeps.stopping(sweep, run)
    return attempts.decide(run, attempt, command, now=now, retry=retry)


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
