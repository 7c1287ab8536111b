"""Waiting is a request, not a loop (P4.2)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tallystick.api.call import Call
from tallystick.api.queries import Query

T = TypeVar("T")

LONGEST_WAIT_SECONDS: Final = 55
"""Shorter than the minute after which most proxies hang up."""

WAIT: Final = Query(
    name="wait",
    kind=int,
    default=0,
    minimum=0,
    maximum=LONGEST_WAIT_SECONDS,
    description="Seconds to wait for another status; 0 answers at once (P4.2).",
)
"""The parameter of calls that can wait."""


async def until_changed(
    call: Call,
    read: Callable[[], Awaitable[T]],
    *,
    stream: str,
    settled: Callable[[T], bool],
    status: Callable[[T], str],
) -> T:
    """The state, once its status is another or the time is up (P4.2).

    A settled state answers at once. The waiter holds no thread and no connection.
    """
    feed = call.services.feed
    position = feed.position
    state = await read()
    first, loop = status(state), asyncio.get_running_loop()
    deadline = loop.time() + call.query["wait"]
    while not settled(state) and status(state) == first:
        left = deadline - loop.time()
        if left <= 0 or not await feed.wait_for(stream, after_seq=position, timeout_seconds=left):
            break
        position = feed.position
        state = await read()
    return state
