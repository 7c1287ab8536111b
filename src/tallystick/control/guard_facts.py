"""Loads the neighbouring facts that a decision about the guard needs, and asks the rules."""

from tallystick.domain import guard as guards
from tallystick.domain import guard_commands as gc
from tallystick.domain import session as sessions
from tallystick.domain.events import Fact
from tallystick.domain.ids import Actor
from tallystick.projections.world import World


def subject_of(command: gc.GuardCommand) -> str:
    """The id of what a command is about."""
    match command:
        case gc.RecordDecision():
            return command.decision
        case gc.GrantException():
            return command.exception
        case gc.AcceptPolicy():
            return command.project


def decide(world: World, command: gc.GuardCommand, *, by: Actor, now: int) -> list[Fact]:
    """The facts that a command leads to; raises a `Refusal` and changes nothing otherwise."""
    match command:
        case gc.RecordDecision():
            return _record(world, command, by)
        case gc.GrantException():
            return guards.decide_grant(command, by=by, now=now)
        case gc.AcceptPolicy():
            return guards.decide_accept(world.project(command.project), command, by=by)


def _record(world: World, command: gc.RecordDecision, by: Actor) -> list[Fact]:
    """A decision, with the session that may come with it."""
    known = world.decision(command.decision)
    if known is not None:
        return []
    attribution = guards.attribute_decision(command, by=by)
    facts = guards.decide_record(
        command,
        attribution,
        known=known,
        exception=world.exception(command.exception) if command.exception else None,
        project=world.project(command.of_project),
    )
    return sessions.opening(attribution.session, world.session(attribution.session)) + facts
