"""The SDK inside the server's own process: a transport that hands requests to the application.

No socket lies between, and no check is left out: every request passes the same gate, with the token
that it carries. `send` blocks, so it is called from worker threads and never from the event loop
itself; `answer` is what it waits for there, and may be awaited by those who hold no thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import unquote

from tallystick.client.client import Client
from tallystick.client.guard import LedgerGuard
from tallystick.client.transport import Request, Response
from tallystick.errors import UnavailableError

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]
"""An ASGI application."""

HOST = "localhost"
"""What requests name as their host: a loopback name, which every server takes for its own."""


class InProcessTransport:
    """Requests to an application that runs on an event loop of this process."""

    def __init__(self, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that the application runs on."""
        self._application = application
        self._loop = loop

    def send(self, request: Request) -> Response:
        """The application's answer; raises `UnavailableError` when none comes in time.

        Blocks the calling thread, which must not be the one of the event loop.
        """
        coming = self.answer(request)
        try:
            future = asyncio.run_coroutine_threadsafe(coming, self._loop)
        except RuntimeError as error:  # the loop is closed
            coming.close()
            raise _stopping() from error
        try:
            return future.result(request.timeout_seconds)
        except TimeoutError as error:
            future.cancel()
            raise UnavailableError(
                "the server did not answer in time", code="timeout", hint="ask again"
            ) from error
        except CancelledError as error:
            raise _stopping() from error

    async def answer(self, request: Request) -> Response:
        """The application's answer; only on its own event loop. Streams are not offered here."""
        if request.stream:
            raise ValueError("an endless answer cannot be collected")
        exchange = _Exchange(request.body or b"")
        await self._application(_scope(request), exchange.receive, exchange.send)
        return Response(
            status=exchange.status, headers=exchange.headers, chunks=iter((bytes(exchange.body),))
        )


class InProcessClient(Client):
    """The calls of the SDK in the server's own process, for one caller's token.

    It belongs to no conversation by itself: what the server's process has in its environment is not
    the caller's. A server needs no memory of its own ledger either, so none is compared.
    """

    def __init__(self, transport: InProcessTransport, *, token: str) -> None:
        """`token` is the caller's; nothing is read from files or from the environment."""
        super().__init__(f"http://{HOST}", token, transport=transport, agent=True)
        self._guard = _Unwatched(self._caller, self.known, url=lambda: None, warn=lambda _: None)


class _Unwatched(LedgerGuard):
    """Compares nothing: the ledger is this process's own."""

    def saw(self, answer: Any) -> None:
        """Nothing is kept."""


class _Exchange:
    """One request's body on its way in, and its answer on the way out."""

    def __init__(self, body: bytes) -> None:
        self._unread: bytes | None = body
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> Message:
        """The whole body at once; after it nothing comes, as from a caller who waits."""
        if self._unread is None:
            await asyncio.get_running_loop().create_future()
        body, self._unread = self._unread, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Keep what the application says."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in message.get("headers", ())
            }
        else:
            self.body += message.get("body", b"")


def _scope(request: Request) -> Message:
    """The request as ASGI has it."""
    path, _, query = request.target.partition("?")
    headers = {"host": HOST, **{name.lower(): value for name, value in request.headers.items()}}
    if request.body is not None:
        headers["content-length"] = str(len(request.body))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": (HOST, None),
    }


def _stopping() -> UnavailableError:
    return UnavailableError(
        "the server is stopping",
        code="server_stopping",
        hint="ask again once it answers; what was accepted is kept",
    )
