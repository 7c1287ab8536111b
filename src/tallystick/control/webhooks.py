"""One webhook: a message as signed JSON over HTTP, after the Standard Webhooks specification.

A receiver is told the same `webhook-id` however often a message is sent to it, and signs nothing
back: any 2xx is its word that it has the message. Redirects are not followed. The URL is a secret:
no error, log line or table repeats any part of it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from tallystick.clock import Clock
from tallystick.control.messages import Message
from tallystick.errors import InvalidError

PREFIX: Final = "whsec_"
SHORTEST_SECRET: Final = 24
LONGEST_SECRET: Final = 64
"""Bytes of a secret, after the specification."""

HOW_TO_MAKE_ONE: Final = (
    "python3 -c 'import base64, secrets; "
    'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\' makes one'
)

TIMEOUT_SECONDS: Final = 15.0
"""The specification asks for 15 to 30."""

_GONE: Final = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one try."""

    delivered: bool
    gone: bool = False
    """The receiver wants no further message."""
    again_after_ms: int | None = None
    """Not before, the receiver said."""
    said: str = ""
    """What went wrong, for the log; never a part of an address."""


def read_secrets(text: str) -> list[bytes]:
    """Signing keys, the newest first, from `whsec_…` texts with blanks between them.

    Raises `InvalidError` without repeating any of them.
    """
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not word.startswith(PREFIX) or not SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
            raise InvalidError(
                f"notify.webhook_secret: expected {PREFIX} and base64 of {SHORTEST_SECRET} to "
                f"{LONGEST_SECRET} bytes; found something else",
                code="webhook_secret_invalid",
                hint=HOW_TO_MAKE_ONE,
            )
        keys.append(key)
    return keys


def sign(key: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature: HMAC-SHA256 over id, timestamp (seconds) and body, with dots between them."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def body_of(message: Message) -> bytes:
    """The JSON of a message; its timestamp is when it happened, not when it is told."""
    happened = datetime.fromtimestamp(message.notice.ts / 1000, tz=UTC)
    document = {
        "type": message.type,
        "timestamp": happened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"title": message.title, **message.data},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


class Webhook:
    """One receiver."""

    at_once: Final = 1
    """Messages of one delivery."""
    rest_ms: Final = 0

    def __init__(
        self, url: str, *, name: str, keys: Sequence[bytes], origin: str, clock: Clock
    ) -> None:
        """`origin` names the ledger, so that two servers never send the same id.

        Raises `InvalidError` for what is no address, by `name` and not by its text.
        """
        self.name = name
        self.key = hashlib.sha256(f"webhook\0{url}".encode()).hexdigest()
        self._address = _parsed(url, name)
        self._keys = tuple(keys)
        self._prefix = origin.rpartition("/")[2].replace(".", "_")
        self._clock = clock
        self._tls = ssl.create_default_context() if self._address.scheme == "https" else None

    def deliver(self, messages: Sequence[Message]) -> Verdict:
        """Send one message; never raises for what a receiver or a network does."""
        (message,) = messages
        body, now = body_of(message), self._clock.now()
        try:
            with closing(self._connection()) as connection:
                connection.request(
                    "POST", self._target(), body=body, headers=self._headers(message, body, now)
                )
                answer = connection.getresponse()
                status, after = answer.status, answer.getheader("retry-after")
        except (OSError, HTTPException, UnicodeError) as error:  # the last: a host that is no name
            return Verdict(delivered=False, said=f"no answer ({type(error).__name__})")
        if 200 <= status < 300:
            return Verdict(delivered=True)
        return Verdict(
            delivered=False,
            gone=status == _GONE,
            again_after_ms=_pause_ms(after, now=now),
            said=f"HTTP status {status}",
        )

    def _connection(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._tls is not None:
            return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._tls)
        return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def _target(self) -> str:
        query = f"?{self._address.query}" if self._address.query else ""
        return f"{self._address.path or '/'}{query}"

    def _headers(self, message: Message, body: bytes, now: int) -> Mapping[str, str]:
        """The three headers of the specification, and who asks."""
        message_id = f"tally_{self._prefix}_{message.notice.id}"
        timestamp = now // 1000
        signatures = [
            sign(key, message_id=message_id, timestamp=timestamp, body=body) for key in self._keys
        ]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tallystick",
            "Connection": "close",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        }
        if self._address.username is not None:
            known = f"{unquote(self._address.username)}:{unquote(self._address.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
        return headers


def _parsed(url: str, name: str) -> SplitResult:
    """The parts of an address."""
    try:
        address = urlsplit(url)
        usable = address.scheme in {"http", "https"} and address.hostname and address.port != 0
    except ValueError:  # a port that is no number
        usable = False
    printable = url.isascii() and url.isprintable()
    if not usable or not printable:
        raise InvalidError(
            f"notify.webhooks: expected http:// and https:// URLs; {name} is something else",
            code="webhook_invalid",
            hint="several URLs stand in one setting with blanks between them",
        )
    return address


def _pause_ms(text: str | None, *, now: int) -> int | None:
    """Retry-After in milliseconds from now: seconds, or a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 8:
        return int(text) * 1000
    try:
        return max(0, round(parsedate_to_datetime(text).timestamp() * 1000) - now)
    except (ValueError, OverflowError):
        return None
