"""The compliance rules: P1.2, P1.3, P3.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain import policy
from tallystick.domain.commands import SetPolicy
from tallystick.domain.events import PolicySet
from tallystick.domain.ids import UNATTRIBUTED, Actor, Enforcement, Role, SessionId, TokenId
from tallystick.domain.policy import Attribution, Policy, attribute
from tallystick.errors import ForbiddenError, InvalidError, PolicyError

FREE = Actor(TokenId("tok_00000000000d"), Role.AGENT)
BOUND = Actor(TokenId("tok_00000000000d"), Role.AGENT, SessionId("chat-7"))
STRICT = Policy()
LENIENT = Policy(session=Enforcement.WARN, sweep=Enforcement.WARN)
CALL = "POST /runs"

PLACEHOLDERS = [
    "$CHAT_SESSION_ID",
    "$id",
    "${CHAT_SESSION_ID}",
    "${CHAT_SESSION_ID:-none}",
    "${CHAT_SESSION_ID:?missing}",
    "<chat_session_id>",
    "<id of this conversation>",
    "<your-session-id>",
    "{{session_id}}",
    "{{ session_id }}",
    "{{ session.id }}",
    "{{session-id}}",
    "%CHAT_SESSION_ID%",
    "  $CHAT_SESSION_ID\n",
    "'$CHAT_SESSION_ID'",
    "unattributed",
]

REAL = [
    "550e8400-e29b-41d4-a716-446655440000",
    "{550e8400-e29b-41d4-a716-446655440000}",
    "ses_4f2a",
    "chat$1",
    "a$HOME",
    "pay-$5-now",
    "100%",
    "50% of %",
    "a<b>c",
    "x > y < z",
    "{session}",
    "{{}}",
    "$",
    "$$",
    "$5",
    "<>",
    "%%",
    "Gespräch ☂",
]


@pytest.mark.parametrize("claimed", PLACEHOLDERS)
@pytest.mark.parametrize("rules", [STRICT, LENIENT])
def test_a_placeholder_is_accepted_marked_and_never_becomes_a_session(
    claimed: str, rules: Policy
) -> None:
    free = attribute(claimed, by=FREE, policy=rules, call=CALL)
    assert free == Attribution(UNATTRIBUTED, ("session_placeholder",))
    bound = attribute(claimed, by=BOUND, policy=rules, call=CALL)
    assert bound == Attribution(SessionId("chat-7"), ("session_placeholder",))


@pytest.mark.parametrize("claimed", REAL)
def test_a_real_id_is_kept_and_unmarked(claimed: str) -> None:
    assert attribute(claimed, by=FREE, policy=STRICT, call=CALL) == Attribution(SessionId(claimed))


@given(st.uuids(), st.sampled_from(["", "chat-", "ses_", "$"]))
def test_no_uuid_is_taken_for_a_placeholder(number: object, prefix: str) -> None:
    assert not policy.is_placeholder(f"{prefix}{number}") or prefix == "$"


def test_spaces_around_an_id_do_not_make_another_session() -> None:
    found = attribute("  chat-1\n", by=FREE, policy=STRICT, call=CALL)
    assert found.session == "chat-1"


@pytest.mark.parametrize("claimed", [None, "", "   ", "\n"])
def test_a_missing_id_is_refused_with_the_call_to_make_instead(claimed: str | None) -> None:
    with pytest.raises(PolicyError) as refusal:
        attribute(claimed, by=FREE, policy=STRICT, call=CALL)
    assert refusal.value.code == "session_required"
    assert refusal.value.next_actions[0].startswith("POST /runs with")
    assert "chat_session_id" in refusal.value.next_actions[0]
    assert refusal.value.hint is not None
    assert "double quotes" in refusal.value.hint
    assert refusal.value.facts["violations"] == ["session_missing"]


@pytest.mark.parametrize("claimed", [None, "", "   "])
def test_a_missing_id_is_marked_under_warn(claimed: str | None) -> None:
    found = attribute(claimed, by=FREE, policy=LENIENT, call=CALL)
    assert found == Attribution(UNATTRIBUTED, ("session_missing",))


@pytest.mark.parametrize("rules", [STRICT, LENIENT])
def test_a_bound_token_brings_its_session_along_without_a_mark(rules: Policy) -> None:
    assert attribute(None, by=BOUND, policy=rules, call=CALL) == Attribution(SessionId("chat-7"))
    assert attribute("chat-7", by=BOUND, policy=rules, call=CALL).session == "chat-7"


def test_a_bound_token_cannot_name_another_session() -> None:
    with pytest.raises(ForbiddenError) as refusal:
        attribute("chat-8", by=BOUND, policy=STRICT, call=CALL)
    assert refusal.value.code == "session_mismatch"
    assert refusal.value.hint


@pytest.mark.parametrize("claimed", ["x" * 129, "a\x00b", "a\tb", "a\nb", "\ud800", "\u202e"])
def test_an_unusable_id_is_refused(claimed: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        attribute(claimed, by=FREE, policy=LENIENT, call=CALL)
    assert refusal.value.code == "session_invalid"
    assert "128" in refusal.value.detail
    assert refusal.value.detail.encode()


def test_the_longest_id_is_still_good() -> None:
    assert policy.check_session_id("x" * 128) == "x" * 128


@given(st.text(max_size=200))
def test_every_claim_is_attributed_or_refused(claimed: str) -> None:
    try:
        found = attribute(claimed, by=FREE, policy=STRICT, call=CALL)
    except (InvalidError, PolicyError):
        return
    assert found.session
    assert (found.session == UNATTRIBUTED) == bool(found.violations)


def test_a_run_without_a_sweep_is_refused_with_both_calls_to_make() -> None:
    with pytest.raises(PolicyError) as refusal:
        policy.require_sweep(policy=STRICT)
    assert refusal.value.code == "sweep_required"
    assert [call.split(" with")[0] for call in refusal.value.next_actions] == [
        "POST /sweeps/wild",
        "POST /runs",
    ]
    assert refusal.value.facts["violations"] == ["sweep_missing"]


def test_a_run_without_a_sweep_is_marked_under_warn() -> None:
    assert policy.require_sweep(policy=LENIENT) == ("sweep_missing",)


@pytest.mark.parametrize("role", list(Role))
def test_only_people_set_the_policy(role: Role) -> None:
    command = SetPolicy(session=Enforcement.WARN)
    by = Actor(TokenId("tok_00000000000d"), role)
    if role in {Role.ADMINISTRATOR, Role.RESEARCHER}:
        (fact,) = policy.decide_set(STRICT, command, by=by)
        assert fact.stream == "policy"
        assert fact.event == PolicySet(session=Enforcement.WARN, sweep=Enforcement.ENFORCE)
        return
    with pytest.raises(ForbiddenError) as refusal:
        policy.decide_set(STRICT, command, by=by)
    assert refusal.value.code == "people_only"
    assert refusal.value.hint


PERSON = Actor(TokenId("tok_00000000000d"), Role.RESEARCHER)


@pytest.mark.parametrize(
    "command", [SetPolicy(), SetPolicy(session=Enforcement.ENFORCE, sweep=Enforcement.ENFORCE)]
)
def test_setting_what_is_in_force_changes_nothing(command: SetPolicy) -> None:
    assert policy.decide_set(STRICT, command, by=PERSON) == []


def test_a_field_that_is_absent_stays_as_it_is() -> None:
    (fact,) = policy.decide_set(LENIENT, SetPolicy(sweep=Enforcement.ENFORCE), by=PERSON)
    assert isinstance(fact.event, PolicySet)
    after = policy.after_set(LENIENT, fact.event)
    assert after == Policy(session=Enforcement.WARN, sweep=Enforcement.ENFORCE)
    assert policy.decide_set(after, SetPolicy(sweep=Enforcement.ENFORCE), by=PERSON) == []
