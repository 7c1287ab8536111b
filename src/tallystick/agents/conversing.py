"""JSON-RPC with a program over its standard input and output, a line a message.

MCP servers and Codex's app-server both speak it. A program that says nothing is ended after a
while, which reads as the end of its output: nothing here waits for ever.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tallystick.errors import UnavailableError

SECONDS: Final = 20.0
"""For the whole conversation; a cold start of either program takes two."""
LEAVE_SECONDS: Final = 2.0
"""For a program to end by itself once nobody talks to it any more."""


class Conversation:
    """One program, from its start to its end; a context manager.

    Every failure to converse is an `UnavailableError` with the reason in a line.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float = SECONDS,
    ) -> None:
        """Start the program; raises `UnavailableError` when it cannot be."""
        self._name = Path(words[0]).name
        self._asked = 0
        try:
            self._process = subprocess.Popen(
                list(words),
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"{words[0]} cannot be started: {error.strerror}") from error
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was not sent cannot be sent any more
                    continue
        try:
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
        self._process.wait()
        self._timer.cancel()

    def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification; raises `UnavailableError`."""
        self._send({"method": method, "params": dict(params or {})})

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a call; raises `UnavailableError` for an error, an end, or a silence."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": dict(params or {})})
        for line in self._process.stdout or ():
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("id") == self._asked:
                return self._result(method, message)
        raise UnavailableError(f"{self._name} ended, or said nothing, when asked {method}")

    def _result(self, method: str, message: Mapping[str, Any]) -> dict[str, Any]:
        result = message.get("result")
        if not isinstance(result, dict):
            raise UnavailableError(f"{self._name} answered {method} with {message.get('error')}")
        return result

    def _send(self, message: Mapping[str, Any]) -> None:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101 - a pipe was asked for
        try:
            stream.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            stream.flush()
        except OSError as error:
            raise UnavailableError(f"{self._name} ended at once") from error

    def _end(self) -> None:
        """End the program and what it started; it leads a session of its own."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
