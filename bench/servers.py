"""The servers that are measured, each a process of its own on a free port."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, seeding
from bench.load import Connection, Load, parsed

REPOSITORY = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 240.0


class ServerError(Exception):
    """A server that did not come up."""


@dataclass(slots=True)
class Started:
    """A server that answers."""

    url: str
    process: "subprocess.Popen[bytes]"
    startup_seconds: float
    """From the start of the process to the first 200."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def connect(self, *, quickack: bool = False) -> Connection:
        """A kept-alive connection."""
        return Connection(self.url, quickack=quickack)

    def stop(self) -> None:
        """TERM, and KILL for what does not listen, and for children that were left behind."""
        family = machine.family(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        machine.kill_left(family)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(
    command: Sequence[str],
    *,
    url: str,
    ready_path: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path = REPOSITORY,
) -> Started:
    """Start `command` and ask until the first 200."""
    began = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(os.environ if environment is None else environment),
            start_new_session=True,
        )
    while True:
        if _answers(url + ready_path):
            return Started(url, process, time.perf_counter() - began)
        if process.poll() is not None or time.perf_counter() > began + PATIENCE_SECONDS:
            Started(url, process, 0.0).stop()
            raise ServerError(f"{command[0]}: {log.read_text()[-2000:]}")
        time.sleep(0.002)


def _answers(url: str) -> bool:
    """Whether a GET is answered with 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def tallystick(directory: Path, *arguments: str) -> Iterator[Started]:
    """`tally up` over `directory`/data, with the agent's token in its headers."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    workspace = directory / "workspace"
    workspace.mkdir(exist_ok=True)
    data = directory / "data"
    environment = {name: value for name, value in os.environ.items() if name[:6] != "TALLY_"}
    server = start(
        [
            *[sys.executable, "-m", "tallystick", "up", "--port", str(port)],
            *["--data-dir", str(data), "--workspace", str(workspace), *arguments],
        ],
        url=f"http://127.0.0.1:{port}",
        ready_path="/health",
        log=directory / "server.log",
        environment=environment,
        cwd=workspace,
    )
    try:
        server.headers = {"X-Auth-Token": (data / "agent.token").read_text().strip()}
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def echo(directory: Path, *, python: str) -> Iterator[Started]:
    """FastAPI that echoes; `python` has it."""
    port = free_port()
    server = start(
        [
            *[python, "-m", "uvicorn", "bench.echo:app", "--port", str(port)],
            *["--loop", "uvloop", "--http", "httptools", "--no-access-log"],
            *["--log-level", "warning"],
        ],
        url=f"http://127.0.0.1:{port}",
        ready_path="/health",
        log=directory / "echo.log",
    )
    try:
        yield server
    finally:
        server.stop()


def seeded(count: int, *, kept: Path, scratch: Path) -> Path:
    """A directory whose `data` holds `count` runs; made once in `kept`, copied for every use."""
    original = kept / f"seed-{count}"
    if not (original / "done").exists():
        shutil.rmtree(original, ignore_errors=True)
        original.mkdir(parents=True)
        if count:
            subprocess.run(
                [sys.executable, "-m", "bench.seeding", str(original / "data"), str(count)],
                check=True,
                cwd=REPOSITORY,
            )
        (original / "done").touch()
    copy = scratch / f"copy-{time.monotonic_ns()}"
    shutil.copytree(original, copy)
    return copy


def create_sweep(server: Started) -> str:
    """A sweep to create runs in; its id."""
    body = json.dumps({"name": "measured", "chat_session_id": seeding.SESSION}).encode()
    with server.connect() as connection:
        answer = connection.request("POST", "/sweeps/wild", body, server.headers)
    return str(parsed(answer)["id"])


def run_until(
    server: Started, connection: Connection, sweep: str, *, command: str, status: str
) -> str:
    """A run of `command`, as soon as it has a status; its id."""
    body = {
        "name": "measures",
        "command": command,
        "sweep_id": sweep,
        "chat_session_id": seeding.SESSION,
        "auto_start": True,
    }
    made = connection.request("POST", "/runs", json.dumps(body).encode(), server.headers)
    run = str(parsed(made)["id"])
    while True:
        found = parsed(connection.request("GET", f"/runs/{run}?wait=5", headers=server.headers))
        if found["status"] == status:
            return run


def creates(server: Started, sweep: str) -> Load:
    """The smallest body that the protocol is content with, a different one each time."""
    body = {
        "name": "a trial",
        "command": "python train.py --lr 1e-3 --seed %d",
        "sweep_id": sweep,
        "chat_session_id": seeding.SESSION,
    }
    return Load(url=f"{server.url}/runs", body=json.dumps(body), headers=server.headers)


def count_runs(server: Started) -> int:
    """How many runs the server knows."""
    with server.connect() as connection:
        answer = connection.request("GET", "/wild/v2/system-health", headers=server.headers)
    return int(parsed(answer)["total"])
