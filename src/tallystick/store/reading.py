"""Metrics as they are told: chosen names, long series thinned, nothing scaled or rounded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tallystick.intake.batch import UNTIMED
from tallystick.store import thinning
from tallystick.store.columns import Array, Block
from tallystick.store.index import Index, Told

MOST_SERIES: Final = 200
"""Told at once when nobody says which; all are named."""

Point = dict[str, Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which points of a run."""

    keys: tuple[str, ...] = ()
    """None: the first `MOST_SERIES`."""
    buckets: int = thinning.BUCKETS
    from_step: float | None = None
    to_step: float | None = None


@dataclass(slots=True, kw_only=True)
class Table:
    """What was measured in one run, as far as it was asked for."""

    series: dict[str, list[Point]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    """Every metric, with how many points it has."""
    thinned: list[str] = field(default_factory=list)
    left_out: int = 0
    """Series that nobody asked for by name, and that are too many."""


def read(index: Index, wanted: Wanted) -> Table:
    """The chosen series of one state of an index."""
    names = index.names()
    chosen: Sequence[str] = wanted.keys or list(names)[:MOST_SERIES]
    table = Table(names=names, left_out=0 if wanted.keys else max(0, len(names) - MOST_SERIES))
    for name in chosen:
        blocks = _between(index.blocks(name), wanted)
        points, fewer = told(blocks, wanted.buckets)
        if points or name in names:
            table.series[name] = points
        if fewer:
            table.thinned.append(name)
    return table


def _between(blocks: list[Block], wanted: Wanted) -> list[Block]:
    """The points whose step lies in the range, ends included."""
    low, high = wanted.from_step, wanted.to_step
    if low is None and high is None:
        return blocks
    found = []
    for block in blocks:
        mask = np.ones(len(block), dtype=bool)
        if low is not None:
            mask &= block.steps >= low
        if high is not None:
            mask &= block.steps <= high
        found.append(block.at(mask))
    return found


def told(blocks: Sequence[Block], buckets: int) -> tuple[list[Point], bool]:
    """The points of one series, and whether any was left out."""
    total = sum(len(block) for block in blocks)
    if total <= thinning.MOST_POINTS:
        return [point for block in blocks for point in _points(block)], False
    places = thinning.chosen(np.concatenate([b.values.astype(np.float64) for b in blocks]), buckets)
    points: list[Point] = []
    start = 0
    for block in blocks:
        inside = places[(places >= start) & (places < start + len(block))] - start
        points += _points(block.at(inside))
        start += len(block)
    return points, len(points) < total


def _points(block: Block) -> list[Point]:
    steps, values = numbers(block.steps), numbers(block.values)
    times = block.times.tolist()
    return [
        {"step": step, "value": value}
        if time == UNTIMED
        else {"step": step, "value": value, "time": time / 1000}
        for step, value, time in zip(steps, values, times, strict=True)
    ]


def numbers(array: Array) -> list[Any]:
    """Numbers as JSON can carry them."""
    numbers: list[Any] = array.tolist()
    if array.dtype == np.float64:
        for place in np.flatnonzero(~np.isfinite(array)).tolist():
            value = numbers[place]
            numbers[place] = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
    return numbers
