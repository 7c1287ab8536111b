"""The server's end of the launcher process, which forks supervisors.

Started when first needed and again whenever it was found dead. It gets a clean, minimal
environment, so nothing of the server's leaks into a run, and dies by itself when the server does;
supervisors take no notice of either.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tallystick.errors import UnavailableError

ANSWER_SECONDS = 10.0
"""A fork takes a millisecond; a launcher that needs so long is replaced."""
ATTEMPTS = 2
"""A dead launcher is found by using it, so the first failure says nothing yet."""
ISOLATED = ("-I", "-S", "-X", "utf8")
"""No site packages, no variables of Python's, UTF-8 whatever the locale."""
SUPERVISOR_PROGRAM = Path(__file__).parent.parent / "supervisor" / "__main__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A forked supervisor; `start_ticks` is 0 when it had ended before it was looked at."""

    pid: int
    start_ticks: int


class LauncherClient:
    """One launcher process at a time; safe to call from any thread."""

    def __init__(self, python: str = sys.executable) -> None:
        """Nothing is started yet."""
        self._python = python
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The launcher process, when one has been started."""
        return self._process.pid if self._process else None

    def warm(self) -> None:
        """Start the launcher ahead of its first use; failing here is told by that use."""
        with self._guard, suppress(OSError):
            self._ready()

    def launch(self, *, attempt: str, directory: Path, token: str) -> Launched:
        """Fork a supervisor for `directory`; raises `UnavailableError`.

        When the answer was lost a second one may be forked: the lock of the run directory lets
        only one of them do anything.
        """
        request = {"attempt": attempt, "directory": os.fspath(directory), "token": token}
        line = json.dumps(request).encode() + b"\n"
        reason = "no answer"
        with self._guard:
            for _ in range(ATTEMPTS):
                try:
                    answer = self._ask(line)
                except (OSError, ValueError) as error:
                    reason = str(error) or type(error).__name__
                    self._discard()
                    continue
                if "error" in answer:
                    reason = str(answer["error"])
                    break
                return Launched(pid=int(answer["pid"]), start_ticks=int(answer["start_ticks"]))
        raise UnavailableError(
            f"no supervisor could be started: {reason}", code="launcher_unavailable"
        )

    def close(self) -> None:
        """Close our end, upon which the launcher exits; supervisors go on."""
        with self._guard:
            self._discard()

    def _ask(self, line: bytes) -> dict[str, int | str]:
        """One request and its answer; raises OSError or ValueError."""
        channel = self._ready()
        channel.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = channel.recv(4096)
            if not piece:
                raise ConnectionResetError("the launcher process has ended")
            answer += piece
        parsed: dict[str, int | str] = json.loads(answer)
        return parsed

    def _ready(self) -> socket.socket:
        """The channel to a running launcher, started now if need be."""
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A session of its own: a Ctrl-C at the server's terminal is not meant for runs.
                self._process = subprocess.Popen(
                    [self._python, *ISOLATED, os.fspath(SUPERVISOR_PROGRAM), "--launcher"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.settimeout(ANSWER_SECONDS)
        self._channel = ours
        return ours

    def _discard(self) -> None:
        """Forget the launcher, dead or not."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
