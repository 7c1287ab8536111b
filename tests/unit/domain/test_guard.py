"""The guard's record: decisions are marked and never refused, exceptions count once."""

from dataclasses import replace
from typing import Any

import pytest

from tallystick.domain import guard as guards
from tallystick.domain.guard import GuardException, ProjectPolicy, project_of
from tallystick.domain.guard_commands import AcceptPolicy, GrantException, RecordDecision
from tallystick.domain.guard_events import (
    GuardDecided,
    GuardExceptionGranted,
    ProjectPolicyAccepted,
)
from tallystick.domain.ids import (
    UNATTRIBUTED,
    Actor,
    DecisionId,
    ExceptionId,
    Role,
    SessionId,
)
from tallystick.domain.policy import Attribution
from tallystick.errors import ForbiddenError, InvalidError
from tests.unit.domain.states import SESSION, SHA, START, TOKEN, record, text

AGENT = Actor(TOKEN, Role.AGENT)
PERSON = Actor(TOKEN, Role.RESEARCHER)
BOUND = Actor(TOKEN, Role.AGENT, SessionId("mine"))
EXCEPTION = ExceptionId("exc_00000000000a")
DECISION = DecisionId("dec_00000000000a")
GRANT = GrantException(
    exception=EXCEPTION, command=text("c"), command_sha256=SHA, seconds=60, only=SESSION
)


def decision(**changes: Any) -> RecordDecision:
    known: dict[str, Any] = {
        "decision": DECISION,
        "agent": "codex",
        "verdict": "experiment",
        "reason": "python_script",
        "action": "excepted",
        "mode": "deny",
        "policy": "default",
        "parser": "none",
        "at": START + 60_000,
        "command": text("c"),
        "command_sha256": SHA,
        "of_project": project_of("/p"),
        "cwd": text("/p"),
        "project": text("/p"),
        "detail": text("d"),
        "exception": EXCEPTION,
        "session": SESSION,
    }
    return RecordDecision(**{**known, **changes})


def granted(**changes: Any) -> GuardException:
    (fact,) = guards.decide_grant(GRANT, by=PERSON, now=START)
    assert isinstance(fact.event, GuardExceptionGranted)
    state = guards.granted(record(fact.event, stream=fact.stream), fact.event)
    return replace(state, **changes)


def recorded(
    command: RecordDecision,
    *,
    exception: GuardException | None = None,
    project: ProjectPolicy | None = None,
) -> GuardDecided:
    (fact,) = guards.decide_record(
        command, Attribution(SESSION), known=None, exception=exception, project=project
    )
    assert isinstance(fact.event, GuardDecided)
    assert (fact.stream, fact.session) == (DECISION, SESSION)
    return fact.event


def accepted(state: ProjectPolicy | None, digest: str, *, ts: int = START) -> ProjectPolicy:
    command = AcceptPolicy(
        project=project_of("/p"), root=text("/p"), text=text("t"), sha256=digest, mode="deny"
    )
    (fact,) = guards.decide_accept(state, command, by=PERSON)
    assert isinstance(fact.event, ProjectPolicyAccepted)
    return guards.accepted(state, record(fact.event, ts=ts, stream=fact.stream), fact.event)


@pytest.mark.parametrize(
    ("session", "by", "expected"),
    [
        (None, AGENT, Attribution(UNATTRIBUTED, ("session_missing",))),
        ("", AGENT, Attribution(UNATTRIBUTED, ("session_missing",))),
        ("$CHAT_SESSION_ID", AGENT, Attribution(UNATTRIBUTED, ("session_placeholder",))),
        ("x" * 129, AGENT, Attribution(UNATTRIBUTED, ("session_invalid",))),
        ("a\x07b", BOUND, Attribution(SessionId("mine"), ("session_invalid",))),
        (None, BOUND, Attribution(SessionId("mine"))),
        ("chat-1", AGENT, Attribution(SessionId("chat-1"))),
    ],
)
def test_a_decision_finds_a_session_whatever_it_says(
    session: str | None, by: Actor, expected: Attribution
) -> None:
    assert guards.attribute_decision(decision(session=session), by=by) == expected


def test_what_was_wrong_at_the_edge_is_what_is_marked() -> None:
    command = decision(session=None, marks=("session_invalid",))
    found = guards.attribute_decision(command, by=AGENT)
    assert found == Attribution(UNATTRIBUTED, ("session_invalid",))


def test_a_token_of_another_session_reports_nothing() -> None:
    with pytest.raises(ForbiddenError) as caught:
        guards.attribute_decision(decision(session="theirs"), by=BOUND)
    assert caught.value.code == "session_mismatch"


