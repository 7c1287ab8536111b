"""The guard's record: what it decided, which exceptions people granted, which rules they accepted.

A guard decides beside an agent, without a server, and reports later. So a decision is never
refused for what it did: what should not have been is marked (P1.3). Losing a refusal would be
worse than keeping one that nobody can place: a decision that names no session belongs to
`unattributed`, with its mark, under every policy.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from tallystick.domain.events import Fact, Record
from tallystick.domain.guard_commands import AcceptPolicy, GrantException, RecordDecision
from tallystick.domain.guard_events import (
    GuardDecided,
    GuardExceptionGranted,
    ProjectPolicyAccepted,
)
from tallystick.domain.ids import (
    PEOPLE,
    UNATTRIBUTED,
    Actor,
    DecisionId,
    Enforcement,
    ExceptionId,
    ProjectId,
    SessionId,
    Text,
)
from tallystick.domain.policy import (
    Attribution,
    Policy,
    attribute,
    check_session_id,
    is_placeholder,
)
from tallystick.errors import ForbiddenError, InvalidError

VERDICTS: Final = ("experiment", "unknown", "utility")
ACTIONS: Final = ("converted", "denied", "warned", "excepted", "failed")
MODES: Final = ("convert", "deny", "warn", "off")
DEFAULT: Final = "default"
"""Stands for the digest where no rules were accepted for a project."""

EXCEPTION_LINE: Final = "tallystick.exception/v1"
"""Opens the signed text of an exception; no tree head begins with it."""
ANY_SESSION: Final = "*"
"""Stands in the signed text where no session is named, and can name none."""
SHORTEST_SECONDS: Final = 1
LONGEST_SECONDS: Final = 86_400
"""How long an exception may wait for its use."""

SESSION_INVALID: Final = "session_invalid"
EXCEPTION_UNKNOWN: Final = "exception_unknown"
EXCEPTION_MISMATCH: Final = "exception_mismatch"
EXCEPTION_EXPIRED: Final = "exception_expired"
EXCEPTION_REUSED: Final = "exception_reused"
POLICY_UNACCEPTED: Final = "policy_unaccepted"

_UNFIT: Final = frozenset(
    {EXCEPTION_UNKNOWN, EXCEPTION_MISMATCH, EXCEPTION_EXPIRED, EXCEPTION_REUSED}
)
"""Marks of a decision that uses up no exception."""

MOST_FORMER: Final = 16
"""Digests that are remembered of a project, beside the one that counts."""

_TOLERANT: Final = Policy(session=Enforcement.WARN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """State of one decision. Times are milliseconds; texts are commitments."""

    id: DecisionId
    session: SessionId | None = None
    agent: str
    call: str | None = None
    verdict: str
    reason: str
    action: str
    mode: str
    policy: str
    parser: str
    exception: ExceptionId | None = None
    at: int
    """By the guard's clock."""
    command: Text
    cwd: Text
    project: Text
    detail: Text
    violations: tuple[str, ...] = ()
    recorded_by: str
    """Role of the token that reported it."""
    recorded_at: int
    created_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardException:
    """State of one exception. Times are milliseconds."""

    id: ExceptionId
    command: Text
    command_sha256: str
    only: SessionId | None = None
    """The session that may use it; None lets any."""
    expires_at: int
    granted_by: str
    granted_at: int
    created_seq: int
    used_by: DecisionId | None = None
    used_at: int | None = None

    def signed_text(self) -> str:
        """The lines that the ledger's key signs, and that a guard reads; a newline ends each."""
        lines = (
            EXCEPTION_LINE,
            self.id,
            self.command_sha256,
            self.only or ANY_SESSION,
            str(self.expires_at),
        )
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicy:
    """The rules that count for one project. Times are milliseconds."""

    id: ProjectId
    root: Text
    text: Text
    sha256: str
    mode: str | None = None
    accepted_by: str
    accepted_at: int
    accepted_seq: int
    former: tuple[str, ...] = ()
    """Digests that counted before, the latest last."""


def project_of(root: str) -> ProjectId:
    """The id of the project in a directory: of its absolute path, so the same for everybody."""
    return ProjectId(f"prj_{_sha256(root)[:12]}")


def command_digest(command: str) -> str:
    """SHA-256 of a command's UTF-8 bytes, 64 hex digits, as an exception names it."""
    return _sha256(command)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def attribute_decision(command: RecordDecision, *, by: Actor) -> Attribution:
    """The session that a decision belongs to; a missing or unusable one is marked (P1.3).

    Raises `ForbiddenError` (session_mismatch) when the token belongs to another session: whoever
    holds a token of that session, or of none, can report it.
    """
    try:
        found = attribute(command.session, by=by, policy=_TOLERANT, call="POST /guard/decisions")
    except InvalidError:
        found = Attribution(by.session or UNATTRIBUTED, (SESSION_INVALID,))
    if not command.marks:
        return found
    return Attribution(found.session, command.marks)


