"""A tiny HTTP server that answers by script, drops connections on purpose, and notes what came."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back; None as the body of a script step drops the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


DROP = Answer(status=-1)


def as_json(document: Any, *, status: int = 200, **headers: str) -> Answer:
    return Answer(status=status, body=json.dumps(document).encode(), headers=dict(headers))


Script = Callable[[Seen], Answer]


class ScriptedServer(ThreadingHTTPServer):
    daemon_threads = True
    script: Script

    def __init__(self, script: Script, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script = script
        self.seen: list[Seen] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of what is tested."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        seen = Seen(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
            connection=self.client_address[1],
        )
        self.server.seen.append(seen)
        answer = self.server.script(seen)
        if answer is DROP:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_any  # noqa: N815 - names of the standard library

    def log_message(self, *_args: object) -> None:
        return


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
