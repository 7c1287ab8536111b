"""Tells the server: one request at a time, over plain HTTP.

The server is found anew for every request (its port may change between two). Nothing is kept
here but the token; what has been delivered is for the courier to remember. Neither token nor body
is ever written anywhere.
"""

import http.client
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tallystick import durable
from tallystick.wire import codec
from tallystick.wire.observation import Observation

TIMEOUT_SECONDS = 10.0
SERVER_LOCK = "server.lock"
"""Beside server.json; a server holds it as long as it lives."""
ANSWER_BYTES = 65_536
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
REFUSED_PAUSE_SECONDS = 30.0
PASSING_STATUS = frozenset({401, 403, 404, 409, 425, 429})
"""Refusals that a server which is starting, restoring or short of something gives, too."""


class DeliveryError(Exception):
    """Not delivered; `refused` when asking again soon is of no use."""

    def __init__(self, detail: str, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.refused = refused


class Relay:
    """Requests about one attempt."""

    def __init__(self, *, attempt: str, server_file: Path, token: str) -> None:
        """Nothing is opened yet."""
        self._attempt = attempt
        self._server_file = server_file
        self._token = token

    def observations(self, records: tuple[Observation, ...]) -> int:
        """Deliver records; returns the number up to which the server has them."""
        body = codec.dumps({"observations": records})
        return self._post("observations", body, kind="application/json", answer="acknowledged")

    def metrics(self, content: bytes, *, offset: int) -> int:
        """Deliver bytes of the metrics file; returns the offset to go on from."""
        path = f"metrics?offset={offset}"
        return self._post(path, content, kind="application/x-ndjson", answer="offset")

    def _post(self, path: str, body: bytes, *, kind: str, answer: str) -> int:
        """One request; the whole number called `answer`. Raises `DeliveryError`."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        try:
            base = urlsplit(_address(self._server_file))
            target = f"{base.path.rstrip('/')}/attempts/{quote(self._attempt)}/{path}"
            connection = _connect(base.scheme, base.hostname or "", base.port)
            try:
                connection.request("POST", target, body, headers)
                response = connection.getresponse()
                content = response.read(ANSWER_BYTES)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryError(str(error)) from error
        if response.status >= 300:
            refused = 400 <= response.status < 500 and response.status not in PASSING_STATUS
            raise DeliveryError(f"HTTP {response.status}", refused=refused)
        return _number(content, answer)


class Pace:
    """When to try again: soon at first, then slower, with jitter; at once after a success."""

    def __init__(self) -> None:
        """Due at once."""
        self._pause = FIRST_PAUSE_SECONDS
        self.due = 0.0
        """Monotonic seconds before which nothing should be tried."""

    def succeeded(self) -> None:
        """Start over."""
        self._pause = FIRST_PAUSE_SECONDS
        self.due = 0.0

    def failed(self, now: float, *, refused: bool = False) -> float:
        """Wait longer, until the moment returned; jitter keeps supervisors apart."""
        pause = REFUSED_PAUSE_SECONDS if refused else self._pause
        self.due = now + pause * (0.75 + os.urandom(1)[0] / 512)
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)
        return self.due


def _address(server_file: Path) -> str:
    """The server's present URL; raises ValueError or OSError where there is none, or no server."""
    document: Any = json.loads(server_file.read_bytes())
    url, pid = (
        (document.get("url"), document.get("pid")) if isinstance(document, Mapping) else (None, 0)
    )
    if not isinstance(url, str):
        raise ValueError("the server file holds no url")  # noqa: TRY004 - a value, like bad JSON
    if not isinstance(pid, int) or not _is_server(pid, server_file.with_name(SERVER_LOCK)):
        raise ValueError("the server that the file names is not there")
    return url


def _is_server(pid: int, lock: Path) -> bool:
    """Whether a server is at work: another program may have its port by now, and no right to our
    token. Its process must be ours or root's, and its lock held; raises OSError without a lock.
    """
    if os.stat(f"/proc/{pid}").st_uid not in {os.getuid(), 0}:  # noqa: PTH116 - no file
        return False
    return durable.is_locked(lock)


def _connect(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    """A connection that is opened by its first request; no proxy is asked."""
    shape = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return shape(host, port, timeout=TIMEOUT_SECONDS)


def _number(content: bytes, name: str) -> int:
    """A whole number of the answer; anything else is not our server."""
    try:
        value = json.loads(content)[name]
    except (ValueError, KeyError, TypeError) as error:
        raise DeliveryError(f"the answer lacks {name}") from error
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DeliveryError(f"the answer's {name} is no count")
    return value
