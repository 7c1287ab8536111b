"""Metric rows read as series: numbers as they were measured, never scaled, rounded or left out.

A row is one JSON object a line. Its step is the first of `STEP_KEYS` that it has, else its position
among the rows; every other number is a point. NaN and the infinities, as tokens
or as text, are told as the texts NaN, Infinity and -Infinity. Above `MOST_POINTS` a series is
thinned so that the lowest, the highest and every kind of outlier of each stretch stay.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick import durable

STEP_KEYS: Final = ("step", "_step", "global_step", "trainer/global_step")
MOST_POINTS: Final = 2_000
"""A series up to this long is given whole."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""Read of one file: a few seconds of reading."""

_BUCKETS: Final = 600  # each leaves at most three points: lowest, highest, first not finite
_NOT_FINITE: Final[Mapping[str, float]] = {
    "nan": math.nan,
    "infinity": math.inf,
    "inf": math.inf,
    "+infinity": math.inf,
    "-infinity": -math.inf,
    "-inf": -math.inf,
}
_WIDEST: Final = 2**63  # beyond this a whole number does not fit into every JSON reader

Number = int | float
Point = tuple[Number, Number]


@dataclass(slots=True)
class Table:
    """Everything measured in one run so far."""

    series: dict[str, list[Point]] = field(default_factory=dict)
    """Points (step, value) by metric name, in the order in which they came."""
    rows: int = 0
    unstepped: int = 0
    """Rows without a step; their position stands in for it."""
    unread: int = 0
    """Lines that are no JSON object in Unicode, for example one that a crash has torn."""
    other: dict[str, None] = field(default_factory=dict)
    """Keys that held something else than a number; an ordered set."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A metric file as far as it had grown; it only grows, so this names its content."""

    path: Path
    size: int
    """Bytes."""

    @property
    def start(self) -> int:
        """Where reading begins: only the newest `MOST_BYTES` are read."""
        return max(0, self.size - MOST_BYTES)


def load(files: Iterable[Extent]) -> Table:
    """Read the newest `MOST_BYTES` of each file, line by line, from the beginning of a line."""
    table = Table()
    for file in files:
        read_lines(table, _lines(file))
    return table


def _lines(extent: Extent) -> Iterator[bytes]:
    """The whole lines from an extent's start on, and what follows the last of them."""
    with open(durable.open_regular(extent.path), "rb") as file:  # noqa: PTH123 - a descriptor
        left = extent.size - extent.start
        if extent.start:
            file.seek(extent.start - 1)
            left -= len(file.readline(left + 1)) - 1  # to the end of a line that began before
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line


def read_lines(table: Table, lines: Iterable[bytes]) -> None:
    """Add rows to `table`."""
    for line in lines:
        if not line.strip():
            continue
        row = parse_row(line)
        if row is None:
            table.unread += 1
        else:
            _add(table, row)


def parse_row(line: bytes) -> dict[str, Any] | None:
    """One line as an object; None when it is none, or when a name in it cannot be told."""
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            return None
        "".join(row).encode()  # half a character (a lone surrogate) has no UTF-8 form
    except (ValueError, RecursionError):
        return None
    return row


def _add(table: Table, row: Mapping[str, Any]) -> None:
    position = table.rows
    table.rows += 1
    step_key, step = step_of(row)
    if step is None:
        table.unstepped += 1
    for key, raw in row.items():
        if key == step_key:
            continue
        value = number(raw)
        if value is None:
            table.other[key] = None
        else:
            table.series.setdefault(key, []).append((position if step is None else step, value))


def step_of(row: Mapping[str, Any]) -> tuple[str | None, Number | None]:
    """The key that names the step, and the step as it came."""
    for key in STEP_KEYS:
        step = number(row[key]) if key in row else None
        if step is not None:
            return key, step
    return None, None


def number(value: Any) -> Number | None:
    """A number, also one that came as the text NaN or Infinity; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < _WIDEST else _widened(value)
    if isinstance(value, float):
        return value
    return _NOT_FINITE.get(value.strip().lower()) if isinstance(value, str) else None


def _widened(value: int) -> float:
    """A whole number as the nearest floating-point number."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def thin(points: Sequence[Point]) -> tuple[Sequence[Point], bool]:
    """At most `MOST_POINTS` points, and whether any was left out.

    First, last, the lowest and highest of each stretch, and its first that is not finite, stay.
    """
    if len(points) <= MOST_POINTS:
        return points, False
    kept = {0, len(points) - 1}
    for bucket in range(_BUCKETS):
        first = bucket * len(points) // _BUCKETS
        last = (bucket + 1) * len(points) // _BUCKETS
        kept.update(_extremes(points, range(first, last)))
    return [points[index] for index in sorted(kept)], True


def _extremes(points: Sequence[Point], stretch: range) -> Iterator[int]:
    finite = [index for index in stretch if math.isfinite(points[index][1])]
    if finite:
        yield min(finite, key=lambda index: points[index][1])
        yield max(finite, key=lambda index: points[index][1])
    odd = next((index for index in stretch if not math.isfinite(points[index][1])), None)
    if odd is not None:
        yield odd


def shown(value: Number) -> Number | str:
    """A number as JSON can carry it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def latest(table: Table) -> dict[str, Number | str]:
    """The last value of each metric."""
    return {key: shown(points[-1][1]) for key, points in table.series.items()}
