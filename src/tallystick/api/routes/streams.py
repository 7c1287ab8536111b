"""The ledger as a stream of events, resumable by position (P4.2)."""

from typing import Final

from starlette.responses import Response

from tallystick.api import feed
from tallystick.api.call import Call
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission


async def events(call: Call) -> Response:
    """Every entry as it is written: `id` is its position, `event` its type, `data` the entry.

    Begins with the next entry, or after `after` (-1 for the whole ledger), or after Last-Event-ID.
    """
    resumed = feed.last_event_id(call.request.headers.get("last-event-id"))
    after: int | None = resumed if resumed is not None else call.query["after"]
    if after is None:
        after = call.services.ledger.size - 1
    wanted = feed.Filter(session=call.query["session"], sweep=call.query["sweep"])
    frames = feed.entries(
        call.services, after=after, wanted=wanted, allowed=lambda: call.gate.still_open(call)
    )
    return feed.answer(frames)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/events",
        route=events,
        permission=Permission.READ,
        query=(
            Query(
                name="after",
                kind=int,
                minimum=-1,
                maximum=2**53,
                description="Begin after this ledger position.",
            ),
            Query(name="session", description="Only entries of this session."),
            Query(name="sweep", description="Only entries of this sweep and its runs."),
        ),
        media_type="text/event-stream",
        streams=True,
    ),
)
