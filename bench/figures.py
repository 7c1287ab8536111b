"""Figures and the tables that they stand in: median [min..max] over repeats, ratios, verdicts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, once per repeat."""

    values: tuple[float, ...]
    unit: str
    foreign: float = float("nan")
    """Cores that other programs used meanwhile, in the worst repeat; nan where nobody looked."""

    @property
    def middle(self) -> float:
        """The median over the repeats."""
        return median(self.values)

    def __str__(self) -> str:
        shown = f"{number(self.middle)} {self.unit}".rstrip()
        if len(self.values) == 1:
            return f"{shown} (n=1)"
        return f"{shown} [{number(min(self.values))}..{number(max(self.values))}]"


def over(figure: Figure, floor: Figure) -> Figure:
    """How many times `floor` a figure is, repeat by repeat where both were taken in turn."""
    if len(figure.values) == len(floor.values):
        pairs = zip(figure.values, floor.values, strict=True)
        return Figure(tuple(one / other for one, other in pairs), "x")
    return Figure((figure.middle / floor.middle,), "x")


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    if value != value:  # noqa: PLR0124 - nan
        return "?"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


class Sense(Enum):
    """Which side of a target is the good one."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio is meant to reach."""

    sense: Sense
    bound: float

    def __str__(self) -> str:
        return f"{self.sense.value} {number(self.bound)} x"

    def met_by(self, value: float) -> bool:
        """Whether `value` is on the good side."""
        return value >= self.bound if self.sense is Sense.AT_LEAST else value <= self.bound


def at_least(bound: float) -> Target:
    """A ratio that should not be smaller."""
    return Target(Sense.AT_LEAST, bound)


def at_most(bound: float) -> Target:
    """A ratio that should not be larger."""
    return Target(Sense.AT_MOST, bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: a figure, what it is compared with, and what was hoped for."""

    what: str
    figure: Figure | None
    """None where it could not be measured; `note` says why."""
    floor: str = ""
    floor_figure: Figure | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> Figure | None:
        """The figure over its floor."""
        if self.figure is None or self.floor_figure is None:
            return None
        return over(self.figure, self.floor_figure)

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or nothing where there is no target."""
        if self.target is None:
            return ""
        if self.ratio is None:
            return "not measured"
        return "met" if self.target.met_by(self.ratio.middle) else "**missed**"

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            self.what + (f" ({self.note})" if self.note else ""),
            "not measured" if self.figure is None else str(self.figure),
            self.floor,
            "" if self.floor_figure is None else str(self.floor_figure),
            "" if self.ratio is None else str(self.ratio),
            f"{self.target or ''} {self.verdict}".strip(),
            _foreign(self.figure, self.floor_figure),
        )


HEADER = ("measured", "value", "beside", "its value", "ratio", "target", "foreign")


def table(rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [HEADER, tuple("---" for _ in HEADER), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def _foreign(*figures: Figure | None) -> str:
    known = [each.foreign for each in figures if each and each.foreign == each.foreign]
    return f"{max(known):.2f}" if known else ""
