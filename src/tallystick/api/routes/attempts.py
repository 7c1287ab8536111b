"""The attempts of a run, and what supervisors deliver: observations, and metrics of their jobs."""

import logging
from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.attempt_views import attempt_view, texts_of
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_run, is_id
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Acknowledged, Relayed, Report
from tallystick.control.reports import report_commands
from tallystick.db.database import Transaction
from tallystick.domain.attempt import Attempt
from tallystick.errors import InvalidError, NotFoundError, TallystickError
from tallystick.projections import attempts
from tallystick.store import logs
from tallystick.wire import observation
from tallystick.wire.attempt_views import AttemptPage, AttemptView
from tallystick.wire.bundle import OUTPUT_FILE

_log = logging.getLogger(__name__)


async def list_attempts(call: Call) -> Response:
    """Every execution of the run, newest first; a retry is another one, with logs of its own."""
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    before = position_of(cursor)
    found = await call.services.read(lambda tx: _page(tx, call, limit=limit, before=before))
    return answers.json(found.items if cursor is None else found)


def _page(tx: Transaction, call: Call, *, limit: int, before: int | None) -> AttemptPage:
    run = find_run(tx, call.path["run"])
    found = attempts.of_run(tx, run.id, limit=limit + 1, before=before)
    shown, after = page_of(found, limit, lambda attempt: attempt.number)
    texts = texts_of(tx, shown)
    items = []
    for attempt in shown:
        directory = call.services.runs_dir / run.id / attempt.id
        _, size = logs.locate(directory / OUTPUT_FILE, 0)
        view = attempt_view(run, attempt, texts, run_dir=str(directory), output_bytes=size)
        items.append(view)
    return AttemptPage(items=items, next_cursor=after)


async def report(call: Call) -> Response:
    """Record what the supervisor of this attempt saw; delivering twice is harmless.

    Acknowledged is what the ledger holds or needs no entry: the supervisor may forget it. They are
    recorded one after the other, up to the first that fails: a later one in the ledger would make
    every repeat of an earlier one look as if it had been seen.
    """
    body: Report = call.body
    seen = [
        observation.read(item, where=f"observations[{index}]")
        for index, item in enumerate(body.observations)
    ]
    numbers = [item.n for item in seen]
    if numbers != sorted(set(numbers)) or (numbers and numbers[0] < 1):
        raise InvalidError(
            f"observations: expected numbers that rise from 1; found {numbers[:20]}",
            code="observations_unordered",
        )
    attempt = await call.services.read(lambda tx: _attempt(tx, call.path["attempt"]))
    texts = call.texts()
    commands = await call.prepare(lambda: report_commands(attempt, seen, texts))
    for done, command in enumerate(commands):
        try:
            await call.services.submit(command, by=call.actor, texts=texts)
        except TallystickError:
            if done == 0:
                raise
            told = getattr(command, "n", 0)
            _log.warning("attempt %s: observation %d was not recorded", attempt.id, told)
            numbers = [n for n in numbers if n < told]
            break
    return answers.json(Acknowledged(acknowledged=max([attempt.observed, *numbers])))


def _attempt(tx: Transaction, key: str) -> Attempt:
    found = attempts.get(tx, key) if is_id(key, "att") else None
    if found is None:
        raise NotFoundError(f"Attempt not found: {key[:80]}", code="attempt_not_found")
    return found


async def relay(call: Call) -> Response:
    """Add the bytes from `offset` on of the attempt's metrics file to the server's copy of it.

    Bytes at another offset than the copy's end are not stored; the answer says where to go on.
    """
    attempt = await call.services.read(lambda tx: _attempt(tx, call.path["attempt"]))
    offset: int = call.query["offset"]
    return await call.services.work(_relay, call, attempt, offset)


def _relay(call: Call, attempt: Attempt, offset: int) -> Response:
    length = call.services.data.series.append(attempt.run, attempt.id, call.raw, offset=offset)
    try:
        call.services.data.indexer.touch(attempt.run)
    except TallystickError as error:  # the bytes are on disk: an error would have them sent again
        _log.warning("run %s: its new rows are not marked as new: %s", attempt.run, error)
    return answers.json(Relayed(offset=length))


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/runs/{run}/attempts",
        route=list_attempts,
        permission=Permission.READ,
        query=(page_size(200, 100), CURSOR),
        answer=list[AttemptView] | AttemptPage,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/attempts/{attempt}/observations",
        route=report,
        permission=Permission.REPORT,
        body=Body(Report, refuse_unknown=True),
        answer=Acknowledged,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/attempts/{attempt}/metrics",
        route=relay,
        permission=Permission.REPORT,
        query=(
            Query(
                name="offset",
                kind=int,
                minimum=0,
                maximum=2**53,
                required=True,
                description="Where these bytes begin in the attempt's metrics file.",
            ),
        ),
        answer=Relayed,
        refusals=(404,),
    ),
)
