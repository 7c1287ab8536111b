"""Output of runs, byte exact, in pages and as a stream."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import Response

from tallystick.api import answers, feed
from tallystick.api.call import Call
from tallystick.api.finding import find_attempt, find_run
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.db.database import Transaction
from tallystick.domain.run import Run
from tallystick.domain.status import ENDED_STATUSES
from tallystick.store import logs
from tallystick.wire.bundle import OUTPUT_FILE
from tallystick.wire.views import LogPage

INITIAL_BYTES: Final = 10_000
"""A stream begins with at most this much of what is there already."""

_LARGEST_OFFSET: Final = 2**53
_DELTA_BYTES: Final = 65_536
_QUICK_SECONDS: Final = 0.2  # output that grows is looked at this often
_SLOW_SECONDS: Final = 1.0  # and output that does not, this often


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Whose output is read."""

    run: Run
    attempt: str | None
    """None before the run has any."""
    ended: bool
    """Nothing is added to it any more."""


async def page(call: Call) -> Response:
    """A page of the run's output, standard output and standard error together.

    That of its newest attempt, unless `attempt` names another: each has its own.

    Offsets are bytes of the file; a page never cuts a character. `format=raw` gives the bytes.
    """
    source = await _source(call)
    path, offset = _output(call, source), int(call.query["offset"])
    limit = min(int(call.query["limit"]), logs.MAX_LIMIT_BYTES)
    if call.query["format"] == "raw":
        return await call.services.work(_raw, path, offset, limit)
    found = await call.services.work(_page, path, offset, limit, source.ended)
    return answers.json(found)


def _page(path: Path, offset: int, limit: int, ended: bool) -> LogPage:  # noqa: FBT001 - a thread pool passes by position
    return logs.page(path, offset=offset, limit=limit, ended=ended)


def _raw(path: Path, offset: int, limit: int) -> Response:
    start, total = logs.locate(path, offset)
    content = logs.read(path, offset=start, limit=limit)
    response = answers.octets(content)
    response.headers["x-tally-offset"] = str(start)
    response.headers["x-tally-next-offset"] = str(start + len(content))
    response.headers["x-tally-total-size"] = str(total)
    return response


async def stream(call: Call) -> Response:
    """The run's output as it comes: `initial`, then `delta`, then `done` with the status.

    It is that of one attempt, the newest unless `attempt` names another, and is done when that has
    ended: a status of `queued` says that the run is to be tried again.

    Begins with the last 10,000 bytes, or at `offset`. The id of each event is the byte offset after
    it; a listener that was cut off sends it as Last-Event-ID and goes on there.
    """
    source = await _source(call)
    resumed = feed.last_event_id(call.request.headers.get("last-event-id"))
    offset = resumed if resumed is not None else call.query["offset"]
    frames = _frames(call, source, -INITIAL_BYTES if offset is None else int(offset))
    return feed.answer(frames)


async def _frames(call: Call, source: _Source, offset: int) -> AsyncIterator[bytes]:
    """Events until the attempt has ended and all of its output was sent."""
    services, kind = call.services, "initial"
    loop = asyncio.get_running_loop()
    beat, pause = loop.time() + feed.HEARTBEAT_SECONDS, _QUICK_SECONDS
    while not services.feed.closed:
        limit = INITIAL_BYTES if offset < 0 else _DELTA_BYTES
        path = _output(call, source)
        found = await services.work(_page, path, offset, limit, source.ended)
        if found.content or kind == "initial":
            content = {"type": kind, "content": found.content}
            yield feed.message(content, number=found.next_offset)
            kind, pause = "delta", _QUICK_SECONDS
        offset = found.next_offset
        if found.content and found.has_more_after:
            continue
        if source.ended:
            done = {"type": "done", "status": source.run.status.value}
            yield feed.message(done, number=offset)
            return
        if loop.time() >= beat:
            if not await call.gate.still_open(call):
                return
            yield feed.HEARTBEAT
            beat = loop.time() + feed.HEARTBEAT_SECONDS
        moved = await services.feed.wait_for(
            source.run.id, after_seq=source.run.changed_seq, timeout_seconds=pause
        )
        pause = min(pause * 1.5, _SLOW_SECONDS)
        if moved:
            source = await _source(call, attempt=source.attempt)


async def _source(call: Call, *, attempt: str | None = None) -> _Source:
    """What the request asks for: `attempt`, or the one that the query names, or the newest."""
    key = attempt or call.query["attempt"]
    return await call.services.read(lambda tx: _find(tx, call.path["run"], key))


def _find(tx: Transaction, run_id: str, key: str | None) -> _Source:
    run = find_run(tx, run_id)
    found = find_attempt(tx, run, key)
    over = run.status in ENDED_STATUSES if found is None else not found.active
    return _Source(run=run, attempt=None if found is None else found.id, ended=over)


def _output(call: Call, source: _Source) -> Path:
    """The output file of the attempt; a path without a file before there is one."""
    return call.services.runs_dir / source.run.id / (source.attempt or "none") / OUTPUT_FILE


_ATTEMPT: Final = Query(
    name="attempt", description="Id or number of the attempt, instead of the newest one."
)

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/runs/{run}/logs",
        route=page,
        permission=Permission.READ,
        query=(
            Query(
                name="offset",
                kind=int,
                default=-10_000,
                minimum=-_LARGEST_OFFSET,
                maximum=_LARGEST_OFFSET,
                description="First byte; negative counts from the end.",
            ),
            Query(
                name="limit",
                kind=int,
                default=10_000,
                minimum=1,
                maximum=_LARGEST_OFFSET,
                description=f"At most this many bytes; more than {logs.MAX_LIMIT_BYTES} "
                "counts as that.",
            ),
            Query(
                name="format",
                default="json",
                choices=("json", "raw"),
                description="`raw` answers with the bytes themselves.",
            ),
            _ATTEMPT,
        ),
        answer=LogPage,
        also=("application/octet-stream",),
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}/logs/stream",
        route=stream,
        permission=Permission.READ,
        query=(
            Query(
                name="offset",
                kind=int,
                minimum=0,
                maximum=_LARGEST_OFFSET,
                description="First byte, instead of the last 10,000.",
            ),
            _ATTEMPT,
        ),
        media_type="text/event-stream",
        refusals=(404,),
        streams=True,
    ),
)
