"""Who asks, and whether they may: deny by default (P9).

A token is looked up by its SHA-256 and nothing else is kept of it. What was looked up is remembered
for a second at most, and forgotten at once when any token is revoked. Answers to wrong tokens are
constant. Permissions are one table of roles; two roles see only what is their own.
"""

import base64
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from tallystick.api.routing import Endpoint, Permission
from tallystick.domain.ids import UNATTRIBUTED, Actor, Role, TokenId
from tallystick.domain.run import Run
from tallystick.domain.sweep import Sweep
from tallystick.domain.token import GRANTABLE, Token
from tallystick.errors import ForbiddenError, UnauthenticatedError

ALLOWED: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMINISTRATOR: frozenset(Permission) - {Permission.REPORT},
    Role.RESEARCHER: frozenset(
        {
            Permission.OPEN,
            Permission.READ,
            Permission.CREATE,
            Permission.CONTROL,
            Permission.METRICS,
            Permission.TRACK,
            Permission.PEOPLE,
        }
    ),
    Role.AGENT: frozenset(
        {
            Permission.OPEN,
            Permission.READ,
            Permission.CREATE,
            Permission.CONTROL,
            Permission.METRICS,
            Permission.TRACK,
        }
    ),
    Role.AUDITOR: frozenset({Permission.OPEN, Permission.READ}),
    Role.RUN: frozenset({Permission.OPEN, Permission.READ, Permission.METRICS, Permission.TRACK}),
    Role.SUPERVISOR: frozenset({Permission.OPEN, Permission.REPORT}),
    Role.SYSTEM: frozenset(),
}
"""What each role may do; whatever is not here is refused."""

NOBODY: Final = Actor(TokenId("tok_none"), Role.AUDITOR)
"""Stands in on open routes, which never act on anybody's behalf."""

KEPT: Final = 1024
"""Tokens remembered; more than callers at a time."""

KEPT_SECONDS: Final = 1.0
"""How long another server's revocation may go unnoticed here, at most."""

_HINT: Final = (
    "on the machine of the server, the file agent.token in its data directory holds a token; "
    "send it as X-Auth-Token"
)


def credential(headers: Mapping[str, str]) -> str | None:
    """The token that a request carries."""
    token = headers.get("x-auth-token")
    if token:
        return token.strip()
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    return _password(rest) if scheme.lower() == "basic" else None


def _password(encoded: str) -> str | None:
    """The password of Basic authentication (RFC 7617): some clients can send nothing else."""
    try:
        _, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password.strip() or None


class TokenCache:
    """Tokens that were looked up lately, by digest. Only those that `token.revoked` alone ends."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is a clock that only moves forwards, in seconds."""
        self._now = now
        self._kept: OrderedDict[str, tuple[Token, float]] = OrderedDict()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Taken before a look-up and handed to `keep`: what was read earlier is not kept."""
        return self._generation

    def get(self, digest: str) -> Token | None:
        """A token that was looked up less than a second ago."""
        found = self._kept.get(digest)
        if found is None or found[1] < self._now():
            return None
        return found[0]

    def keep(self, digest: str, token: Token, *, generation: int) -> None:
        """Remember a look-up, unless tokens were revoked since it began."""
        if generation != self._generation or token.role not in GRANTABLE:
            return
        self._kept[digest] = (token, self._now() + KEPT_SECONDS)
        self._kept.move_to_end(digest)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Look everything up again."""
        self._generation += 1
        self._kept.clear()


def check_usable(token: Token | None, *, now: int) -> Token:
    """A token that opens something; raises `UnauthenticatedError` with the reason."""
    if token is None or token.role is Role.SYSTEM:
        raise UnauthenticatedError(
            "Unauthorized: this token is not known here", code="token_unknown", hint=_HINT
        )
    if token.revoked_at is not None:
        raise UnauthenticatedError(
            "Unauthorized: this token was revoked"
            + (", because its run has ended" if token.role is Role.RUN else ""),
            code="token_revoked",
            hint="ask an administrator for a new one",
        )
    if token.expires_at is not None and token.expires_at <= now:
        raise UnauthenticatedError(
            "Unauthorized: this token has expired",
            code="token_expired",
            hint="ask an administrator for a new one",
        )
    return token


def missing() -> UnauthenticatedError:
    """The refusal of a request without a token."""
    return UnauthenticatedError(code="token_missing", hint=_HINT)


def check_allowed(endpoint: Endpoint, token: Token, path: Mapping[str, str]) -> None:
    """Raises `ForbiddenError` unless the token may do this, to this."""
    if endpoint.permission not in ALLOWED[token.role]:
        allowed = [role.value for role, held in ALLOWED.items() if endpoint.permission in held]
        said = (
            f"{endpoint.method} {endpoint.path} needs a token whose role is one of "
            f"{', '.join(allowed)}; this one's is {token.role.value}"
        )
        if endpoint.permission is Permission.PEOPLE:
            raise ForbiddenError(
                said,
                code="people_only",
                hint="ask the researcher to do it with their own token",
                role=token.role.value,
            )
        raise ForbiddenError(said, code="role_forbidden", role=token.role.value)
    if endpoint.permission is Permission.TRACK:
        return
    if token.role is Role.RUN and path.get("run") != token.run:
        raise ForbiddenError(
            f"a run's own token opens that run and nothing else; this one belongs to {token.run}",
            code="token_scope",
            next_actions=(f"GET /runs/{token.run}", f"POST /runs/{token.run}/metrics"),
        )
    if token.role is Role.SUPERVISOR and path.get("attempt") != token.attempt:
        raise ForbiddenError(
            "a supervisor's token reports on its own attempt and nothing else", code="token_scope"
        )


def is_bound(endpoint: Endpoint, token: Token, path: Mapping[str, str]) -> bool:
    """Whether the run or sweep of a path must belong to the session that the token is bound to
    (P9.2).

    Reading stays open, and so does adding runs to a sweep (P2.1); a run's own token is bound to its
    run already.
    """
    if token.session is None or token.role is Role.RUN:
        return False
    acts = endpoint.permission in {Permission.CREATE, Permission.CONTROL, Permission.METRICS}
    controls = endpoint.permission is Permission.CONTROL
    return (acts and "run" in path) or (controls and "sweep" in path)


def check_session(token: Token, owned: Run | Sweep | None) -> None:
    """Raises `ForbiddenError` for what is of another session; the unattributed is everybody's."""
    if owned is None or owned.session in {token.session, UNATTRIBUTED}:
        return
    place, repeat = (
        ("sweeps", "POST /sweeps") if isinstance(owned, Sweep) else ("runs", "POST /runs")
    )
    raise ForbiddenError(
        f"this token belongs to session {token.session!r}, {owned.id} to another one",
        code="session_scope",
        hint="such a token may read everything, and act on what is of its own session; to repeat "
        "this, make it anew in your own",
        next_actions=(f"GET /{place}/{owned.id}", repeat),
    )


def actor_of(token: Token) -> Actor:
    """Who acts when this token asks (P1.4)."""
    return Actor(token.id, token.role, token.session)
