"""Tokens: who may knock (P9.2). Administrators only; a secret is shown once and kept nowhere."""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import is_id
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Empty, TokenPage
from tallystick.api.texts import checked_session
from tallystick.control.credentials import hash_of, secret_text
from tallystick.domain import commands
from tallystick.domain.ids import Role, SessionId, TokenId
from tallystick.domain.policy import check_session_id, is_placeholder
from tallystick.errors import InvalidError, NotFoundError
from tallystick.projections import tokens
from tallystick.wire.requests import CreateToken
from tallystick.wire.views import TokenView

LONGEST_LIFE_SECONDS: Final = 10 * 365 * 24 * 3600
"""Ten years: whatever is meant to live longer has no expiry."""

_SECRET_BYTES: Final = 32


async def create(call: Call) -> Response:
    """Make a token; the answer is the only place where its secret ever appears.

    A repeat with the same Idempotency-Key names the token and leaves the secret out.
    """
    body: CreateToken = call.body
    services, role = call.services, Role(body.role)
    secret = secret_text(role, services.clock.token_bytes(_SECRET_BYTES))
    command = commands.CreateToken(
        token=TokenId(services.clock.new_id("tok")),
        role=role,
        sha256=hash_of(secret),
        session=_session(body.session),
        expires_at=_expiry(body.expires_seconds, now=services.clock.now()),
        request=call.mark(),
    )
    accepted = await services.submit(command, by=call.actor)
    assert accepted.token is not None  # noqa: S101 - the handler answers with what it created
    # A commit that only seemed to fail is found again as a repeat: by its id it is still this one.
    shown = secret if accepted.subject == command.token else None
    view = views.token_view(accepted.token, token=shown, receipt=accepted.receipt)
    return answers.json(view)


def _session(session: str | None) -> SessionId | None:
    """A session to bind a token to; a placeholder would bind it to nothing."""
    if session is None:
        return None
    if is_placeholder(session):
        raise InvalidError(
            f"session: expected the id of a conversation; found the variable {session[:80]!r}, "
            "which nothing expanded",
            code="session_placeholder",
        )
    checked_session(session, field="session")
    return check_session_id(session)


def _expiry(seconds: int | None, *, now: int) -> int | None:
    """When the token ends, in milliseconds."""
    if seconds is None:
        return None
    if not 1 <= seconds <= LONGEST_LIFE_SECONDS:
        raise InvalidError(
            f"expires_seconds: expected 1 to {LONGEST_LIFE_SECONDS}; found {seconds}",
            code="expiry_invalid",
        )
    return now + seconds * 1000


async def list_tokens(call: Call) -> Response:
    """Tokens that were handed out, newest first; those of runs are left out."""
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    before = position_of(cursor)
    found = await call.services.read(lambda tx: tokens.page(tx, limit=limit + 1, before=before))
    shown, after = page_of(found, limit, lambda token: token.created_seq)
    items = [views.token_view(token) for token in shown]
    return answers.json(items if cursor is None else TokenPage(items=items, next_cursor=after))


async def revoke(call: Call) -> Response:
    """End a token, at once and for good."""
    key = call.path["token"]
    if not is_id(key, "tok"):
        raise NotFoundError(
            f"Token not found: {key[:80]}",
            code="token_not_found",
            next_actions=("GET /tokens lists the tokens there are",),
        )
    command = commands.RevokeToken(token=TokenId(key))
    accepted = await call.services.submit(command, by=call.actor)
    call.gate.forget_tokens()
    assert accepted.token is not None  # noqa: S101 - the command is about a token
    return answers.json(views.token_view(accepted.token, receipt=accepted.receipt))


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/tokens",
        route=create,
        permission=Permission.ADMINISTER,
        body=Body(CreateToken, refuse_unknown=True),
        answer=TokenView,
        creates=True,
    ),
    Endpoint(
        method="GET",
        path="/tokens",
        route=list_tokens,
        permission=Permission.ADMINISTER,
        query=(
            page_size(1000, 100),
            CURSOR,
        ),
        answer=list[TokenView] | TokenPage,
    ),
    Endpoint(
        method="POST",
        path="/tokens/{token}/revoke",
        route=revoke,
        permission=Permission.ADMINISTER,
        body=Body(Empty, optional=True, refuse_unknown=True),
        answer=TokenView,
        refusals=(404, 409),
    ),
)
