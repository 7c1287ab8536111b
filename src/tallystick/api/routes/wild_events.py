"""What happened in a session, until it was heard: no agent has to poll its runs.

Every session has its own cursor. Acknowledgements are kept over restarts, and are no facts: the
ledger says what happened, not who has read it.
"""

from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.paging import CURSOR, page_size, position_of
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.views import seconds
from tallystick.control.messages import Message, compose
from tallystick.db.database import Transaction
from tallystick.domain.ids import Role
from tallystick.errors import ForbiddenError, InvalidError
from tallystick.projections import acknowledged, notices
from tallystick.wire.signal_requests import MOST_EVENT_IDS, ResolveEvents
from tallystick.wire.signal_views import EventPage, EventView, Resolved

_TYPES: Final = {"budget_warned": "budget", "budget_reached": "budget"}


async def events(call: Call) -> Response:
    """What this session has not acknowledged yet, oldest first, with the time when it happened.

    Asked for with `cursor`, it comes in pages. `GET /events?session=…` streams instead.
    """
    session = _own(call)
    limit, cursor = call.query["limit"], call.query["cursor"]
    after = position_of(cursor)

    def ask(tx: Transaction) -> tuple[list[EventView], str | None]:
        start = -1 if after is None else after
        found = notices.unacknowledged(tx, session, limit=limit + 2, after=start)
        shown = found[:limit]
        # One entry can lead to two notices: a page never ends between them.
        while shown and len(shown) < len(found) and found[len(shown)].seq == shown[-1].seq:
            shown = found[: len(shown) + 1]
        more = str(shown[-1].seq) if len(found) > len(shown) else None
        return [_view(message) for message in compose(tx, shown)], more

    items, more = await call.services.read(ask)
    return answers.json(items if cursor is None else {"items": items, "next_cursor": more})


async def resolve(call: Call) -> Response:
    """Acknowledge events of this session: they are not told again, restart or not.

    An id that is unknown, or of another session, is not counted. Answering an alert is another
    call: POST /alerts/{id}/respond.
    """
    body: ResolveEvents = call.body
    session = _own(call)
    if len(body.event_ids) > MOST_EVENT_IDS:
        raise InvalidError(
            f"event_ids: expected at most {MOST_EVENT_IDS}; found {len(body.event_ids)}",
            code="body_invalid",
            hint="acknowledge them in several calls",
        )
    wanted = [one for one in body.event_ids if "\x00" not in one]
    count = await call.services.work(_acknowledge, call, session, wanted)
    return answers.json(Resolved(resolved=count))


def _acknowledge(call: Call, session: str, ids: list[str]) -> int:
    with call.services.database.write() as tx:
        return acknowledged.acknowledge(tx, session, ids)


def _own(call: Call) -> str:
    """The session of the path; raises `ForbiddenError` for an agent that is bound to another."""
    session = call.path["session"]
    token = call.token
    bound = token is not None and token.role is Role.AGENT and token.session is not None
    if bound and token is not None and token.session != session:
        raise ForbiddenError(
            f"this token belongs to session {token.session!r}, and reads its events only",
            code="session_scope",
            next_actions=(f"GET /wild/v2/events/{token.session}",),
        )
    return session


def _view(message: Message) -> EventView:
    notice, data = message.notice, message.data
    known: dict[str, Any] = {"alert_id": data.get("alert_id")}
    return EventView(
        id=notice.id,
        type=_TYPES.get(notice.type, notice.type),
        title=message.title,
        detail=message.detail,
        run_id=notice.run,
        sweep_id=notice.sweep,
        created_at=seconds(notice.ts),
        **known,
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/wild/v2/events/{session}",
        route=events,
        permission=Permission.READ,
        query=(page_size(1000, 100), CURSOR),
        answer=list[EventView] | EventPage,
    ),
    Endpoint(
        method="POST",
        path="/wild/v2/events/{session}/resolve",
        route=resolve,
        permission=Permission.CONTROL,
        body=Body(ResolveEvents),
        answer=Resolved,
    ),
)
