"""A whole server behind a real socket, over a backend that executes nothing.

Every request is counted by the operation that it reached, and by its status. On the server's event
loop time is a hundred times as fast: a wait of 55 seconds is answered in half a second, and a
stream beats seven times a second.
"""

import asyncio
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from starlette.requests import ClientDisconnect

from tallystick.api.app import App, Receive, Scope, Send
from tallystick.api.routing import Endpoint
from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.control.credentials import Mint
from tallystick.control.data_dir import ADMIN_TOKEN_FILE, AGENT_TOKEN_FILE, MINT_FILE
from tallystick.domain.ids import AttemptId, Role
from tallystick.projections.audit import verify_database
from tallystick.server import build
from tallystick.testing.backend import FakeBackend
from tallystick.testing.server import eventually

HASTE: Final = 100.0
"""Seconds of the server's loop in one of ours."""

MAX_BODY_BYTES: Final = 2 * 1024 * 1024


class _Hasty(selectors.DefaultSelector):
    """Waits a hundredth of what it is told."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / HASTE)


class _HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock runs ahead."""

    def __init__(self) -> None:
        super().__init__(_Hasty())

    def time(self) -> float:
        return time.monotonic() * HASTE


class Counted:
    """The application, and what became of each request to it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.statuses: Counter[tuple[str, int]] = Counter()
        """By `METHOD /template` (or `unrouted`) and status."""
        self.frames = 0
        """Frames after which a stream ends; 0 leaves it alone."""

    @property
    def total(self) -> int:
        return self.statuses.total()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint, frames = self._endpoint(scope), 0
        operation = "unrouted" if endpoint is None else f"{endpoint.method} {endpoint.path}"

        async def noting(message: Any) -> None:
            nonlocal frames
            if message["type"] == "http.response.start":
                self.statuses[operation, message["status"]] += 1
            elif endpoint is not None and endpoint.streams and self.frames:
                frames += 1
                if frames >= self.frames:
                    await send({**message, "more_body": False})
                    raise OSError("nobody listens any more")
            await send(message)

        with suppress(OSError, ClientDisconnect):
            await self.app(scope, receive, noting)

    def _endpoint(self, scope: Scope) -> Endpoint | None:
        found = self.app.routes.find(scope["raw_path"].partition(b"?")[0])
        return found.methods.get(scope["method"]) if found else None


class Door:
    """One server that was started over `directory`, and calls to it."""

    def __init__(self, directory: Path, *, haste: bool = True) -> None:
        self.directory = directory
        self.workdir = directory / "work"
        self.workdir.mkdir(exist_ok=True)
        self.backend = FakeBackend()
        settings = Settings(
            server=ServerSettings(
                data_dir=directory / "data", workspace=self.workdir, max_body_bytes=MAX_BODY_BYTES
            ),
            execution=ExecutionSettings(max_concurrent=100, record_tree=False),
        )
        self.server = build(settings, backend=self.backend)
        self.counted = Counted(self.server.app)
        self.server.start()
        self._loop = _HastyLoop() if haste else asyncio.SelectorEventLoop()
        self.server.feed.attach(self._loop, position=self.server.ledger.size - 1)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            self.counted,
            lifespan="off",
            log_level="critical",
            server_header=False,
            timeout_keep_alive=int(60 * HASTE),
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(listener,))
        self._thread.start()
        eventually(lambda: self._uvicorn.started)
        self._client = httpx.Client(base_url=self.url, timeout=60)

    def _serve(self, listener: socket.socket) -> None:
        self._loop.run_until_complete(self._uvicorn.serve(sockets=[listener]))

    def indexed(self, run: str) -> None:
        """Wait until what was measured can be read: in haste the server itself hardly waits."""
        self.server.data.indexer.catch_up(run).result(60)

    def close(self) -> None:
        """End it; what it wrote stays."""
        self._client.close()
        self._loop.call_soon_threadsafe(self.server.feed.close)
        self._uvicorn.should_exit = True
        self._thread.join(60)
        self._loop.close()
        self.server.stop()

    def token(self, name: str) -> str:
        """The standing token of `admin` or `agent`."""
        file = {"admin": ADMIN_TOKEN_FILE, "agent": AGENT_TOKEN_FILE}[name]
        return (self.directory / "data" / file).read_text().strip()

    def secret(self, attempt: str, role: Role) -> str:
        """The token of an attempt's job or supervisor."""
        mint = Mint((self.directory / "data" / MINT_FILE).read_bytes())
        return mint.secret(AttemptId(attempt), role)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "agent",
        headers: Mapping[str, str | bytes] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One request; `token` is the name of a standing token, or a secret, or None."""
        sent: dict[Any, Any] = dict(headers or {})
        if token is not None:
            sent.setdefault(
                "X-Auth-Token", self.token(token) if token in {"admin", "agent"} else token
            )
        return self._client.request(method, path, headers=sent, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.call("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.call("POST", path, json=body, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sweep(self, session: str = "conversation-1") -> str:
        return str(self.post("/sweeps/wild", {"name": "s", "chat_session_id": session})["id"])

    def run(self, sweep: str, **fields: Any) -> Any:
        body = {"name": "r", "command": "true", "chat_session_id": "conversation-1", **fields}
        return self.post(f"/sweeps/{sweep}/runs", body)

    def launched(self, sweep: str) -> tuple[str, str]:
        """A run that was handed to the backend, and its attempt."""
        run = str(self.run(sweep, auto_start=True)["id"])
        return run, eventually(lambda: self.get(f"/runs/{run}")["attempt"])

    def problems(self) -> list[Any]:
        """What is wrong with the ledger or with any table made from it."""
        report = verify_database(self.server.database, vkey=self.server.ledger.vkey)
        assert report.ok == (not report.problems)
        return list(report.problems)

    def executed(self) -> list[Path]:
        """Journals and outputs: what is there as soon as a supervisor was ever started."""
        runs = self.server.runs_dir
        return [*runs.glob("*/*/journal.jsonl"), *runs.glob("*/*/output.log")]
