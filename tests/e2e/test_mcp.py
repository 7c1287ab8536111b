"""The official MCP client against the real server, over both transports."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from tallystick.testing.server import ServerProcess, eventually

Talk = Callable[[mcp.Client], Awaitable[None]]


def over_http(server: ServerProcess, talk: Talk, *, mode: Any) -> None:
    async def main() -> None:
        headers = {"Authorization": f"Bearer {server.token()}", "X-Tallystick-Session": "mcp-http"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
            async with mcp.Client(transport, mode=mode) as client:
                await talk(client)

    asyncio.run(main())


def over_stdio(server: ServerProcess, talk: Talk, *, mode: Any) -> None:
    async def main() -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(server.data_dir.parent),
            "TALLY_DATA_DIR": str(server.data_dir),
            "CODEX_THREAD_ID": "mcp-stdio",
        }
        tally = str(Path(sys.executable).parent / "tally")
        program = mcp.StdioServerParameters(command=tally, args=["mcp"], env=environment)
        async with mcp.Client(program, mode=mode) as client:
            await talk(client)

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(("over", "session"), [(over_http, "mcp-http"), (over_stdio, "mcp-stdio")])
def test_a_grid_is_submitted_and_waited_for(
    server: ServerProcess, over: Callable[..., None], session: str, mode: str
) -> None:
    of_session = f"/runs?chat_session_id={session}"
    before = len(server.get(of_session))

    async def talk(client: mcp.Client) -> None:
        tools = (await client.list_tools()).tools
        assert len(tools) <= 10
        assert all(tool.output_schema and len(tool.description or "") <= 2048 for tool in tools)
        sweep = await client.call_tool(
            "submit_runs",
            {
                "name": f"grid {session} {mode}",
                "command": "echo",
                "parameters": {"lr": [0.1, 0.01]},
                "auto_start": True,
            },
        )
        assert not sweep.is_error, sweep.content
        eventually(lambda: len(server.get(of_session)) == before + 2)
        runs = await client.call_tool("list_runs", {"chat_session_id": session, "limit": 2})
        assert not runs.is_error, runs.content
        for run in (runs.structured_content or {})["runs"]:
            ended = await client.call_tool("wait_run", {"run_id": run["id"]})
            assert not ended.is_error, ended.content
        wrong = await client.call_tool("get_run", {"run_id": "run_000000000000"})
        assert wrong.is_error

    over(server, talk, mode=mode)
    assert {run["status"] for run in server.get(of_session)} == {"finished"}


def test_mcp_without_a_token_is_refused(server: ServerProcess) -> None:
    assert server.call("POST", "/mcp", {}, token=None).status == 401
    assert server.call("GET", "/mcp").status == 405
