"""Output of runs, byte exact, in pages and as a stream."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.responses import Response

from tallystick.api import answers, feed
from tallystick.api.call import Call
from tallystick.api.finding import find_run
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
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


async def page(call: Call) -> Response:
    """A page of the run's output, standard output and standard error together.

    Offsets are bytes of the file; a page never cuts a character. `format=raw` gives the bytes.
    """
    run = await _run(call)
    path, offset = _output(call, run), int(call.query["offset"])
    limit = min(int(call.query["limit"]), logs.MAX_LIMIT_BYTES)
    if call.query["format"] == "raw":
        return await call.services.work(_raw, path, offset, limit)
    ended = run.status in ENDED_STATUSES
    found = await call.services.work(_page, path, offset, limit, ended)
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

    Begins with the last 10,000 bytes, or at `offset`. The id of each event is the byte offset after
    it; a listener that was cut off sends it as Last-Event-ID and goes on there.
    """
    run = await _run(call)
    resumed = feed.last_event_id(call.request.headers.get("last-event-id"))
    offset = resumed if resumed is not None else call.query["offset"]
    frames = _frames(call, run, -INITIAL_BYTES if offset is None else int(offset))
    return feed.answer(frames)


async def _frames(call: Call, run: Run, offset: int) -> AsyncIterator[bytes]:
    """Events until the run has ended and all of its output was sent."""
    services, kind = call.services, "initial"
    loop = asyncio.get_running_loop()
    beat, pause = loop.time() + feed.HEARTBEAT_SECONDS, _QUICK_SECONDS
    while not services.feed.closed:
        ended = run.status in ENDED_STATUSES
        limit = INITIAL_BYTES if offset < 0 else _DELTA_BYTES
        found = await services.work(_page, _output(call, run), offset, limit, ended)
        if found.content or kind == "initial":
            content = {"type": kind, "content": found.content}
            yield feed.message(content, number=found.next_offset)
            kind, pause = "delta", _QUICK_SECONDS
        offset = found.next_offset
        if found.content and found.has_more_after:
            continue
        if ended:
            yield feed.message({"type": "done", "status": run.status.value}, number=offset)
            return
        if loop.time() >= beat:
            if not await call.gate.still_open(call):
                return
            yield feed.HEARTBEAT
            beat = loop.time() + feed.HEARTBEAT_SECONDS
        moved = await services.feed.wait_for(
            run.id, after_seq=run.changed_seq, timeout_seconds=pause
        )
        pause = min(pause * 1.5, _SLOW_SECONDS)
        if moved:
            run = await _run(call)


async def _run(call: Call) -> Run:
    return await call.services.read(lambda tx: find_run(tx, call.path["run"]))


def _output(call: Call, run: Run) -> Path:
    """The output file of the newest attempt; a path without a file before there is one."""
    return call.services.runs_dir / run.id / (run.attempt or "none") / OUTPUT_FILE


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
        ),
        media_type="text/event-stream",
        refusals=(404,),
        streams=True,
    ),
)