def test_an_exception_that_fits_leaves_no_mark_and_is_used_up() -> None:
    state = granted()
    event = recorded(decision(), exception=state)
    assert (event.violations, guards.uses_up(event)) == ((), True)
    used = guards.used(state, record(event, stream=DECISION), event)
    assert (used.used_by, used.used_at) == (DECISION, START + 60_000)


@pytest.mark.parametrize(
    ("exception", "changes", "marks"),
    [
        (None, {}, ("exception_unknown",)),
        (granted(command_sha256="0" * 64), {}, ("exception_mismatch",)),
        (granted(only=SessionId("other")), {}, ("exception_mismatch",)),
        (granted(only=None), {}, ()),
        (granted(), {"at": START + 60_001}, ("exception_expired",)),
        (granted(used_by=DecisionId("dec_00000000000b")), {}, ("exception_reused",)),
        (granted(used_by=DECISION), {}, ()),
        (
            granted(only=SessionId("o"), used_by=DecisionId("dec_00000000000b")),
            {"at": START + 60_001},
            ("exception_mismatch", "exception_expired", "exception_reused"),
        ),
    ],
)
def test_an_exception_that_does_not_count_is_said(
    exception: GuardException | None, changes: dict[str, Any], marks: tuple[str, ...]
) -> None:
    event = recorded(decision(**changes), exception=exception)
    assert event.violations == marks
    assert guards.uses_up(event) is not bool(marks)


def test_only_what_was_excepted_is_held_against_an_exception() -> None:
    event = recorded(decision(action="denied"))
    assert (event.violations, guards.uses_up(event)) == ((), False)


def test_rules_count_from_their_acceptance_to_the_next() -> None:
    old = accepted(None, "a" * 64)
    new = accepted(old, "b" * 64, ts=START + 5)
    assert (new.former, new.accepted_at) == (("a" * 64,), START + 5)

    def marks(policy: str, at: int, project: ProjectPolicy | None) -> tuple[str, ...]:
        command = decision(action="denied", policy=policy, at=at)
        return recorded(command, project=project).violations

    assert marks("default", START, None) == ()
    assert marks("a" * 64, START, None) == ("policy_unaccepted",)
    assert marks("a" * 64, START, old) == ()
    assert marks("b" * 64, START, new) == ()
    assert marks("a" * 64, START + 5, new) == ()
    assert marks("a" * 64, START + 6, new) == ("policy_unaccepted",)
    assert marks("c" * 64, START, new) == ("policy_unaccepted",)


def test_no_project_remembers_more_digests_than_it_needs() -> None:
    state = accepted(None, f"{0:064}")
    for number in range(1, guards.MOST_FORMER + 3):
        state = accepted(state, f"{number:064}")
    assert len(state.former) == guards.MOST_FORMER
    assert state.former[-1] == f"{guards.MOST_FORMER + 1:064}"


def test_the_same_rules_are_accepted_once() -> None:
    state = accepted(None, SHA)
    command = AcceptPolicy(project=state.id, root=state.root, text=state.text, sha256=SHA)
    assert guards.decide_accept(state, command, by=PERSON) == []


def test_only_people_let_anything_pass() -> None:
    accept = AcceptPolicy(project=project_of("/p"), root=text("/"), text=text("t"), sha256=SHA)
    with pytest.raises(ForbiddenError) as caught:
        guards.decide_grant(GRANT, by=AGENT, now=START)
    assert caught.value.code == "people_only"
    with pytest.raises(ForbiddenError) as caught:
        guards.decide_accept(None, accept, by=AGENT)
    assert caught.value.code == "people_only"


@pytest.mark.parametrize(
    "changes",
    [{"seconds": 0}, {"seconds": 86_401}, {"only": "*"}, {"only": " * "}, {"only": "$S"},
     {"only": "a\nb"}],
)  # fmt: skip
def test_an_exception_that_cannot_be_meant_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        guards.decide_grant(replace(GRANT, **changes), by=PERSON, now=START)


def test_the_signed_text_is_five_lines() -> None:
    assert granted().signed_text().split("\n") == [
        "tallystick.exception/v1", EXCEPTION, SHA, SESSION, str(START + 60_000), "",
    ]  # fmt: skip
    assert granted(only=None).signed_text().split("\n")[3] == "*"


def test_a_decision_that_is_known_is_no_second_fact() -> None:
    command = decision(action="denied")
    event = recorded(command)
    state = guards.decided(record(event, stream=DECISION), event)
    again = guards.decide_record(
        command, Attribution(SESSION), known=state, exception=None, project=None
    )
    assert again == []
