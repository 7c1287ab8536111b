"""Points as arrays, and as the bytes of a packed segment.

A segment is homogeneous: its steps are all whole numbers or all floating-point ones, and so are its
values, so that each number comes back as it was logged. Layout, little-endian: one byte of flags,
four bytes of count, then steps, values and, if any is known, times; eight bytes each.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tallystick.intake.batch import UNTIMED, Column, Number

Array = NDArray[Any]

_HEAD: Final = struct.Struct("<BI")
_WHOLE_STEPS: Final = 1
_WHOLE_VALUES: Final = 2
_TIMED: Final = 4
_EXACT: Final = 2**53
"""Whole numbers up to this are floating-point numbers, too."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive points of one series: three arrays of one length."""

    steps: Array
    """int64 or float64."""
    values: Array
    """int64 or float64."""
    times: Array
    """int64: Unix milliseconds, or `UNTIMED`."""

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, start: int, end: int | None = None) -> "Block":
        """The points from `start` to before `end`."""
        chosen = slice(start, end)
        return Block(self.steps[chosen], self.values[chosen], self.times[chosen])

    def at(self, places: Array) -> "Block":
        """The points that an index array or a mask chooses."""
        return Block(self.steps[places], self.values[places], self.times[places])


def blocks_of(column: Column) -> Iterator[Block]:
    """A column as few homogeneous blocks: one, but for mixed numbers that no type holds exactly."""
    steps, values = _array(column.steps), _array(column.values)
    times = np.array(column.times, dtype=np.int64)
    if steps is not None and values is not None:
        yield Block(steps, values, times)
        return
    start = 0
    kinds = [(type(s), type(v)) for s, v in zip(column.steps, column.values, strict=True)]
    for end in range(1, len(kinds) + 1):
        if end == len(kinds) or kinds[end] != kinds[start]:
            yield Block(
                np.array(column.steps[start:end]),
                np.array(column.values[start:end]),
                times[start:end],
            )
            start = end


def _array(numbers: Sequence[Number]) -> Array | None:
    """The numbers in one array; None when that would change one of them."""
    array = np.array(numbers)
    if array.dtype == np.int64:
        return array
    if array.dtype == np.float64:
        far = np.flatnonzero(np.abs(array) >= _EXACT)
        if all(isinstance(numbers[place], float) for place in far.tolist()):
            return array
    return None


def joined(first: Block, second: Block) -> Block | None:
    """Both as one block; None when that would change a number."""
    steps = _joined(first.steps, second.steps)
    values = _joined(first.values, second.values)
    if steps is None or values is None:
        return None
    return Block(steps, values, np.concatenate([first.times, second.times]))


def _joined(first: Array, second: Array) -> Array | None:
    if first.dtype != second.dtype:
        whole = first if first.dtype == np.int64 else second
        if (np.abs(whole) >= _EXACT).any():
            return None
    return np.concatenate([first, second])


def pack(block: Block) -> bytes:
    """The bytes of a segment."""
    timed = bool((block.times != UNTIMED).any())
    flags = (
        (_WHOLE_STEPS if block.steps.dtype == np.int64 else 0)
        | (_WHOLE_VALUES if block.values.dtype == np.int64 else 0)
        | (_TIMED if timed else 0)
    )
    parts = [_HEAD.pack(flags, len(block)), block.steps.tobytes(), block.values.tobytes()]
    if timed:
        parts.append(block.times.tobytes())
    return b"".join(parts)


def unpack(content: bytes) -> Block:
    """The points of a segment; raises `ValueError` for bytes that are none."""
    if len(content) < _HEAD.size:
        raise ValueError("a segment is shorter than its head")
    flags, count = _HEAD.unpack_from(content)
    columns = 3 if flags & _TIMED else 2
    if len(content) != _HEAD.size + 8 * columns * count:
        raise ValueError("a segment has not the length that its head says")

    def column(place: int, kind: str) -> Array:
        return np.frombuffer(
            content, dtype=kind, count=count, offset=_HEAD.size + 8 * count * place
        )

    return Block(
        column(0, "<i8" if flags & _WHOLE_STEPS else "<f8"),
        column(1, "<i8" if flags & _WHOLE_VALUES else "<f8"),
        column(2, "<i8") if flags & _TIMED else np.full(count, UNTIMED, dtype=np.int64),
    )
