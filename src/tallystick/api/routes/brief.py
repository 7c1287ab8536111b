"""The brief of a session: what an agent needs to go on after its context was compacted."""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.brief import brief
from tallystick.api.call import Call
from tallystick.api.finding import find_session
from tallystick.api.queries import Query
from tallystick.api.routes.queue import room_for
from tallystick.api.routing import Endpoint, Permission
from tallystick.wire.brief_views import BriefView


async def get(call: Call) -> Response:
    """What the session tried, what failed and why, what runs and waits, and what to call next.

    At most 2,000 characters of text (about 600 tokens), for an agent that comes back; read-only,
    and as quick for ten thousand runs as for ten. `format=text` is the text alone.
    """
    view = await call.services.read(
        lambda tx: brief(tx, find_session(tx, call.path["session"]), room_for(call))
    )
    if call.query["format"] == "text":
        return answers.text(view.text + "\n")
    return answers.json(view)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/sessions/{session}/brief",
        route=get,
        permission=Permission.READ,
        query=(
            Query(
                name="format",
                choices=("json", "text"),
                default="json",
                description="json: the text and the same as fields; text: the text alone.",
            ),
        ),
        answer=BriefView,
        also=("text/plain",),
        refusals=(404,),
    ),
)
