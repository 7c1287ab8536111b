"""The tools under load, under nonsense, and where something is missing."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

import httpx2
import mcp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp.client.streamable_http import streamable_http_client

from tallystick.mcp.table import TOOLS
from tallystick.testing.server import ServerProcess, eventually, running_server

SOAK: Final = os.environ.get("TALLY_SOAK") == "1"
WAITERS: Final = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory: Path = tmp_path_factory.mktemp("mcp")
    with running_server(directory, environment={"TALLY_EXECUTION_MAX_CONCURRENT": "4"}) as running:
        yield running


class Speaker:
    """One conversation over HTTP, in the official client's own loop."""

    def __init__(self, server: ServerProcess, session: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._server = server
        self._session = session

    def __enter__(self) -> Self:
        headers = {
            "Authorization": f"Bearer {self._server.token()}",
            "X-Tallystick-Session": self._session,
        }
        self._http = httpx2.AsyncClient(headers=headers, timeout=60)
        transport = streamable_http_client(f"{self._server.url}/mcp", http_client=self._http)
        self._client = mcp.Client(transport)
        self._task = self._loop.create_task(self._talk())
        self._ready = self._loop.create_future()
        self._over = asyncio.Event()
        self._loop.run_until_complete(self._ready)
        return self

    async def _talk(self) -> None:
        async with self._client:
            self._ready.set_result(None)
            await self._over.wait()

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        return self._loop.run_until_complete(self._client.call_tool(name, arguments))

    def calls(self, many: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        """All at once."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(self._client.call_tool(*one) for one in many))

        return self._loop.run_until_complete(together())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()


@pytest.fixture(scope="module")
def speaker(server: ServerProcess) -> Iterator[Speaker]:
    with Speaker(server, "speaker") as speaking:
        yield speaking


SCHEMAS: Final = {name: tool.listed() for name, tool in TOOLS.items()}
WORDS: Final = st.sampled_from(
    ["", " ", "run_000000000000", "swp_000000000000", "x" * 5_000, "\0", "\ud83d\ude00", "$X",
     "../..", "true", "echo {lr}", "'", "1e999", "-1", "null"]
)  # fmt: skip
VALUES: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def arguments_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Its own arguments with anything in them, and one that it does not know."""
    own = list(SCHEMAS[name].input_schema["properties"])
    quick = {"timeout_s": st.sampled_from([0, 1, "1", None])} if name == "wait_run" else {}
    return st.fixed_dictionaries(
        quick, optional={key: VALUES for key in (*own, "unheard_of") if key not in quick}
    )


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_no_argument_is_too_odd_for_a_tool(speaker: Speaker, name: str) -> None:
    validator = Draft202012Validator(SCHEMAS[name].output_schema)

    refusals: list[str] = []

    @settings(
        max_examples=300 if SOAK else 12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(arguments_of(name))
    def answered(arguments: dict[str, Any]) -> None:
        try:
            result = speaker.call(name, json.loads(json.dumps(arguments)))
        except (ValueError, mcp.MCPError) as error:  # what no JSON can carry, or invalid params
            refusals.append(str(error))
            return
        said = result.structured_content or {}
        assert said.get("code") != "internal", said
        assert result.content[0].text
        if not result.is_error:
            validator.validate(said)

    answered()
    assert [words for words in refusals if "nternal" in words] == []


def test_forty_waits_hold_nobody_up(server: ServerProcess, speaker: Speaker) -> None:
    sweep = server.sweep("speaker")
    held = server.run(sweep, "while [ ! -e go ]; do sleep 0.1; done", chat_session_id="speaker")
    with ThreadPoolExecutor(1) as beside:
        waits: list[tuple[str, dict[str, Any]]] = [
            ("wait_run", {"run_id": held["id"], "timeout_s": 30})
        ] * WAITERS
        done = beside.submit(speaker.calls, waits)
        slowest = 0.0
        for _ in range(20):
            began = time.monotonic()
            assert server.call("GET", "/health").status == 200
            slowest = max(slowest, time.monotonic() - began)
        assert not done.done()
        (server.workspace / "go").touch()
        answers = done.result(timeout=60)
    print(f"slowest of 20 looks at /health beside {WAITERS} waits: {slowest * 1000:.0f} ms")
    assert [answer.structured_content["ended"] for answer in answers] == [True] * WAITERS


def test_who_goes_away_waits_no_longer(server: ServerProcess) -> None:
    """A wait that nobody hears is over with the next look, and its run goes on."""
    run = server.run(server.sweep("gone"), "while [ ! -e over ]; do sleep 0.1; done",
                     chat_session_id="gone")  # fmt: skip

    async def leave() -> None:
        headers = {"Authorization": f"Bearer {server.token()}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
            async with mcp.Client(transport) as client:
                call = client.call_tool("wait_run", {"run_id": run["id"], "timeout_s": 55})
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(call, 0.5)

    asyncio.run(leave())
    assert server.get(f"/runs/{run['id']}")["status"] in {"running", "launching", "queued"}
    (server.workspace / "over").touch()
    server.ended(run["id"])


def test_an_end_needs_to_be_confirmed(server: ServerProcess, speaker: Speaker) -> None:
    run = server.run(server.sweep("speaker"), "sleep 600", chat_session_id="speaker")
    asked = speaker.call("stop_run", {"run_id": run["id"]})
    assert "confirm" in asked.content[0].text
    assert server.get(f"/runs/{run['id']}")["status"] != "stopped"
    assert not speaker.call("stop_run", {"run_id": run["id"], "confirm": True}).is_error
    eventually(lambda: server.get(f"/runs/{run['id']}")["status"] == "stopped")


def test_a_brief_is_there_before_and_after_the_first_run(server: ServerProcess) -> None:
    with Speaker(server, "briefed") as speaking:
        before = speaking.call("get_brief", {})
        assert "not registered anything yet" in before.content[0].text
        run = server.run(server.sweep("briefed"), "exit 4", chat_session_id="briefed")
        server.ended(run["id"])
        after = speaking.call("get_brief", {})
        assert "exit code 4" in after.structured_content["text"]
        assert after.structured_content["session_source"] == "header"


def test_the_older_names_work_with_their_launch_policies(
    server: ServerProcess, speaker: Speaker
) -> None:
    sweep = server.sweep("speaker")
    given = {"name": "old", "command": "true", "sweep_id": sweep}
    ready = speaker.call("create_run", {**given, "launch_policy": "ready"}).structured_content
    assert ready["run"]["status"] == "ready"
    assert not speaker.call("start_run", {"run_id": ready["run"]["id"]}).is_error
    at_once = speaker.call("create_run", {**given, "launch_policy": "start_now"})
    assert server.ended(at_once.structured_content["run"]["id"])["status"] == "finished"
    assert server.ended(ready["run"]["id"])["status"] == "finished"


@pytest.mark.parametrize("origin", ["https://evil.example.org", "http://127.0.0.1.example.org"])
def test_a_page_of_another_site_is_refused(server: ServerProcess, origin: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with httpx2.Client() as http:
        headers = {"Authorization": f"Bearer {server.token()}", "Origin": origin}
        answer = http.post(f"{server.url}/mcp", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")


def test_without_a_server_the_agent_is_told_what_to_do(tmp_path: Path) -> None:
    """Over stdio: nothing but the protocol on standard output, and a refusal that helps."""
    asked = [
        {
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                       "clientInfo": {"name": "t", "version": "1"}},
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "get_run", "arguments": {"run_id": "run_000000000000"}},
        },
    ]  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TALLY_DATA_DIR": str(tmp_path / "none"),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tallystick", "mcp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment, cwd=tmp_path, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for message in asked:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(30) == 0
    result = answers[1]["result"]
    assert result["isError"]
    assert "tally up" in json.dumps(result)
    assert rest == ""
