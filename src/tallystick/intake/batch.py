"""What a reader found in a piece of a stream: points by metric name, notes, and what was odd.

A number stays what it was logged as: whole numbers stay whole, NaN and the infinities stay.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Number = int | float

UNTIMED: Final = -(2**63)
"""The time of a point whose source names none."""

_WIDEST: Final = 2**63  # beyond this a whole number does not fit into every JSON reader
_NOT_FINITE: Final[Mapping[str, float]] = {
    "nan": math.nan,
    "infinity": math.inf,
    "inf": math.inf,
    "+infinity": math.inf,
    "-infinity": -math.inf,
    "-inf": -math.inf,
}


@dataclass(slots=True)
class Column:
    """The points of one metric, in the order in which they came; three lists of one length."""

    steps: list[Number] = field(default_factory=list)
    values: list[Number] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """Unix milliseconds, or `UNTIMED`."""


@dataclass(slots=True)
class Batch:
    """What one piece of one stream held."""

    used: int = 0
    """Bytes that need not be read again; what follows them is not whole yet."""
    rows: int = 0
    unstepped: int = 0
    """Rows without a step; their position stands in for it."""
    unread: int = 0
    """Pieces that could not be read, for example a line that a crash has torn."""
    columns: dict[str, Column] = field(default_factory=dict)
    other: dict[str, None] = field(default_factory=dict)
    """Keys that held something else than a number; an ordered set."""
    notes: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What is no point, by kind (`summary`, `param`, `tag`, …) and name; the last one counts."""

    def add(self, name: str, step: Number, value: Number, time: int = UNTIMED) -> None:
        """One point more."""
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = Column()
        column.steps.append(step)
        column.values.append(value)
        column.times.append(time)


def number(value: Any) -> Number | None:
    """A number, also one that came as the text NaN or Infinity; None for anything else."""
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -_WIDEST < value < _WIDEST else _widened(value)
    return _NOT_FINITE.get(value.strip().lower()) if isinstance(value, str) else None


def _widened(value: int) -> float:
    """A whole number as the nearest floating-point number."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def shown(value: Number) -> Number | str:
    """A number as JSON can carry it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def milliseconds(seconds: Any) -> int:
    """Unix seconds as milliseconds; `UNTIMED` for what is no time."""
    value = number(seconds)
    if value is None or not math.isfinite(value) or abs(value) > 1e14:
        return UNTIMED
    return round(value * 1000)
