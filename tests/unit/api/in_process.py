"""A whole server, called in process: the real spine; only supervisors come through a socket."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.control.data_dir import ADMIN_TOKEN_FILE, AGENT_TOKEN_FILE
from tallystick.execution.backend import Backend
from tallystick.server import Server, build

SESSION = "conversation-1"


class Api:
    """Calls one server's application on an event loop of its own."""

    def __init__(self, server: Server, workdir: Path) -> None:
        self.server = server
        self.workdir = workdir
        transport = httpx.ASGITransport(app=server.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8787", timeout=60, verify=False
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        server.start()
        server.feed.attach(self._loop, position=server.ledger.size - 1)
        data_dir = server.settings.server.data_dir
        self._door = self._listen()
        self.admin = (data_dir / ADMIN_TOKEN_FILE).read_text().strip()
        self.agent = (data_dir / AGENT_TOKEN_FILE).read_text().strip()

    def _listen(self) -> "tuple[uvicorn.Server, Future[None]]":
        """Answer supervisors, which deliver over HTTP and nowhere else, on loopback."""
        listener = socket.socket()
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(self.server.app, lifespan="off", log_level="critical")
        door = uvicorn.Server(config)
        serving = asyncio.run_coroutine_threadsafe(door.serve(sockets=[listener]), self._loop)
        self.server.announce(f"http://127.0.0.1:{listener.getsockname()[1]}")
        return door, serving

    def begin(self, method: str, path: str, **more: Any) -> "Future[httpx.Response]":
        return asyncio.run_coroutine_threadsafe(self._call(method, path, **more), self._loop)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.begin(method, path, **more).result(30)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.call("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.call("POST", path, json=body, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def _call(
        self, method: str, path: str, *, token: str | None = "agent", **more: Any
    ) -> httpx.Response:
        known = {"agent": self.agent, "admin": self.admin}
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers.setdefault("X-Auth-Token", known.get(token, token))
        return await self._client.request(method, path, headers=headers, **more)

    def launched(self, run: str) -> str:
        """The attempt of a queued run, as soon as it has one."""
        for _ in range(40):
            attempt = self.get(f"/runs/{run}")["attempt"]
            if attempt is not None:
                return str(attempt)
            self.get(f"/runs/{run}?wait=1")
        pytest.fail(f"{run} was never launched")

    def sweep(self, **fields: Any) -> Any:
        return self.post("/sweeps/wild", {"name": "s", "chat_session_id": SESSION, **fields})

    def sweep_with(self, headers: dict[str, str], **fields: Any) -> Any:
        body = {"chat_session_id": SESSION, **fields}
        return self.post("/sweeps/wild", body, headers=headers)

    def register(self, **fields: Any) -> Any:
        body = {"name": "r", "command": "true", "chat_session_id": SESSION, **fields}
        if "sweep_id" not in body:
            body["sweep_id"] = self.sweep()["id"]
        return self.post("/runs", body)

    def finished(self, run: str) -> Any:
        for _ in range(4):
            found = self.get(f"/runs/{run}?wait=20")
            if found["status"] in {"finished", "failed", "stopped"}:
                return found
        pytest.fail(f"still {found}")

    def close(self) -> None:
        self.run(self._client.aclose())
        self._loop.call_soon_threadsafe(self.server.feed.close)
        door, serving = self._door
        door.should_exit = True
        serving.result(30)
        self.server.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def build_api(directory: Path, *, backend: Backend | None = None) -> Api:
    workdir = directory / "work"
    workdir.mkdir()
    settings = Settings(
        server=ServerSettings(
            data_dir=directory / "data", workspace=workdir, max_body_bytes=300_000
        ),
        execution=ExecutionSettings(max_concurrent=2, grace_seconds=1.0, record_tree=False),
    )
    return Api(build(settings, backend=backend), workdir)
