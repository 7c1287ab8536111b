"""A real server in a process of its own, for end-to-end and fault tests, and plain HTTP to it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a test waits for a condition before it says what it saw instead."""


def eventually(look: Callable[[], T | None], *, within_seconds: float = PATIENCE_SECONDS) -> T:
    """The first true answer of `look`; fails with the last one when the time is up."""
    deadline = time.monotonic() + within_seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within_seconds} s; last seen: {seen!r}")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, parsed body (or text), headers."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(slots=True)
class ServerProcess:
    """`tally up` on a free port over its own data directory."""

    data_dir: Path
    workspace: Path
    extra: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    url: str = ""

    def start(self) -> None:
        """Start and wait until requests are answered."""
        ready = self.data_dir.parent / f"{self.data_dir.name}.ready"
        ready.unlink(missing_ok=True)
        programs = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        log = (self.data_dir.parent / f"{self.data_dir.name}.log").open("ab")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TALLY_")
        }
        with log:
            self.process = subprocess.Popen(
                [
                    *[sys.executable, "-m", "tallystick", "up", "--port", "0"],
                    *["--data-dir", str(self.data_dir), "--workspace", str(self.workspace)],
                    *["--ready-file", str(ready), *self.extra],
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment, "PATH": programs, **self.environment},
                cwd=self.workspace,
            )
        process = self.process

        def answered() -> str | None:
            if process.poll() is not None:
                raise AssertionError(f"the server ended with {process.returncode}: {self.log()}")
            try:
                return str(json.loads(ready.read_bytes())["url"])
            except (FileNotFoundError, ValueError):
                return None

        self.url = eventually(answered)

    def log(self) -> str:
        """What the server printed."""
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text()

    def kill(self) -> None:
        """SIGKILL: the process can die between any two lines."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as an administrator would; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        self.process = None
        return process.wait(timeout=30)

    def token(self, name: str = "agent") -> str:
        """A standing token: `agent` or `admin`."""
        return (self.data_dir / f"{name}.token").read_text().strip()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "agent",
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> Answer:
        """One request; `token` is the name of a standing token, or a secret, or None."""
        sent = dict(headers or {})
        if token is not None:
            sent["X-Auth-Token"] = self.token(token) if token in {"agent", "admin"} else token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), error.headers)

    def get(self, path: str, **kwargs: Any) -> Any:
        """Body of a GET that must succeed."""
        answer = self.call("GET", path, **kwargs)
        assert answer.status == 200, answer
        return answer.body

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        """Body of a POST that must succeed."""
        answer = self.call("POST", path, body, **kwargs)
        assert answer.status == 200, answer
        return answer.body

    def sweep(self, session: str = "chat-1", name: str = "a sweep") -> str:
        """Create a wild sweep; its id."""
        body = {"name": name, "goal": "to see", "chat_session_id": session}
        return str(self.post("/sweeps/wild", body)["id"])

    def run(self, sweep: str, command: str, **fields: Any) -> dict[str, Any]:
        """Create a run, started unless told otherwise."""
        body = {
            "name": fields.pop("name", "a run"),
            "command": command,
            "sweep_id": sweep,
            "chat_session_id": "chat-1",
            "auto_start": True,
            **fields,
        }
        made: dict[str, Any] = self.post("/runs", body)
        return made

    def ended(self, run: str, *, within_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The run, once it has ended."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/runs/{run}?wait=5")
            return found if found["status"] in {"finished", "failed", "stopped"} else None

        return eventually(look, within_seconds=within_seconds)


def _answer(status: int, content: bytes, headers: Any) -> Answer:
    """JSON where it is JSON."""
    kind = headers.get("Content-Type", "")
    body: Any = content
    if "json" in kind:
        body = json.loads(content)
    elif kind.startswith("text/"):
        body = content.decode()
    return Answer(status, body, dict(headers.items()))


@contextlib.contextmanager
def running_server(
    directory: Path, *extra: str, environment: Mapping[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server in `directory`, ended when the block ends; its runs are stopped first."""
    workspace = directory / "workspace"
    workspace.mkdir(exist_ok=True)
    server = ServerProcess(
        directory / "data", workspace, extra=list(extra), environment=dict(environment or {})
    )
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            with contextlib.suppress(AssertionError, OSError):
                _stop_runs(server)
        server.stop()
        # A supervisor that could not deliver waits for its server for ever, or for this.
        shutil.rmtree(server.data_dir / "runs", ignore_errors=True)


def _stop_runs(server: ServerProcess) -> None:
    """Leave no process behind."""
    for status in ("queued", "launching", "running"):
        for run in server.get(f"/runs?status={status}&limit=1000"):
            server.call("POST", f"/runs/{run['id']}/stop", {})
    for run in server.get("/runs?limit=1000"):
        if run["status"] in {"launching", "running"}:
            server.ended(run["id"], within_seconds=30)
