"""Lists of runs: pages that cost the same whatever there is, from facts alone (P4.1)."""

from typing import Final

import orjson
from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.call import Call
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routes.queue import Told, reasons_for, room_for
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import RunPage
from tallystick.db.database import Transaction
from tallystick.domain.ids import SessionId, SweepId
from tallystick.domain.status import Phase, Status
from tallystick.projections import measured, runs
from tallystick.projections.filters import (
    FIELDS,
    LONGEST_FILTER,
    NAMED,
    mentions,
    parse,
    parse_sort,
)
from tallystick.projections.measured import Measured
from tallystick.projections.selecting import Selection
from tallystick.wire.views import RunView


async def list_runs(call: Call) -> Response:
    """Runs, newest first unless `sort` says otherwise; never more than `limit`.

    Ask for pages with `cursor`. `filter` is one grammar for this call, the command line and the
    dashboard.
    """
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    wanted, before = run_filter(call), position_of(cursor)
    items, after = await call.services.read(
        lambda tx: _page(tx, call, wanted, limit=limit, before=before)
    )
    return answers.json(items if cursor is None else {"items": items, "next_cursor": after})


def run_filter(call: Call) -> runs.RunFilter:
    """Which runs the query asks for, and in which order."""
    query = call.query
    terms = parse(query["filter"] or "")
    archived = {"false": False, "true": None, "only": True}[query["archived"]]
    if archived is False and mentions(terms, "archived"):
        archived = None
    sweep, session, status = query["sweep_id"], query["chat_session_id"], query["status"]
    return runs.RunFilter(
        selection=Selection(
            terms,
            None if query["sort"] is None else parse_sort(query["sort"]),
            call.services.clock.now(),
        ),
        sweep=None if sweep is None else SweepId(sweep),
        session=None if session is None else SessionId(session),
        status=None if status is None else Status(status),
        archived=archived,
    )


def _page(
    tx: Transaction, call: Call, wanted: runs.RunFilter, *, limit: int, before: int | None
) -> tuple[list[orjson.Fragment], str | None]:
    """A page whose runs are shown from memory, but for those that an entry has moved since.

    What a list says of a run follows from the entries of its stream, and so does the key; but for
    why a queued one waits and for what was measured, which are put in each time.
    """
    kept = call.services.listed
    found = runs.places(tx, wanted, limit=limit + 1, before=before)
    shown, after = page_of(found, limit, lambda place: place.created_seq)
    items = {place.id: kept.get((place.id, place.changed_seq)) for place in shown}
    moved = runs.many(tx, [run for run, item in items.items() if item is None])
    material = views.of_runs(tx, moved, in_list=True)
    for run in moved:
        item = answers.encode(views.run_view(run, material, in_list=True))
        kept.keep((run.id, run.changed_seq), item)
        items[run.id] = item
    queued = [place.id for place in shown if place.phase == Phase.QUEUED]
    told = reasons_for(tx, runs.many(tx, queued), room_for(call)) if queued else {}
    known = measured.of_runs(tx, [place.id for place in shown])
    return [
        orjson.Fragment(_with_metrics(_with_reason(item, told.get(run)), known.get(run)))
        for run, item in items.items()
        if item is not None
    ], after


_WAITS: Final = b'"queue_position":null,"pending_reason":null'
"""Two neighbours in every encoded run; text of others cannot hold it, for its quotes are escaped,
and no parameter is null."""


def _with_reason(item: bytes, told: Told | None) -> bytes:
    """An encoded run with its place in the queue and why it waits."""
    if told is None:
        return item
    reason = orjson.dumps(told.pending_reason)
    place = orjson.dumps(told.queue_position)
    return item.replace(_WAITS, b'"queue_position":%b,"pending_reason":%b' % (place, reason), 1)


_MEASURED: Final = b'"metrics":{},"summary":{}'


def _with_metrics(item: bytes, known: Measured | None) -> bytes:
    """An encoded run with its last values."""
    if known is None:
        return item
    told = b'"metrics":%b,"summary":%b' % (known.metrics.encode(), known.summary.encode())
    return item.replace(_MEASURED, told, 1)


CHOICE: Final = (
    Query(name="sweep_id", description="Only runs of this sweep."),
    Query(name="chat_session_id", description="Only runs of this session."),
    Query(
        name="status",
        choices=tuple(status.value for status in Status),
        description="Only runs with this status.",
    ),
    Query(
        name="archived",
        default="false",
        choices=("false", "true", "only"),
        description="`true` includes archived runs, `only` shows nothing else.",
    ),
    Query(
        name="filter",
        longest=LONGEST_FILTER,
        description="Terms that must all hold, for example `status:failed param.lr>=1e-3 "
        'metric.val/loss<0.2 tag:best "resnet"`. A minus before a term turns it round, a comma '
        "stands between alternatives. Compare with : != < <= > >=, and ~ for a part of a text. "
        f"Fields: {', '.join(FIELDS)}; and with a name after a dot: {', '.join(NAMED)} "
        "(metric is the last value). Times are dates, durations like 90s, 5m, 12h, 3d.",
    ),
    Query(
        name="sort",
        description="`created`, `started`, `ended`, `duration`, `status`, `exit`, `attempts`, "
        "`point`, or `param.…`, `metric.…`, `min.…`, `max.…`, `summary.…`; with a minus before it "
        "the greatest first. Runs without a value come last. The newest come first without it.",
    ),
)
"""How a list of runs is narrowed down, and ordered."""

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/runs",
        route=list_runs,
        permission=Permission.READ,
        query=(
            *CHOICE,
            page_size(1000, 100),
            CURSOR,
        ),
        answer=list[RunView] | RunPage,
    ),
)
