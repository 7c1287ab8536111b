"""JSON over a transport: bodies out, answers in, refusals raised as the server's own classes."""

import json
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any
from urllib.parse import quote, urlencode

from tallystick.client.transport import Request, Response, Transport
from tallystick.clock import Clock
from tallystick.errors import (
    InvalidError,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
)
from tallystick.wire import codec, problem

TIMEOUT_SECONDS = 30.0
SHOWN_BODY_CHARACTERS = 200
SHOWN_TEXT_CHARACTERS = 40
FOREIGN = "surrogatepass"
"""Bytes of an argument that are no UTF-8 go out as they are; no path of the server has them."""


def path_of(*segments: object) -> str:
    """An absolute path; every segment is quoted whole, slashes included."""
    return "/" + "/".join(quote(str(part), safe="", errors=FOREIGN) for part in segments)


class Caller:
    """Speaks for one token; holds no state of the conversation."""

    def __init__(self, transport: Transport, token: Callable[[], str | None], clock: Clock) -> None:
        """`token` is asked before every request: a file may hold a newer one."""
        self._transport = transport
        self._token = token
        self.clock = clock
        self.answered = False
        """Whether a server has answered, be it with a refusal."""

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, *, wait_seconds: float = 0
    ) -> Any:
        """The parsed answer of a GET; `wait_seconds` makes the server wait for a change (P4.2)."""
        return self.parsed(self.fetch(path, query, wait_seconds=wait_seconds))

    def fetch(
        self, path: str, query: Mapping[str, Any] | None = None, *, wait_seconds: float = 0
    ) -> Response:
        """The answer of a GET with its headers; raises what the server refused."""
        asked = {**(query or {}), **({"wait": ceil(wait_seconds)} if wait_seconds else {})}
        request = Request(
            method="GET",
            target=_target(path, asked),
            headers=self._headers(),
            timeout_seconds=TIMEOUT_SECONDS + wait_seconds,
            repeatable=True,
        )
        return self._checked(self._transport.send(request))

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        method: str = "POST",
        repeatable: bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Any:
        """The parsed answer of a request that changes something.

        With `key` (Idempotency-Key) a create is safe to send again. `repeatable` says that a
        request without key is, too: stopping twice stops once.
        """
        headers = self._headers()
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = _encoded(body)
        if key is not None:
            headers["Idempotency-Key"] = key
        request = Request(
            method=method,
            target=path,
            headers=headers,
            body=content,
            timeout_seconds=timeout_seconds,
            repeatable=repeatable or key is not None,
        )
        return self.parsed(self._checked(self._transport.send(request)))

    def create(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """POST with an Idempotency-Key, a fresh one unless given: one wish, one record."""
        return self.post(path, body, key=key or self.clock.token_bytes(16).hex())

    def stream(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float,
    ) -> Response:
        """A GET whose body is read while it grows; the caller closes it."""
        request = Request(
            method="GET",
            target=_target(path, query or {}),
            headers={**self._headers(), "Accept": "text/event-stream", **(headers or {})},
            timeout_seconds=timeout_seconds,
            repeatable=True,
            stream=True,
        )
        return self._checked(self._transport.send(request))

    def _headers(self) -> dict[str, str]:
        """What every request carries; the token in a header, never in a URL (P9.2)."""
        token = self._token()
        if token and not (token.isascii() and token.isprintable()):
            raise UnauthenticatedError(
                "the token has characters that no token has", code="token_malformed"
            )
        headers = {"Accept": "application/json", "User-Agent": "tallystick"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _checked(self, response: Response) -> Response:
        """The response when it is a success; otherwise the error that the server meant."""
        self.answered = True
        if response.status < 300:
            return response
        raise _error_of(response, has_token=bool(self._token()))

    @staticmethod
    def parsed(response: Response) -> Any:
        """The JSON of an answer."""
        body = response.body()
        try:
            return json.loads(body)
        except ValueError as error:
            raise UnavailableError(
                f"expected JSON, found {_shown(body)}; is this a Tallystick server?",
                code="not_tallystick",
            ) from error


def _target(path: str, query: Mapping[str, Any]) -> str:
    """Path and query; absent values are left out, truth is spelled as in JSON."""
    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given, errors=FOREIGN)}" if given else path


def _encoded(body: Any) -> bytes:
    """A body; raises `InvalidError` for text that came from bytes which are no UTF-8."""
    try:
        return codec.dumps(body)
    except UnicodeEncodeError as error:
        before = error.object[max(0, error.start - SHOWN_TEXT_CHARACTERS) : error.start]
        raise InvalidError(
            f"expected text in UTF-8; found a byte that is none after {before!r}",
            code="text_not_unicode",
            hint="a command may name such a file by a pattern, or in a script of its own",
        ) from error


def _error_of(response: Response, *, has_token: bool) -> TallystickError:
    """The error of a refused request: the same class that the server raised."""
    body = response.body()
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        found = _shown(body)
        document = {"detail": f"the server answered {response.status}: {found}"}
    error = problem.error_of(response.status, document)
    if isinstance(error, UnavailableError):
        error.retry_after_seconds = _seconds(response.headers.get("retry-after"))
    if isinstance(error, UnauthenticatedError) and not has_token:
        error.hint = "no token was found: set TALLY_TOKEN, or TALLY_DATA_DIR to the server's own"
    return error


def _seconds(text: str | None) -> float:
    """Retry-After in seconds, 1 when it is absent or a date."""
    try:
        return max(0.0, float(text or 1.0))
    except ValueError:
        return 1.0


def _shown(body: bytes) -> str:
    """The beginning of an unexpected body."""
    return repr(body.decode(errors="replace")[:SHOWN_BODY_CHARACTERS])
