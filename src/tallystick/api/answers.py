"""Answers: JSON by orjson, plain text, and the headers that every answer carries."""

from typing import Any, Final

import orjson
from starlette.responses import Response

HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
"""Added to every answer that does not set them itself."""

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of a page without scripts."""


def encode(content: Any) -> bytes:
    """JSON of dataclasses, dictionaries and lists; NaN would become null, so none may come here."""
    return orjson.dumps(content)


def json(content: Any, *, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encode(content), status, media_type="application/json")


def raw_json(content: bytes) -> Response:
    """JSON that is encoded already."""
    return Response(content, media_type="application/json")


def text(content: str, media_type: str = "text/plain; charset=utf-8") -> Response:
    """Text as it stands."""
    return Response(content.encode(), headers={"content-type": media_type})


def octets(content: bytes) -> Response:
    """Bytes as they stand."""
    return Response(content, media_type="application/octet-stream")


def html(content: str, *, policy: str = PAGE_POLICY) -> Response:
    """A page, under a strict Content-Security-Policy."""
    return Response(
        content.encode(),
        headers={
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": policy,
        },
    )
