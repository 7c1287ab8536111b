"""The transaction log that wandb's client writes beside a run, online or offline (`run-*.wandb`).

Seven bytes of header, then LevelDB's log format: blocks of 32 KiB, records of a 7-byte head (CRC,
length, kind) that are whole, first, middle or last pieces. Each record is a protocol buffer. Read
are history (metrics), summary, configuration and the client's own system statistics.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import orjson

from tallystick.intake import protobuf
from tallystick.intake.batch import UNTIMED, Batch, milliseconds, number

BLOCK: Final = 32_768
_HEADER: Final = 7
_HEAD: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _SUMMARY, _CONFIG, _STATS, _RUN = 2, 3, 5, 7, 17


def read(content: bytes, *, position: int, prefix: str = "") -> Batch:
    """The whole records of a piece that begins at a record, `position` bytes into the file."""
    batch = Batch()
    at = _HEADER if position == 0 else 0
    if position == 0 and len(content) < _HEADER:
        return batch
    if position == 0 and content[:4] != b":W&B":
        return Batch(used=len(content), unread=1)
    batch.used = at
    for record, end in _records(content, at, position):
        batch.used = end
        if record is None:
            batch.unread += 1
            continue
        try:
            _add(batch, record, prefix)
        except ValueError:
            batch.unread += 1
    return batch


def _records(content: bytes, at: int, position: int) -> Iterator[tuple[bytes | None, int]]:
    """Whole records, None for damaged ones, and where the next one begins."""
    pieces: list[bytes] = []
    while True:
        left = BLOCK - (position + at) % BLOCK
        if left < _HEAD.size:  # the rest of a block is padding
            at += left
            continue
        if at + _HEAD.size > len(content):
            return
        check, length, kind = _HEAD.unpack_from(content, at)
        start, end = at + _HEAD.size, at + _HEAD.size + length
        if length > left - _HEAD.size:
            at += left  # damaged: the next block begins anew
            pieces = []
            if at <= len(content):
                yield None, at
            continue
        if end > len(content):
            return
        data, at = content[start:end], end
        if zlib.crc32(bytes([kind]) + data) != check:
            pieces = []
            yield None, at
        elif kind in {_FULL, _LAST}:
            yield b"".join([*pieces, data]), at
            pieces = []
        else:
            pieces = [*pieces, data] if kind == _MIDDLE else [data]


def _add(batch: Batch, record: bytes, prefix: str) -> None:
    for kind, value in protobuf.fields(record):
        if not isinstance(value, bytes):
            continue
        if kind == _HISTORY:
            _history(batch, value, prefix)
        elif kind == _SUMMARY:
            _note(batch, "summary", value, prefix)
        elif kind == _CONFIG:
            _note(batch, "param", value, prefix)
        elif kind == _RUN:
            for config in protobuf.parts(value, 4):
                _note(batch, "param", config, prefix)
        elif kind == _STATS:
            _stats(batch, value, prefix)


def _note(batch: Batch, kind: str, message: bytes, prefix: str) -> None:
    """What is no point; names that begin with an underscore are the client's own business."""
    for name, held in _items(message, 1):
        if not name.startswith("_"):
            batch.notes[kind, prefix + name] = held


def _history(batch: Batch, message: bytes, prefix: str) -> None:
    row = dict(_items(message, 1))
    step: Any = None
    for part in protobuf.parts(message, 2):
        held = protobuf.first(part, 1)
        step = protobuf.signed(held) if isinstance(held, int) else 0
    step = number(row.pop("_step", step))
    time = milliseconds(row.pop("_timestamp", None))
    row.pop("_runtime", None)
    batch.rows += 1
    for name, held in row.items():
        value = number(held)
        if value is None:
            batch.other[prefix + name] = None
        else:
            batch.add(prefix + name, 0 if step is None else step, value, time)


def _stats(batch: Batch, message: bytes, prefix: str) -> None:
    """What wandb's client measured of the machine; its step is the second."""
    time = UNTIMED
    for part in protobuf.parts(message, 2):
        seconds = protobuf.first(part, 1)
        time = milliseconds(seconds) if isinstance(seconds, int) else UNTIMED
    for name, held in _items(message, 3):
        value = number(held)
        if value is not None:
            batch.add(f"{prefix}system/{name}", 0 if time == UNTIMED else time // 1000, value, time)


def _items(message: bytes, field: int) -> Iterator[tuple[str, Any]]:
    """Names and values of the items in one field; nested names are joined by dots."""
    for item in protobuf.parts(message, field):
        names: list[str] = []
        held: Any = None
        for kind, value in protobuf.fields(item):
            if not isinstance(value, bytes):
                continue
            if kind == 1:
                names = [value.decode("utf-8", "replace")]
            elif kind == 2:
                names.append(value.decode("utf-8", "replace"))
            elif kind == 16:
                held = _value(value)
        if names and names != [""]:
            yield ".".join(name for name in names if name), held


def _value(content: bytes) -> Any:
    """A value in JSON; NaN and the infinities stand there as bare words."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode("utf-8", "replace")
