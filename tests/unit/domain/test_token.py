"""Tokens: P9.2."""

from dataclasses import replace
from typing import Any

import pytest

from tallystick.domain import token as tokens
from tallystick.domain.commands import CreateToken
from tallystick.domain.events import TokenCreated, TokenRevoked
from tallystick.domain.ids import Role, SessionId
from tallystick.domain.token import Token
from tallystick.errors import ConflictError, InvalidError
from tests.unit.domain.states import (
    ASSIGNED,
    ATTEMPT,
    MARK,
    RUN,
    SESSION,
    SHA,
    START,
    TOKEN,
    record,
)

NOW = START


def create(role: Role = Role.AGENT, **changes: Any) -> CreateToken:
    return CreateToken(token=TOKEN, role=role, sha256=SHA, **changes)


def created(command: CreateToken, *, by_system: bool = False) -> Token:
    (fact,) = tokens.decide_create(command, now=NOW, by_system=by_system)
    assert isinstance(fact.event, TokenCreated)
    assert fact.stream == TOKEN
    return tokens.created(record(fact.event, stream=TOKEN, seq=4), fact.event)


@pytest.mark.parametrize("role", list(Role))
def test_people_hand_out_four_roles_and_no_other(role: Role) -> None:
    if role in {Role.ADMINISTRATOR, Role.RESEARCHER, Role.AGENT, Role.AUDITOR}:
        assert created(create(role)).role is role
        return
    with pytest.raises(InvalidError) as refusal:
        created(create(role))
    assert refusal.value.code == "role_invalid"
    assert "agent" in refusal.value.detail
    assert created(create(role), by_system=True).role is role


def test_a_token_keeps_its_hash_session_and_end() -> None:
    state = created(create(session=SESSION, expires_at=NOW + 1, request=MARK))
    assert state == Token(
        id=TOKEN,
        role=Role.AGENT,
        sha256=SHA,
        created_at=START,
        created_seq=4,
        session=SESSION,
        expires_at=NOW + 1,
    )


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1, 0])
def test_a_token_that_could_never_be_used_is_refused(expires_at: int) -> None:
    with pytest.raises(InvalidError) as refusal:
        created(create(expires_at=expires_at))
    assert refusal.value.code == "expiry_invalid"


@pytest.mark.parametrize("session", ["$CHAT_SESSION_ID", "<id>", "unattributed"])
def test_a_token_cannot_be_bound_to_a_placeholder(session: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        created(create(session=SessionId(session)))
    assert refusal.value.code == "session_placeholder"


@pytest.mark.parametrize("session", ["", "  ", "x" * 129, "a\x00b"])
def test_a_token_cannot_be_bound_to_an_unusable_session(session: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        created(create(session=SessionId(session)))
    assert refusal.value.code == "session_invalid"


def test_a_token_is_bound_to_the_session_that_requests_will_name() -> None:
    assert created(create(session=SessionId(" chat-1 "))).session == "chat-1"


def test_revoking_is_final_and_harmless_to_repeat() -> None:
    state = created(create())
    (fact,) = tokens.decide_revoke(state)
    assert (fact.stream, fact.event) == (TOKEN, TokenRevoked())
    after = tokens.revoked(state, record(TokenRevoked(), ts=START + 3))
    assert after == replace(state, revoked_at=START + 3)
    assert tokens.decide_revoke(after) == []


def test_an_assignment_mints_two_tokens_for_its_run_only() -> None:
    run, supervisor = tokens.minted(record(ASSIGNED, seq=9), ASSIGNED)
    assert (run.role, supervisor.role) == (Role.RUN, Role.SUPERVISOR)
    assert (run.id, run.sha256) == (ASSIGNED.run_token.token, ASSIGNED.run_token.sha256)
    assert supervisor.id == ASSIGNED.supervisor_token.token
    for state in (run, supervisor):
        assert (state.run, state.attempt, state.session) == (RUN, ATTEMPT, SESSION)
        with pytest.raises(ConflictError) as refusal:
            tokens.decide_revoke(state)
        assert refusal.value.code == "token_of_run"
        assert refusal.value.next_actions == (f"POST /runs/{RUN}/stop",)
        assert tokens.decide_revoke(replace(state, revoked_at=1)) == []
