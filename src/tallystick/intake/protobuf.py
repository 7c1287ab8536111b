"""Protocol buffers without their compiler: fields of a message by number, as far as they go.

Only what the formats here use: varints, fixed 32 and 64 bits, and bytes. A message that breaks off
or holds anything else raises `ValueError`.
"""

import struct
from collections.abc import Iterator
from typing import Final

Value = int | bytes

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: an int for a varint, else its bytes."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > end:
            raise ValueError("a field that cannot be read")
        yield key >> 3, message[at : at + size]
        at += size


def parts(message: bytes, number: int) -> Iterator[bytes]:
    """The messages, texts or bytes in one field."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            yield value


def first(message: bytes, number: int) -> Value | None:
    """The last value of one field, as the format has it; None when it is not there."""
    held = None
    for found, value in fields(message):
        if found == number:
            held = value
    return held


def signed(value: int) -> int:
    """A varint as a signed whole number of 64 bits."""
    return value - 2**64 if value >= 2**63 else value


def double(value: Value | None) -> float | None:
    """Fixed 64 bits as a number."""
    if not isinstance(value, bytes) or len(value) != 8:
        return None
    found: float = struct.unpack("<d", value)[0]
    return found


def single(value: Value | None) -> float | None:
    """Fixed 32 bits as a number."""
    if not isinstance(value, bytes) or len(value) != 4:
        return None
    found: float = struct.unpack("<f", value)[0]
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
    raise ValueError("a number that breaks off")
