"""Bodies too large for memory: from a request to the blobs, piece by piece, and back."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from tallystick.api.call import Call
from tallystick.api.problems import RangeError, TooLargeError
from tallystick.store.blobs import PIECE_BYTES
from tallystick.store.incoming import Blob

_MIB: Final = 1024 * 1024


async def received(call: Call) -> Blob:
    """Keep the body of a request; raises `TooLargeError` as soon as it is too large."""
    limit = call.services.settings.artifacts.max_file_mb * _MIB
    announced = call.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    loop = asyncio.get_running_loop()

    def pieces() -> Iterator[bytes]:
        size = 0
        while True:
            following: Future[bytes | None] = asyncio.run_coroutine_threadsafe(_next(call), loop)
            piece = following.result()
            if piece is None:
                return
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            yield piece

    services = call.services
    return await loop.run_in_executor(services.uploads, services.data.blobs.put, pieces())


async def _next(call: Call) -> bytes | None:
    """About a mebibyte more of the body; None at its end."""
    parts: list[bytes] = []
    size = 0
    state = call.request.scope.setdefault("tally.body", {"more": True})
    while state["more"] and size < PIECE_BYTES:
        message = await call.request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        state["more"] = message.get("more_body", False)
    return b"".join(parts) or None


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"body: expected at most {limit} bytes; found more",
        hint="the setting artifacts.max_file_mb says how large a file may be",
        limit_bytes=limit,
    )


def sent(call: Call, blob: Blob, headers: Mapping[str, str]) -> Response:
    """A blob as an answer, or the range of it that was asked for (RFC 9110, 14)."""
    start, end, status = _range(call.headers.get("range"), blob.size)
    more = {
        "content-length": str(end - start),
        "accept-ranges": "bytes",
        "etag": f'"{blob.sha256}"',
        **headers,
    }
    if status == 206:
        more["content-range"] = f"bytes {start}-{end - 1}/{blob.size}"
    if call.request.method == "HEAD":
        return Response(b"", status, headers=more)
    pieces = call.services.data.blobs.read(blob.sha256, start=start, end=end)
    return StreamingResponse(_stream(call, pieces), status, headers=more)


async def _stream(call: Call, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await call.services.work(next, pieces, b""):
        yield piece


def _range(header: str | None, size: int) -> tuple[int, int, int]:
    """First byte, end and status; a header that cannot be read is no header."""
    unit, _, wanted = (header or "").partition("=")
    first, dash, last = wanted.strip().partition("-")
    digits: Any = (first + last).isascii() and (first + last).isdigit()
    if unit.strip() != "bytes" or not dash or not digits or "," in wanted:
        return 0, size, 200
    if first:
        start, end = int(first), min(size, int(last) + 1) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise RangeError(f"Range: expected bytes of 0 to {size - 1}; found {wanted[:60]!r}")
    return start, end, 206
