"""MCP over standard input and output: a process that an agent's program starts for itself.

It is a client like the command line: it finds the server again for every call, so it may start
before the server does, and go on when that was restarted. Only the protocol goes to standard
output; the SDK leads everything else to standard error.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

from tallystick.client.client import Client
from tallystick.client.config import process_environment
from tallystick.errors import TallystickError
from tallystick.mcp.server import build

WAITERS: Final = 64
"""Threads for waits alone: an agent waits for a few runs at a time, its other calls go on."""


class _OneAgent:
    """The `Reach` of tools in the agent's own process."""

    def __init__(self, client: Client, environment: Mapping[str, str]) -> None:
        self._client = client
        self.environment = environment
        self._waiters = anyio.CapacityLimiter(WAITERS)

    def client(self, headers: Mapping[str, str]) -> Client:  # noqa: ARG002 - none on a pipe
        """The one client of this process; there are no headers on a pipe."""
        return self._client

    async def changed(
        self,
        headers: Mapping[str, str],  # noqa: ARG002 - none on a pipe
        noun: str,
        one: str,
        seconds: int,
    ) -> None:
        """A look that the server answers late, on a thread that waits for nothing else.

        What it raises is raised again by the look that follows.
        """
        look = partial(self._look, noun, one, seconds)
        await anyio.to_thread.run_sync(look, limiter=self._waiters, abandon_on_cancel=True)

    def _look(self, noun: str, one: str, seconds: int) -> None:
        ask = self._client.sweep if noun == "sweeps" else self._client.run
        try:
            ask(one, wait=seconds)
        except TallystickError:
            return


def serve(client: Client, *, older: bool = False, session: str | None = None) -> None:
    """Answer until standard input ends; `session` is the conversation unless a call names one."""
    environment = dict(process_environment())
    if session is not None:
        environment["TALLY_CHAT_SESSION_ID"] = session
    anyio.run(_serve, _OneAgent(client, environment), older)


async def _serve(reach: _OneAgent, older: bool) -> None:  # noqa: FBT001 - called by anyio alone
    server = build(reach, older=older)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
