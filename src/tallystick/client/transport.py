"""One request out, one response back.

`Transport` is the seam: `send` returns what the server answered or raises `UnavailableError`.
`HttpTransport` keeps connections alive, and sends again only what may be sent again: what never
left, or what is harmless twice (a GET, or a create with its Idempotency-Key). It knows neither JSON
nor the errors of the server.
"""

import http.client
import os
import select
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from tallystick.clock import Clock, SystemClock
from tallystick.errors import UnavailableError

PAUSES_SECONDS = (0.1, 0.4)
"""Before the second and the third try; a person who forgot `tally up` waits half a second."""
MAX_IDLE_CONNECTIONS = 8
STREAM_CHUNK_BYTES = 65_536
SANDBOX_HINT = (
    "a sandbox keeps this process from opening connections; in Codex, a person allows them with "
    "`[sandbox_workspace_write] network_access = true` in config.toml"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What goes out."""

    method: str
    target: str
    """Path and query, already quoted."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_seconds: float = 30.0
    """For connecting and for every single read."""
    repeatable: bool = False
    """Whether sending it twice is harmless."""
    stream: bool = False
    """Hand the body out as it arrives instead of reading it whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    """The body, in one piece unless the request said `stream`; may raise `UnavailableError`."""
    close: Callable[[], None] = lambda: None
    """Ends a stream early; harmless otherwise, and when repeated."""

    def body(self) -> bytes:
        """Everything that is left of the body."""
        return b"".join(self.chunks)


class Transport(Protocol):
    """Sends one request."""

    def send(self, request: Request) -> Response:
        """The server's answer, whatever its status; raises `UnavailableError` when none came."""
        ...


class _NotSentError(Exception):
    """Nothing reached the server: safe to try again."""


class HttpTransport:
    """HTTP/1.1 over kept-alive connections; safe to use from threads and after a fork."""

    def __init__(self, base: Callable[[], str], *, clock: Clock | None = None) -> None:
        """`base` answers the server's URL; it is asked again for every new connection."""
        self._base = base
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []  # guarded by _lock
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._idle)

    def send(self, request: Request) -> Response:
        """The server's answer; raises `UnavailableError` after the tries are used up."""
        for pause in (*PAUSES_SECONDS, None):
            base = self._base()
            try:
                return self._exchange(base, request)
            except TimeoutError as error:
                raise _unavailable(base, "did not answer in time", "timeout") from error
            except (_NotSentError, OSError, http.client.HTTPException) as error:
                sent = not isinstance(error, _NotSentError)
                if pause is None or (sent and not request.repeatable):
                    raise _unreachable(base, error, sent=sent) from error
            self._clock.sleep(pause)
        raise AssertionError("unreachable: the last pause is None")

    def _exchange(self, base: str, request: Request) -> Response:
        """One try over one connection."""
        connection = self._connect(base, request.timeout_seconds)
        prefix = urlsplit(base).path
        try:
            connection.request(
                request.method,
                prefix + request.target,
                body=request.body,
                headers=dict(request.headers),
            )
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if request.stream and answer.status < 300:
            return Response(
                status=answer.status,
                headers=headers,
                chunks=_stream(base, answer, connection),
                close=connection.close,
            )
        try:
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        self._keep(base, connection, reusable=not answer.will_close)
        return Response(status=answer.status, headers=headers, chunks=iter((body,)))

    def _connect(self, base: str, timeout_seconds: float) -> http.client.HTTPConnection:
        """An idle connection that still lives, or a new one; raises `_NotSentError`."""
        while (idle := self._take(base)) is not None:
            if idle.sock is not None and not _readable(idle):
                idle.sock.settimeout(timeout_seconds)
                return idle
            idle.close()
        parts = urlsplit(base)
        shape = http.client.HTTPSConnection if parts.scheme == "https" else None
        connection = (shape or http.client.HTTPConnection)(
            parts.hostname or "", parts.port, timeout=timeout_seconds
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise _NotSentError(error.strerror or str(error)) from error
        return connection

    def _take(self, base: str) -> http.client.HTTPConnection | None:
        """An idle connection to this server, taken out of the pool."""
        with self._lock:
            if self._pid != os.getpid():  # sockets of the parent are the parent's
                _close_all(self._idle)  # our copies only: nothing is sent
                self._pid = os.getpid()
            for position, (owner, _connection) in enumerate(self._idle):
                if owner == base:
                    return self._idle.pop(position)[1]
        return None

    def _keep(self, base: str, connection: http.client.HTTPConnection, *, reusable: bool) -> None:
        """Put a connection back, or close it."""
        with self._lock:
            if reusable and len(self._idle) < MAX_IDLE_CONNECTIONS:
                self._idle.append((base, connection))
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle; the transport stays usable."""
        with self._lock:
            _close_all(self._idle)


def _close_all(idle: list[tuple[str, http.client.HTTPConnection]]) -> None:
    """Close every connection of a pool and empty it."""
    while idle:
        idle.pop()[1].close()


def _readable(connection: http.client.HTTPConnection) -> bool:
    """An idle connection that has something to say was closed by the server."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _stream(
    base: str, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection
) -> Iterator[bytes]:
    """The body piece by piece; a connection that breaks is said, never taken for the end."""
    try:
        while chunk := answer.read1(STREAM_CHUNK_BYTES):
            yield chunk
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(base, error, sent=True) from error
    finally:
        connection.close()


def _unreachable(base: str, error: Exception, *, sent: bool) -> UnavailableError:
    """No answer: said with the address, the cause and what to do."""
    cause = str(error) or type(error).__name__
    if sent:
        return _unavailable(base, f"closed the connection ({cause})", "connection_lost")
    unreachable = _unavailable(base, f"cannot be reached ({cause})", "server_unreachable")
    if isinstance(error, PermissionError):
        unreachable.hint = SANDBOX_HINT
    return unreachable


def _unavailable(base: str, words: str, code: str) -> UnavailableError:
    """The error that tells how to start a server."""
    return UnavailableError(
        f"the Tallystick server at {base} {words}",
        code=code,
        hint="start one with `tally up`, or name a running one in TALLY_SERVER_URL",
        next_actions=("tally up",),
    )
