"""Which states a command is decided against: sessions, sweeps and tokens together."""

from typing import Any

import pytest

from tallystick.control import facts
from tallystick.domain import commands as cm
from tallystick.domain.ids import Actor, Enforcement, Role, SessionId, SweepId, TokenId
from tallystick.errors import ForbiddenError, PolicyError
from tallystick.projections import sessions, sweeps
from tallystick.testing.spine import AGENT, PERSON
from tests.unit.control.road import Road, minted

BOUND = Actor(TokenId("tok_0123456789ab"), Role.AGENT, SessionId("chat-bound"))
PLACEHOLDER = "$CHAT_SESSION_ID"


def register(road: Road, *, by: Actor = AGENT, **changes: Any) -> Any:
    texts = road.texts()
    return road.handle(road.registration(texts, **changes), by=by, texts=texts).run


def sweep_session(road: Road, sweep: SweepId) -> str:
    with road.database.read() as tx:
        found = sweeps.get(tx, sweep)
    assert found is not None
    return found.session


def test_the_first_sighting_of_a_session_opens_it_once(road: Road) -> None:
    road.sweep(session="chat-a")
    road.sweep(session="chat-a")
    road.sweep(session="chat-b")
    assert road.types().count("session.opened") == 2
    with road.database.read() as tx:
        assert [found.id for found in sessions.page(tx, limit=9)] == ["chat-b", "chat-a"]


def test_the_first_real_run_names_the_session_of_a_sweep_with_a_placeholder(road: Road) -> None:
    sweep = road.sweep(session=PLACEHOLDER)
    assert sweep_session(road, sweep) == "unattributed"
    register(road, sweep=sweep, session=PLACEHOLDER)
    assert sweep_session(road, sweep) == "unattributed"
    register(road, sweep=sweep, session="chat-real")
    assert sweep_session(road, sweep) == "chat-real"
    register(road, sweep=sweep, session="chat-later")
    assert sweep_session(road, sweep) == "chat-real"
    assert road.types().count("sweep.attributed") == 1


def test_a_run_can_fall_back_on_the_session_of_its_sweep(road: Road) -> None:
    sweep = road.sweep(session="chat-s")
    for nothing in (None, "", "  "):
        run = register(road, sweep=sweep, session=nothing, session_of_sweep=True)
        assert (run.session, run.violations) == ("chat-s", ())
    with pytest.raises(PolicyError):
        register(road, sweep=sweep, session=None)


def test_a_session_that_nobody_named_is_no_session_to_fall_back_on_in_silence(road: Road) -> None:
    sweep = road.sweep(session=PLACEHOLDER)
    run = register(road, sweep=sweep, session=None, session_of_sweep=True)
    assert (run.session, run.violations) == ("unattributed", ("session_placeholder",))


def test_a_bound_token_may_use_another_sessions_sweep_and_keeps_its_own_session(
    road: Road,
) -> None:
    sweep = road.sweep(session="chat-s")
    run = register(road, by=BOUND, sweep=sweep, session=None, session_of_sweep=True)
    assert (run.session, run.violations) == ("chat-bound", ())
    with pytest.raises(ForbiddenError):
        register(road, by=BOUND, sweep=sweep, session="chat-s")


def test_a_run_without_sweep_follows_the_policy_in_force(road: Road) -> None:
    with pytest.raises(PolicyError) as refusal:
        register(road, sweep=None)
    assert refusal.value.code == "sweep_required"
    road.handle(cm.SetPolicy(sweep=Enforcement.WARN), by=PERSON)
    assert register(road, sweep=None).violations == ("sweep_missing",)
    road.handle(cm.SetPolicy(session=Enforcement.WARN), by=PERSON)
    run = register(road, sweep=None, session=None)
    assert run.violations == ("session_missing", "sweep_missing")


@pytest.mark.parametrize(("wild", "route"), [(True, "POST /sweeps/wild"), (False, "POST /sweeps ")])
def test_a_refused_sweep_names_its_own_route(road: Road, route: str, *, wild: bool) -> None:
    with pytest.raises(PolicyError) as refusal:
        road.sweep(session=None, wild=wild)
    assert refusal.value.next_actions[0].startswith(route)


def test_every_command_has_a_subject() -> None:
    run, token = "run_00000000000a", minted("00000000000d")
    about: dict[str, Any] = {"run": run, "attempt": "att_0"}
    expected: list[tuple[Any, str]] = [
        (cm.OpenLedger(origin="o", vkey="v"), "ledger"),
        (cm.SetPolicy(), "policy"),
        (cm.PublishProtocol(skill="s", sha256="0"), "protocol:s"),
        (cm.CreateToken(token=token.token, role=Role.AGENT, sha256="0"), token.token),
        (cm.RevokeToken(token=token.token), token.token),
        (cm.StopRun(run=about["run"]), run),
        (cm.RecordSupervisorLost(**about), run),
    ]
    for command, subject in expected:
        assert facts.subject_of(command) == subject
