"""TensorBoard event files: scalars, as `simple_value` (torch) or as tensors of one number (TF 2).

The file is a sequence of TFRecords: length, masked CRC-32C of the length, event, masked CRC of the
event. The first CRC is checked, so that a reader which has lost its place says so; what follows
such a place cannot be found again. Everything but scalars is kept in the stream and named.
"""

import struct
from collections.abc import Iterator
from typing import Final

from tallystick.intake import protobuf
from tallystick.intake.batch import UNTIMED, Batch, milliseconds

_HEAD: Final = struct.Struct("<QI")
_AROUND: Final = _HEAD.size + 4
_LONGEST: Final = 1 << 30
_KINDS: Final = {1: ("f", 4, 5), 2: ("d", 8, 6), 3: ("i", 4, 7), 9: ("q", 8, 10)}
"""Data types of tensors: how one number is packed, in how many bytes, and its own field."""


def read(content: bytes, *, prefix: str) -> Batch:
    """The whole events of a piece; names of metrics begin with `prefix`."""
    batch = Batch()
    while True:
        event = _record(content, batch.used)
        if event is None:
            return batch
        if not event[0]:
            batch.used, batch.unread = len(content), batch.unread + 1
            return batch
        batch.used = event[2]
        try:
            _add(batch, content[event[1] : event[2] - 4], prefix)
        except ValueError:
            batch.unread += 1


def _record(content: bytes, at: int) -> tuple[bool, int, int] | None:
    """Whether a record can be read, where its event begins and where it ends; None: not yet."""
    if len(content) - at < _HEAD.size:
        return None
    length, check = _HEAD.unpack_from(content, at)
    if length > _LONGEST or _masked_crc(content[at : at + 8]) != check:
        return False, 0, 0
    end = at + _AROUND + length
    return (True, at + _HEAD.size, end) if end <= len(content) else None


def _add(batch: Batch, event: bytes, prefix: str) -> None:
    time, step, summaries = UNTIMED, 0, []
    for number, value in protobuf.fields(event):
        if number == 1:
            time = milliseconds(protobuf.double(value))
        elif number == 2 and isinstance(value, int):
            step = protobuf.signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    batch.rows += bool(summaries)
    for summary in summaries:
        for tag, scalar in _scalars(summary):
            if scalar is None:
                batch.other[prefix + tag] = None
            else:
                batch.add(prefix + tag, step, scalar, time)


def _scalars(summary: bytes) -> Iterator[tuple[str, float | int | None]]:
    """Tag and number of each value of a summary; None for what is no scalar."""
    for value in protobuf.parts(summary, 1):
        tag = protobuf.first(value, 1)
        name = tag.decode("utf-8", "replace") if isinstance(tag, bytes) else ""
        simple = protobuf.single(protobuf.first(value, 2))
        tensor = protobuf.first(value, 8)
        if simple is None and isinstance(tensor, bytes):
            yield name, _number_in(tensor)
        else:
            yield name, simple


def _number_in(tensor: bytes) -> float | int | None:
    """The number of a tensor that holds one."""
    kind = protobuf.first(tensor, 1)
    if not isinstance(kind, int) or kind not in _KINDS:
        return None
    code, size, own = _KINDS[kind]
    content = protobuf.first(tensor, 4)
    if content is None or content == b"":
        held = protobuf.first(tensor, own)
        if isinstance(held, int):
            return protobuf.signed(held)
        content = held
    if not isinstance(content, bytes) or len(content) != size:
        return None
    found: float | int = struct.unpack(f"<{code}", content)[0]
    return found


def _masked_crc(content: bytes) -> int:
    """CRC-32C as TFRecords store it; of a few bytes only."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