def decide_record(
    command: RecordDecision,
    attribution: Attribution,
    *,
    known: Decision | None,
    exception: GuardException | None,
    project: ProjectPolicy | None,
) -> list[Fact]:
    """What a guard did, once; with marks for what nobody allowed it.

    `exception` is the one that the command names, `project` the rules of the project it names.
    """
    if known is not None:
        return []
    marks = attribution.violations
    if command.action == "excepted":
        marks += _exception_marks(command, attribution.session, exception)
    if not _is_accepted(command, project):
        marks += (POLICY_UNACCEPTED,)
    event = GuardDecided(
        agent=command.agent,
        call=command.call,
        verdict=command.verdict,
        reason=command.reason,
        action=command.action,
        mode=command.mode,
        policy=command.policy,
        parser=command.parser,
        exception=command.exception,
        at=command.at,
        command=command.command,
        cwd=command.cwd,
        project=command.project,
        detail=command.detail,
        violations=marks,
    )
    return [Fact(command.decision, event, attribution.session)]


def _exception_marks(
    command: RecordDecision, session: SessionId, exception: GuardException | None
) -> tuple[str, ...]:
    """What is wrong with the exception that let a command pass."""
    if exception is None:
        return (EXCEPTION_UNKNOWN,)
    wrong_command = exception.command_sha256 != command.command_sha256
    wrong_session = exception.only is not None and exception.only != session
    found = {
        EXCEPTION_MISMATCH: wrong_command or wrong_session,
        EXCEPTION_EXPIRED: command.at > exception.expires_at,
        EXCEPTION_REUSED: exception.used_by not in {None, command.decision},
    }
    return tuple(mark for mark, applies in found.items() if applies)


def _is_accepted(command: RecordDecision, project: ProjectPolicy | None) -> bool:
    """Whether the rules that counted for a decision were accepted when it was made."""
    if command.policy == DEFAULT:
        return True
    if project is None:
        return False
    if command.policy == project.sha256:
        return True
    return command.policy in project.former and command.at <= project.accepted_at


def decide_grant(command: GrantException, *, by: Actor, now: int) -> list[Fact]:
    """Only people let a command pass; raises `ForbiddenError` and `InvalidError`."""
    _require_person(by, "exceptions of the guard are granted")
    if not SHORTEST_SECONDS <= command.seconds <= LONGEST_SECONDS:
        raise InvalidError(
            f"expires_seconds: expected {SHORTEST_SECONDS} to {LONGEST_SECONDS}; "
            f"found {command.seconds}",
            code="body_invalid",
        )
    only = None if command.only is None else _named_session(command.only)
    event = GuardExceptionGranted(
        command=command.command,
        command_sha256=command.command_sha256,
        only=only,
        expires_at=now + 1000 * command.seconds,
        request=command.request,
    )
    return [Fact(command.exception, event)]


def _named_session(session: str) -> SessionId:
    """A session that a guard can meet; it need not have created anything yet."""
    if is_placeholder(session) or session.strip() == ANY_SESSION:
        raise InvalidError(
            f"session: expected the id of a conversation; found {session[:40]!r}, which no "
            "session has",
            code="session_invalid",
            hint="leave it out, and the exception holds in any session",
        )
    return check_session_id(session)


def decide_accept(state: ProjectPolicy | None, command: AcceptPolicy, *, by: Actor) -> list[Fact]:
    """Only people accept rules, and once each; raises `ForbiddenError`."""
    _require_person(by, "the rules of a project are accepted")
    if state is not None and state.sha256 == command.sha256:
        return []
    event = ProjectPolicyAccepted(
        root=command.root, text=command.text, sha256=command.sha256, mode=command.mode
    )
    return [Fact(command.project, event)]


def _require_person(by: Actor, what: str) -> None:
    if by.role not in PEOPLE:
        raise ForbiddenError(
            f"{what} by people; this token's role is {by.role}",
            code="people_only",
            hint="ask the researcher to do it with their own token",
        )


def decided(record: Record, event: GuardDecided) -> Decision:
    """State after `guard.decided`."""
    return Decision(
        id=DecisionId(record.stream),
        session=record.session,
        agent=event.agent,
        call=event.call,
        verdict=event.verdict,
        reason=event.reason,
        action=event.action,
        mode=event.mode,
        policy=event.policy,
        parser=event.parser,
        exception=event.exception,
        at=event.at,
        command=event.command,
        cwd=event.cwd,
        project=event.project,
        detail=event.detail,
        violations=event.violations,
        recorded_by=record.role,
        recorded_at=record.ts,
        created_seq=record.seq,
    )


def granted(record: Record, event: GuardExceptionGranted) -> GuardException:
    """State after `guard.exception_granted`."""
    return GuardException(
        id=ExceptionId(record.stream),
        command=event.command,
        command_sha256=event.command_sha256,
        only=event.only,
        expires_at=event.expires_at,
        granted_by=record.role,
        granted_at=record.ts,
        created_seq=record.seq,
    )


def uses_up(event: GuardDecided) -> bool:
    """Whether a decision rightly used the exception that it names."""
    return event.action == "excepted" and not _UNFIT & set(event.violations)


def used(state: GuardException, record: Record, event: GuardDecided) -> GuardException:
    """State after a decision that used it up."""
    return replace(state, used_by=DecisionId(record.stream), used_at=event.at)


def accepted(
    state: ProjectPolicy | None, record: Record, event: ProjectPolicyAccepted
) -> ProjectPolicy:
    """State after `policy.accepted`."""
    former = () if state is None else (*state.former, state.sha256)[-MOST_FORMER:]
    return ProjectPolicy(
        id=ProjectId(record.stream),
        root=event.root,
        text=event.text,
        sha256=event.sha256,
        mode=event.mode,
        accepted_by=record.role,
        accepted_at=record.ts,
        accepted_seq=record.seq,
        former=former,
    )
