"""What clients of other trackers told, kept byte for byte: one line a request.

A client that lost an answer sends the same request again. Its body is recognised by its digest
among those that came last, and kept once; the newest `REMEMBERED` of each stream are enough,
because a client goes on only after an answer. The digests are in memory, and read again from the
end of the stream by the next server.
"""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick import durable
from tallystick.store.series import Series

REMEMBERED: Final = 512
"""Requests of one stream: far more than a client has under way."""

TAIL_BYTES: Final = 2 * 1024 * 1024
"""Read again of a stream after a restart."""

STREAMS: Final = 256
"""Streams whose digests are kept in memory."""

_BODY: Final = b',"body":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One request of a client."""

    at: int
    """Unix milliseconds of its arrival."""
    call: str
    attempt: str
    child: str = ""
    """The nested run that it is about."""
    body: bytes
    """JSON, as it was sent."""

    @property
    def digest(self) -> bytes:
        """What makes a repetition recognisable; a new nested run is named by us, not by it."""
        return _digest(self.call, self.body)

    def line(self) -> bytes:
        """As it stands in the stream."""
        head: dict[str, Any] = {"at": self.at, "call": self.call, "attempt": self.attempt}
        if self.child:
            head["child"] = self.child
        return json.dumps(head, separators=(",", ":")).encode()[:-1] + _BODY + self.body + b"}\n"


@dataclass(slots=True)
class _Stream:
    """One stream that is being written."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    known: OrderedDict[bytes, str] | None = None  # guarded by lock: digest to child
    length: int = 0


class Frames:
    """The streams of all runs; safe to use from any thread."""

    def __init__(self, series: Series) -> None:
        """Nothing is read yet."""
        self._series = series
        self._lock = threading.Lock()
        self._streams: OrderedDict[tuple[str, str], _Stream] = OrderedDict()  # guarded by _lock

    def append(self, run: str, name: str, frame: Frame) -> str | None:
        """Keep a frame, durably; None, or, when it was there already, the child it was kept for.

        The empty text stands for no child. Raises `UnavailableError` when the disk refuses.
        """
        stream = self._stream(run, name)
        with stream.lock:
            if stream.known is None:
                stream.known = _known(self._series.directory(run) / name)
            found = stream.known.get(frame.digest)
            if found is not None:
                return found
            self._series.append(run, name, frame.line())
            stream.known[frame.digest] = frame.child
            while len(stream.known) > REMEMBERED:
                stream.known.popitem(last=False)
        return None

    def _stream(self, run: str, name: str) -> _Stream:
        with self._lock:
            stream = self._streams.setdefault((run, name), _Stream())
            self._streams.move_to_end((run, name))
            while len(self._streams) > STREAMS:
                self._streams.popitem(last=False)
            return stream


def one_line(body: bytes) -> bytes:
    """JSON on one line: between its tokens, a line end is as good as a space."""
    return body.replace(b"\n", b" ").replace(b"\r", b" ")


def _digest(call: str, body: bytes) -> bytes:
    return hashlib.sha256(call.encode() + b"\0" + body).digest()


def _known(path: Path) -> OrderedDict[bytes, str]:
    """Digests of the last frames of a stream."""
    known: OrderedDict[bytes, str] = OrderedDict()
    for line in _tail(path).split(b"\n")[-REMEMBERED - 1 :]:
        head, found, body = line.partition(_BODY)
        if found:
            document = _head(head)
            known[_digest(str(document.get("call")), body[:-1])] = str(document.get("child", ""))
    return known


def _head(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content + b"}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _tail(path: Path) -> bytes:
    try:
        file = durable.open_regular(path)
    except FileNotFoundError:
        return b""
    try:
        size = os.fstat(file).st_size
        start = max(0, size - TAIL_BYTES)
        content = os.pread(file, size - start, start)
    finally:
        os.close(file)
    return content if start == 0 else content.partition(b"\n")[2]
