"""MCP over HTTP, inside the server: every tool call comes back in as calls of the HTTP API.

The token of the MCP request is the token of those calls; they pass the gate like any other. Loaded
for the first request to `/mcp` and not before: the protocol's SDK takes half a second.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from tallystick.api.auth import credential
from tallystick.client.caller import path_of
from tallystick.client.client import Client
from tallystick.client.in_process import Application, InProcessClient, InProcessTransport
from tallystick.client.transport import Request
from tallystick.mcp.server import build

_GIVEN_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class _InProcess:
    """The `Reach` of tools that live in the server's own process."""

    environment: Mapping[str, str] = _GIVEN_NOTHING

    def __init__(self, application: Application, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = InProcessTransport(application, loop)

    def client(self, headers: Mapping[str, str]) -> Client:
        """A client with the caller's token."""
        return InProcessClient(self._transport, token=credential(headers) or "")

    async def changed(self, headers: Mapping[str, str], noun: str, one: str, seconds: int) -> None:
        """The server's own way of waiting, on its event loop: no thread is held (P4.2)."""
        request = Request(
            method="GET",
            target=f"{path_of(noun, one)}?wait={seconds}",
            headers={"Authorization": f"Bearer {credential(headers)}"},
        )
        await self._transport.answer(request)


class McpOverHttp:
    """The SDK's ASGI application, running from `open` to `close`."""

    def __init__(self, application: Application, *, max_body_bytes: int) -> None:
        """`application` is the one that the tools call."""
        self._application = application
        self._max_body_bytes = max_body_bytes
        self._manager: StreamableHTTPSessionManager | None = None
        self._ending = asyncio.Event()
        self._host: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Ready for requests; in the loop that they come in on."""
        reach = _InProcess(self._application, asyncio.get_running_loop())
        manager = StreamableHTTPSessionManager(
            build(reach), stateless=True, max_request_body_size=self._max_body_bytes
        )
        started = asyncio.Event()
        self._host = asyncio.create_task(self._hosted(manager, started))
        await started.wait()
        self._manager = manager

    async def close(self) -> None:
        """End what is under way; may be repeated."""
        self._ending.set()
        if self._host is not None:
            await asyncio.wait({self._host})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request that has passed the gate."""
        assert self._manager is not None  # noqa: S101 - it was opened
        await self._manager.handle_request(scope, receive, send)

    async def _hosted(self, manager: StreamableHTTPSessionManager, started: asyncio.Event) -> None:
        """Its requests are tasks of one group, which has to begin and end in one task."""
        async with manager.run():
            started.set()
            await self._ending.wait()
