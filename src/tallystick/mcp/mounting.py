"""The route `/mcp`: behind the gate like every other, loaded when the first request comes.

The gate has checked host, token, permission and the size of the body before anything here is done.
The protocol itself is spoken by the SDK's application, which is loaded on another thread: a server
that nobody asks over MCP never pays for it, and one that is asked goes on answering meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.responses import Response

from tallystick.api.call import Call
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.errors import ForbiddenError

if TYPE_CHECKING:
    from tallystick.mcp.http import McpOverHttp

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH: Final = "/mcp"
NAMES: Final = Query(
    name="names",
    choices=("older",),
    description="`older` lists create_run and start_run in the place of two others.",
)


class Mount:
    """One server's `/mcp`."""

    def __init__(self, *, max_body_bytes: int) -> None:
        """Nothing is loaded yet; `attach` says what the tools call."""
        self._max_body_bytes = max_body_bytes
        self._application: Any = None
        self._opening: asyncio.Task[McpOverHttp] | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its one route. GET and DELETE are refused (405), as servers do that keep no sessions."""
        return (
            Endpoint(
                method="POST",
                path=PATH,
                route=self.route,
                permission=Permission.READ,
                query=(NAMES,),
                hidden=True,
            ),
        )

    def attach(self, application: Any) -> None:
        """The ASGI application that the tools call: the one that this route is part of."""
        self._application = application

    async def route(self, call: Call) -> Response:
        """The Model Context Protocol over streamable HTTP, without sessions.

        Any token that may read may call; what a tool may do is decided by the calls it makes.
        """
        check_origin(call.headers.get("origin"), host=call.headers.get("host", ""))
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._open())
        return _Handed(await asyncio.shield(self._opening), call.raw)

    async def close(self) -> None:
        """End what is under way, if anything was ever asked; may be repeated."""
        if self._opening is not None and not _has_failed(self._opening):
            await (await self._opening).close()

    async def _open(self) -> "McpOverHttp":
        load = asyncio.get_running_loop().run_in_executor(None, _load)
        spoken = (await load)(self._application, max_body_bytes=self._max_body_bytes)
        await spoken.open()
        return spoken


def check_origin(origin: str | None, *, host: str) -> None:
    """Raises `ForbiddenError` for a page of another site, which DNS rebinding would let in.

    Programs send no Origin.
    """
    if not origin or urlsplit(origin).netloc == host:
        return
    if urlsplit(origin).hostname in {"localhost", "127.0.0.1", "::1"}:
        return
    raise ForbiddenError(
        f"Origin: expected none or this server's own; found {origin[:80]!r}",
        code="origin_not_allowed",
        hint="programs leave it out; pages of other sites may not speak to this server",
    )


class _Handed(Response):
    """An answer that the SDK's application gives, with the headers of every answer."""

    def __init__(self, application: "McpOverHttp", body: bytes) -> None:
        super().__init__()
        self.raw_headers = []  # the gate adds its own; the rest is the application's
        self._application = application
        self._unread: bytes | None = body

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Speak: the body was read by the gate, and is handed on."""

        async def read() -> Message:
            if self._unread is None:
                return await receive()
            body, self._unread = self._unread, None
            return {"type": "http.request", "body": body, "more_body": False}

        async def write(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                own = [pair for pair in self.raw_headers if pair[0] not in said]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._application(scope, read, write)


def _has_failed(opening: "asyncio.Task[McpOverHttp]") -> bool:
    """Whether loading was tried and did not work: then it is tried again."""
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


def _load() -> "type[McpOverHttp]":
    """The half second; on a thread of its own."""
    from tallystick.mcp.http import McpOverHttp  # noqa: PLC0415 - paid by those who ask

    return McpOverHttp
