"""One request on its way through a route: who asks, for what, with which parameters and body."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from starlette.requests import Request

from tallystick.api.services import Services
from tallystick.control.texts import Texts
from tallystick.domain.ids import Actor, RequestMark
from tallystick.domain.token import Token
from tallystick.errors import InvalidError
from tallystick.wire.views import Warning as Notice

T = TypeVar("T")

LARGE_BODY_BYTES: Final = 65_536
"""A larger body is parsed, redacted and hashed on another thread: the loop has others to serve."""

LONGEST_KEY: Final = 255
"""Characters of an Idempotency-Key."""


class Gate(Protocol):
    """What a route may ask of the gate that it came through."""

    async def document(self) -> bytes:
        """The OpenAPI document, as JSON."""
        ...

    def forget_tokens(self) -> None:
        """Look every token up again: one was revoked."""
        ...

    async def still_open(self, call: "Call") -> bool:
        """Whether the token of a call that goes on still opens it."""
        ...


@dataclass(slots=True, kw_only=True)
class Call:
    """What a route works with; made by the gate after every check has passed."""

    services: Services
    gate: Gate
    request: Request
    headers: Mapping[str, str]
    """By lower-case name; of one that is sent twice, the first."""
    actor: Actor
    """From the credential, never from the body (P1.4)."""
    token: Token | None
    """None on open routes."""
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any = None
    """The validated body, of the shape that the endpoint declares."""
    raw: bytes = b""
    """The body as it came."""
    warnings: list[Notice] = field(default_factory=list)

    async def prepare(self, build: Callable[[], T]) -> T:
        """What a body leads to; a large one is worked on by another thread."""
        if len(self.raw) > LARGE_BODY_BYTES:
            return await self.services.work(build)
        return build()

    def texts(self) -> Texts:
        """A collector for the free text of one command."""
        return Texts(self.services.clock)

    def mark(self) -> RequestMark | None:
        """What makes a repeat of this request recognisable; None without an Idempotency-Key."""
        key = self.idempotency_key()
        if key is None:
            return None
        return RequestMark(k=self.digest_of(key).hex(), b=hashlib.sha256(self.raw).hexdigest())

    def digest_of(self, key: str) -> bytes:
        """SHA-256 over who asks, the path, and the key."""
        path = self.request.scope["path"]
        return hashlib.sha256(f"{self.actor.token}\0{path}\0{key}".encode()).digest()

    def idempotency_key(self) -> str | None:
        """The caller's name for this request; raises `InvalidError` when it cannot be one."""
        key = self.headers.get("idempotency-key")
        if key is None:
            return None
        if not 1 <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
            raise InvalidError(
                f"Idempotency-Key: expected 1 to {LONGEST_KEY} printable ASCII characters; "
                f"found {len(key)} characters",
                code="idempotency_key_invalid",
                hint="a fresh UUID for each new request works",
            )
        return key
