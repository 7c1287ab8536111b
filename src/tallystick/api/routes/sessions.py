"""Sessions: what each agent conversation did (P1.1)."""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.call import Call
from tallystick.api.finding import find_session
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import SessionPage
from tallystick.projections import sessions
from tallystick.wire.views import SessionView


async def list_sessions(call: Call) -> Response:
    """Sessions, newest first."""
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    before = position_of(cursor)
    found = await call.services.read(lambda tx: sessions.page(tx, limit=limit + 1, before=before))
    shown, after = page_of(found, limit, lambda session: session.opened_seq)
    items = [views.session_view(session) for session in shown]
    return answers.json(items if cursor is None else SessionPage(items=items, next_cursor=after))


async def get_session(call: Call) -> Response:
    """One session; `GET /runs?chat_session_id=` and `GET /sweeps?chat_session_id=` list its own."""
    found = await call.services.read(lambda tx: find_session(tx, call.path["session"]))
    return answers.json(views.session_view(found))


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/sessions",
        route=list_sessions,
        permission=Permission.READ,
        query=(
            page_size(1000, 100),
            CURSOR,
        ),
        answer=list[SessionView] | SessionPage,
    ),
    Endpoint(
        method="GET",
        path="/sessions/{session}",
        route=get_session,
        permission=Permission.READ,
        answer=SessionView,
        refusals=(404,),
    ),
)
