"""Tokens: who may knock (P9.2)."""

from dataclasses import dataclass, replace

from tallystick.domain.commands import CreateToken
from tallystick.domain.events import AttemptAssigned, Fact, Record, TokenCreated, TokenRevoked
from tallystick.domain.ids import Role, RunId, SessionId, TokenId
from tallystick.domain.policy import check_session_id, is_placeholder
from tallystick.errors import ConflictError, InvalidError

GRANTABLE = frozenset({Role.ADMINISTRATOR, Role.RESEARCHER, Role.AGENT, Role.AUDITOR})
"""Roles that a person may hand out; run and supervisor tokens are minted at launch only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """State of one token; the secret itself is kept nowhere."""

    id: TokenId
    role: Role
    sha256: str
    created_at: int
    created_seq: int
    session: SessionId | None = None
    run: RunId | None = None
    """The only run that a run's or supervisor's token opens."""
    attempt: str | None = None
    expires_at: int | None = None
    revoked_at: int | None = None


def decide_create(command: CreateToken, *, now: int, by_system: bool) -> list[Fact]:
    """A new token of a role that can be handed out; raises `InvalidError`."""
    if command.role not in GRANTABLE and not by_system:
        raise InvalidError(
            f"role: expected one of {', '.join(sorted(GRANTABLE))}, found {command.role}",
            code="role_invalid",
        )
    if command.expires_at is not None and command.expires_at <= now:
        raise InvalidError(
            "expires_at lies in the past; a token must be usable at least once",
            code="expiry_invalid",
        )
    if command.session is not None and is_placeholder(command.session):
        raise InvalidError(
            f"session: expected the id of a conversation, found {command.session[:80]!r}, "
            "which names none",
            code="session_placeholder",
        )
    event = TokenCreated(
        role=command.role,
        sha256=command.sha256,
        session=None if command.session is None else check_session_id(command.session),
        expires_at=command.expires_at,
        request=command.request,
    )
    return [Fact(command.token, event)]


def decide_revoke(state: Token) -> list[Fact]:
    """Revoking is final; doing it again changes nothing."""
    if state.revoked_at is not None:
        return []
    if state.role in {Role.RUN, Role.SUPERVISOR}:
        raise ConflictError(
            "a run's own token ends with the run",
            code="token_of_run",
            next_actions=(f"POST /runs/{state.run}/stop",),
        )
    return [Fact(state.id, TokenRevoked())]


def created(record: Record, event: TokenCreated) -> Token:
    """State after `token.created`."""
    return Token(
        id=TokenId(record.stream),
        role=event.role,
        sha256=event.sha256,
        created_at=record.ts,
        created_seq=record.seq,
        session=event.session,
        expires_at=event.expires_at,
    )


def minted(record: Record, event: AttemptAssigned) -> list[Token]:
    """The two tokens that `attempt.assigned` brings: one for the job, one for its supervisor."""
    pairs = ((Role.RUN, event.run_token), (Role.SUPERVISOR, event.supervisor_token))
    return [
        Token(
            id=minted_token.token,
            role=role,
            sha256=minted_token.sha256,
            created_at=record.ts,
            created_seq=record.seq,
            session=record.session,
            run=RunId(record.stream),
            attempt=event.attempt,
        )
        for role, minted_token in pairs
    ]


def revoked(state: Token, record: Record) -> Token:
    """State after `token.revoked`, and of a run's token after `run.ended`."""
    return replace(state, revoked_at=record.ts)
