"""Answers: JSON by orjson, plain text, and the headers that every answer carries."""

import dataclasses
from collections.abc import Mapping
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
    """JSON of dataclasses, dictionaries and lists; NaN would become null, so none may come here.

    Total: what JSON cannot carry is told as text, because a stored fact must never make an answer
    fail.
    """
    try:
        return orjson.dumps(content)
    except orjson.JSONEncodeError:
        return orjson.dumps(_tellable(content))


def _tellable(value: Any) -> Any:
    """A copy in which half characters are `?`, and numbers beyond 64 bits are text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else f"{value:#x}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: _tellable(getattr(value, item.name)) for item in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {_tellable(str(key)): _tellable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tellable(item) for item in value]
    return _tellable(str(value))


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
