"""Server-sent events: the frames, and the stream of ledger entries.

A listener holds no thread and no database connection while nothing happens (P4.2). Every event has
its position as id, so a listener that was cut off goes on where it was. A comment now and then
keeps proxies from closing the line, and is when a revoked token is noticed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from starlette.responses import StreamingResponse

from tallystick.api.services import Services
from tallystick.db.database import Transaction
from tallystick.errors import InvalidError
from tallystick.ledger.ledger import Entry, Ledger
from tallystick.projections import runs

HEARTBEAT_SECONDS: Final = 15.0
PAGE: Final = 200
"""Entries read at a time."""

HEARTBEAT: Final = b": still here\n\n"


def frame(data: bytes, *, event: str | None = None, number: int | None = None) -> bytes:
    """One event; `data` is JSON, which holds no line break."""
    head = b"" if number is None else b"id: %d\n" % number
    name = b"" if event is None else b"event: %s\n" % event.encode()
    return head + name + b"data: " + data + b"\n\n"


def message(content: dict[str, Any], *, number: int | None = None) -> bytes:
    """One event without a name, as agents read logs."""
    return frame(orjson.dumps(content), number=number)


def answer(frames: AsyncIterator[bytes]) -> StreamingResponse:
    """The stream as an answer."""
    return StreamingResponse(
        frames, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


def last_event_id(text: str | None) -> int | None:
    """The position after which a listener goes on; raises `InvalidError` when it is none."""
    digits = (text or "").strip(" \t")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise InvalidError(
            f"Last-Event-ID: expected the id of an event, a whole number; found {digits[:40]!r}",
            code="parameter_invalid",
        )
    return int(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which entries; None means all."""

    session: str | None = None
    sweep: str | None = None


def read_page(tx: Transaction, *, after: int, wanted: Filter) -> tuple[list[Entry], int]:
    """The next entries that are wanted, and the position up to which all were looked at."""
    found = Ledger.read(tx, after=after, limit=PAGE, session=wanted.session)
    position = found[-1].seq if found else after
    if wanted.sweep is not None:
        streams = {entry.stream for entry in found if entry.stream.startswith("run_")}
        members = {run.id for run in runs.many(tx, list(streams)) if run.sweep == wanted.sweep}
        keep = {wanted.sweep, *members}
        found = [entry for entry in found if entry.stream in keep]
    return found, position


async def entries(
    services: Services, *, after: int, wanted: Filter, allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Every entry later than `after`, for as long as somebody listens and is `allowed` to."""
    feed, loop = services.feed, asyncio.get_running_loop()
    beat = loop.time() + HEARTBEAT_SECONDS
    while not feed.closed:
        seen = feed.position
        found, position = await services.read(partial(read_page, after=after, wanted=wanted))
        for entry in found:
            yield frame(entry.raw, event=entry.type, number=entry.seq)
            beat = loop.time() + HEARTBEAT_SECONDS
        if position == after:
            await feed.wait_any(after_seq=seen, timeout_seconds=max(0.0, beat - loop.time()))
        after = position
        if not await allowed():
            return
        if loop.time() >= beat:
            yield HEARTBEAT
            beat = loop.time() + HEARTBEAT_SECONDS
