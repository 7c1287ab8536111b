"""Tells waiting requests that something was committed; holds no thread and no connection (P4.2).

The writer's thread calls `committed`; everything else happens on the event loop. Missing a hint is
harmless: whoever waits looks at the stored facts again when the time is up.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress

from tallystick.control.commands import Committed

REMEMBERED = 20_000
"""Streams whose newest entry is remembered, for a waiter that comes just too late."""


class Feed:
    """Waiting by stream, or for anything at all."""

    def __init__(self) -> None:
        """Waits work once `attach` has named the event loop."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: OrderedDict[str, int] = OrderedDict()
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._anyone: set[asyncio.Future[None]] = set()
        self._position = -1
        self._closed = False

    @property
    def position(self) -> int:
        """Sequence number of the newest entry that was seen."""
        return self._position

    @property
    def closed(self) -> bool:
        """Whether the server is going down."""
        return self._closed

    def attach(self, loop: asyncio.AbstractEventLoop, *, position: int) -> None:
        """Serve waiters on `loop`; `position` is the newest entry by now."""
        self._loop = loop
        self._position = max(position, self._position)

    def committed(self, committed: Committed) -> None:
        """From the writer's thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):  # the loop was closed since: nobody waits there any more
                loop.call_soon_threadsafe(self._release, committed)

    def close(self) -> None:
        """Let everybody go; on the event loop."""
        self._closed = True
        for waiters in [self._anyone, *self._waiters.values()]:
            _wake(waiters)

    async def wait_for(self, stream: str, *, after_seq: int, timeout_seconds: float) -> bool:
        """True when `stream` got an entry later than `after_seq`, False when the time is up."""
        end = _end(timeout_seconds)
        while not self._closed and self._last.get(stream, -1) <= after_seq:
            waiters = self._waiters.setdefault(stream, set())
            try:
                if not await self._wait(waiters, end):
                    return False
            finally:
                if not waiters and self._waiters.get(stream) is waiters:
                    del self._waiters[stream]
        return not self._closed

    async def wait_any(self, *, after_seq: int, timeout_seconds: float) -> int:
        """The newest position, as soon as it is later than `after_seq` or the time is up."""
        end = _end(timeout_seconds)
        while not self._closed and self._position <= after_seq:
            if not await self._wait(self._anyone, end):
                break
        return self._position

    async def _wait(self, waiters: set[asyncio.Future[None]], end: float) -> bool:
        """Wait among `waiters` until `end`, by the loop's clock; always leaves them."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiters.add(future)
        try:
            await asyncio.wait_for(future, end - loop.time())
        except TimeoutError:
            return False
        finally:
            waiters.discard(future)
        return not self._closed

    def _release(self, committed: Committed) -> None:
        """On the event loop: remember, and wake those concerned."""
        self._position = max(self._position, committed.position)
        for stream, seq in committed.touched:
            self._last[stream] = seq
            self._last.move_to_end(stream)
            _wake(self._waiters.get(stream, set()))
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        _wake(self._anyone)


def _end(timeout_seconds: float) -> float:
    """When a wait that begins now is over, by the loop's clock."""
    return asyncio.get_running_loop().time() + timeout_seconds


def _wake(waiters: set[asyncio.Future[None]]) -> None:
    for future in list(waiters):
        if not future.done():
            future.set_result(None)
