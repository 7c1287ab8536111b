"""The compliance rules: facts in, violations or a refusal out (P1.2, P1.3, P3.1).

A refusal carries the call to make instead; a violation is a mark on the record.
"""

import re
from dataclasses import dataclass, replace

from tallystick.domain.commands import SetPolicy
from tallystick.domain.events import Fact, PolicySet
from tallystick.domain.ids import PEOPLE, UNATTRIBUTED, Actor, Enforcement, SessionId
from tallystick.errors import ForbiddenError, InvalidError, PolicyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules in force; enforcing unless a person said otherwise."""

    id: str = "policy"
    """There is one."""
    session: Enforcement = Enforcement.ENFORCE
    sweep: Enforcement = Enforcement.ENFORCE


def decide_set(state: Policy, command: SetPolicy, *, by: Actor) -> list[Fact]:
    """Only a person may change the policy (P1.2); raises `ForbiddenError`."""
    if by.role not in PEOPLE:
        raise ForbiddenError(
            f"policy is set by people; this token's role is {by.role}",
            code="people_only",
            hint="ask the researcher to set it with their own token",
        )
    wanted = PolicySet(session=command.session or state.session, sweep=command.sweep or state.sweep)
    if (wanted.session, wanted.sweep) == (state.session, state.sweep):
        return []
    return [Fact(state.id, wanted)]


def after_set(state: Policy, event: PolicySet) -> Policy:
    """State after `policy.set`."""
    return replace(state, session=event.session, sweep=event.sweep)


SESSION_MISSING = "session_missing"
SESSION_PLACEHOLDER = "session_placeholder"
SWEEP_MISSING = "sweep_missing"

MAX_SESSION_LENGTH = 128

PLACEHOLDER = re.compile(
    r"""\$\{?[A-Za-z_][A-Za-z0-9_]*\}?      # $NAME, ${NAME}
      | \$\{[^}]*\}                          # ${NAME:-default}
      | <[A-Za-z_][A-Za-z0-9_ -]*>           # <chat_session_id>
      | \{\{\s*[A-Za-z_][A-Za-z0-9_.\ -]*\}\}    # {{session_id}}
      | %[A-Za-z_][A-Za-z0-9_]*%             # %NAME%
    """,
    re.VERBOSE,
)
"""A variable that no shell and no template engine expanded."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The session that a request belongs to, and what was wrong with how it said so."""

    session: SessionId
    violations: tuple[str, ...] = ()


def is_placeholder(session: str) -> bool:
    """Whether a session id names none: a literal unexpanded variable (P1.3), or our own word."""
    bare = session.strip().strip("\"'")
    return bare == UNATTRIBUTED or PLACEHOLDER.fullmatch(bare) is not None


def check_session_id(session: str) -> SessionId:
    """A usable id; raises `InvalidError` for one that is empty, too long or unprintable."""
    trimmed = session.strip()
    if not trimmed or len(trimmed) > MAX_SESSION_LENGTH or not trimmed.isprintable():
        raise InvalidError(
            f"chat_session_id: expected 1 to {MAX_SESSION_LENGTH} printable characters, "
            f"found {session[:40]!r} ({len(session)} characters)",
            code="session_invalid",
            hint="use the id that your agent gives its conversation, for example a UUID",
        )
    return SessionId(trimmed)


def attribute(claimed: str | None, *, by: Actor, policy: Policy, call: str) -> Attribution:
    """Which session a creating request belongs to (P1.1 to P1.3).

    `call` is the route, for the refusal's next action. Raises `PolicyError` (session_required),
    `ForbiddenError` (session_mismatch) or `InvalidError` (session_invalid).
    """
    if claimed is not None and is_placeholder(claimed):
        return Attribution(by.session or UNATTRIBUTED, (SESSION_PLACEHOLDER,))
    if claimed is not None and claimed.strip():
        session = check_session_id(claimed)
        if by.session is not None and session != by.session:
            raise ForbiddenError(
                f"this token belongs to session {by.session!r}, the request names {session!r}",
                code="session_mismatch",
                hint="leave chat_session_id out, or use a token that is not bound to a session",
            )
        return Attribution(session)
    if by.session is not None:
        return Attribution(by.session)
    if policy.session is Enforcement.WARN:
        return Attribution(UNATTRIBUTED, (SESSION_MISSING,))
    raise PolicyError(
        "chat_session_id is required: every request that creates something names the "
        "agent conversation that it came from; found none",
        code="session_required",
        hint='put the id into double quotes so that the shell expands it: \\"$CHAT_SESSION_ID\\"',
        next_actions=(f'{call} with {{"chat_session_id": "<id of this conversation>", ...}}',),
        violations=[SESSION_MISSING],
    )


def require_sweep(*, policy: Policy) -> tuple[str, ...]:
    """The violations of a run without a sweep; raises `PolicyError` (sweep_required) (P3.1)."""
    if policy.sweep is Enforcement.WARN:
        return (SWEEP_MISSING,)
    raise PolicyError(
        "sweep_id is required: every run belongs to a sweep; found none",
        code="sweep_required",
        hint="create a sweep once, then send its id with every run",
        next_actions=(
            'POST /sweeps/wild with {"name": "...", "goal": "...", "chat_session_id": "..."}',
            'POST /runs with {"sweep_id": "<id from the answer>", ...}',
        ),
        violations=[SWEEP_MISSING],
    )
