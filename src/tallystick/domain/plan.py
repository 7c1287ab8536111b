"""The space of a sweep: exactly which points, in which order, each once (P2.2).

A point is a configuration: name and value of every parameter, in the order in which they were
declared. A grid has every combination, the last axis fastest; random search draws distinct points;
a list has the points that it names. `seeds` comes with every one of them, as the fastest axis. The
same declaration gives the same points for ever: the digest in the ledger holds them to that.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

from tallystick.domain.axes import Axis, as_sent, draw_bytes, encoded_bytes, identity, read_axis
from tallystick.domain.params import LARGEST_INTEGER, Value, checked_name, encode_value
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import InvalidError

GENERATOR: Final = 1
"""Version of the rules by which points follow from a declaration."""

MOST_POINTS: Final = 100_000
MOST_SPACE_BYTES: Final = 2_400
"""Of an entry's 4,096: for all parameters of a plan, and for those of one point."""

SEED: Final = "seed"
"""Name of the parameter that `seeds` stands for."""

STRATEGIES: Final = ("grid", "random", "list")

_DRAWS_PER_POINT: Final = 20
_MORE_DRAWS: Final = 1_000
"""Repeats are drawn again, but not for ever."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))

Point = dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A space as somebody asked for it; nothing is checked yet."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Constants, lists and ranges, by name; the forms are those of `read_axis`."""
    seeds: int | Sequence[Any] | None = None
    """So many seeds from 0, or exactly these."""
    points: Sequence[Mapping[str, Any]] | None = None
    strategy: str | None = None
    """grid, random or list; by default what the other fields make it."""
    samples: int | None = None
    """How many points random search draws."""
    seed: int | None = None
    """What it draws them from; 0 by default."""
    max_runs: int | None = None
    """Only the first so many points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A space that was checked; `declare` makes it."""

    strategy: str
    axes: tuple[Axis, ...]
    """As declared, constants included; what `seeds` stands for comes last."""
    names: tuple[str, ...]
    """Every parameter that a point may have, in the order of the command."""
    constants: Point
    turning: tuple[Axis, ...]
    """What every combination is made of, the last one fastest."""
    bases: tuple[Point, ...] | None = None
    """Points that were drawn or listed; each comes with every combination."""
    samples: int | None = None
    seed: int | None = None
    size: int
    """Points that there are."""
    count: int
    """Points that become runs: fewer where `max_runs` cuts."""

    def point(self, index: int) -> Point:
        """One point, from 0, without making those before it."""
        known, left = dict(self.constants), index
        for axis in reversed(self.turning):
            left, place = divmod(left, len(axis.values))
            known[axis.name] = axis.values[place]
        if self.bases is not None:
            known |= self.bases[left]
        return {name: known[name] for name in self.names if name in known}

    def points(self) -> Iterator[Point]:
        """All that become runs."""
        return map(self.point, range(self.count))

    @property
    def seeds(self) -> int | None:
        """How many seeds from 0 every point comes with; None where they are a list, or none."""
        last = self.axes[-1] if self.axes else None
        return len(last.values) if last is not None and _counted(last) else None

    @property
    def declared(self) -> tuple[Mapping[str, Any], ...]:
        """Its parameters as they stand in the ledger; counted seeds stand beside them."""
        return tuple(axis.declared for axis in self.axes if not _counted(axis))


def _counted(axis: Axis) -> bool:
    """Whether it stands for so many seeds from 0."""
    return axis.every and "values" not in axis.declared


def declare(asked: Declaration) -> Space:
    """The space of a declaration; raises `InvalidError` for anything that is not exact."""
    axes = [read_axis(name, given) for name, given in asked.parameters.items()]
    every = _seeds(asked)
    strategy = _strategy(asked, axes)
    if not axes and every is None and not asked.points:
        raise InvalidError(
            "parameters: expected at least one parameter, seeds or points; found none",
            code="space_empty",
            hint="a single run needs no sweep of its own: POST /runs registers it",
        )
    spaces = {"grid": _grid, "random": _random, "list": _list}
    return _within_limits(spaces[strategy](asked, axes, [] if every is None else [every]))


def declaration_of(plan: SweepPlanned, points: str | None) -> Declaration:
    """What a plan in the ledger was declared as; `points` is the text of its explicit points."""
    listed = [axis for axis in plan.axes if axis.get("every")]
    return Declaration(
        parameters={axis["name"]: as_sent(axis) for axis in plan.axes if not axis.get("every")},
        seeds=as_sent(listed[0]) if listed else plan.seeds,
        points=None if points is None else json.loads(points),
        strategy=plan.strategy,
        samples=plan.samples,
        seed=plan.seed,
        max_runs=plan.count if plan.count < plan.size else None,
    )


def digest_of(points: Iterable[Point]) -> str:
    """SHA-256 over the points, each as one line of canonical JSON (RFC 8785).

    Values are written as in the ledger: numbers with a fraction as text.
    """
    digest = hashlib.sha256()
    for point in points:
        digest.update(line_of(point))
    return digest.hexdigest()


def line_of(point: Point) -> bytes:
    """The canonical line of a point."""
    encoded = {name: encode_value(name, value) for name, value in point.items()}
    return _ENCODER.encode(encoded).encode() + b"\n"


def _strategy(asked: Declaration, axes: Sequence[Axis]) -> str:
    """What was said, or what the other fields can only mean."""
    continuous = [axis.name for axis in axes if axis.continuous]
    meant = "grid"
    if asked.points is not None:
        meant = "list"
    elif asked.samples is not None or continuous:
        meant = "random"
    strategy = asked.strategy or meant
    if strategy not in STRATEGIES:
        raise InvalidError(
            f"strategy: expected one of {', '.join(STRATEGIES)}; found {strategy[:40]!r}",
            code="strategy_invalid",
        )
    if strategy == "grid" and meant == "random" and continuous:
        raise InvalidError(
            f"parameters.{continuous[0]}: expected a range of so many values for a grid; found "
            "only its ends",
            code="strategy_invalid",
            hint='add "step" or "num" to it, or send strategy=random with samples',
        )
    _refuse_unused(asked, strategy)
    return strategy


def _refuse_unused(asked: Declaration, strategy: str) -> None:
    """What was sent and has no meaning is refused, so that nobody takes it for heard."""
    unused = {"samples": ("random",), "seed": ("random",), "points": ("list",)}
    for name, meanings in unused.items():
        if getattr(asked, name) is not None and strategy not in meanings:
            raise InvalidError(
                f"{name}: expected only with strategy={meanings[0]}; found it with {strategy}",
                code="strategy_invalid",
                hint="a parameter of the command that is called seed stands in parameters; several "
                "seeds are seeds"
                if name == "seed"
                else None,
            )


def _seeds(asked: Declaration) -> Axis | None:
    """The axis that `seeds` stands for."""
    if asked.seeds is None:
        return None
    if SEED in asked.parameters or any(SEED in point for point in asked.points or ()):
        raise InvalidError(
            "seeds: expected no parameter that is called seed beside it; found one",
            code="parameters_invalid",
            hint="send one of the two",
        )
    if isinstance(asked.seeds, int):
        if isinstance(asked.seeds, bool) or not 1 <= asked.seeds <= MOST_POINTS:
            raise InvalidError(
                f"seeds: expected 1 to {MOST_POINTS}, or a list; found {asked.seeds}",
                code="parameters_invalid",
            )
        values = tuple(range(asked.seeds))
        return Axis(name=SEED, declared={"name": SEED}, values=values, every=True)
    found = read_axis(SEED, list(asked.seeds))
    declared = {**found.declared, "every": True}
    return Axis(name=SEED, declared=declared, values=found.values, every=True)


def _grid(asked: Declaration, axes: list[Axis], every: list[Axis]) -> Space:
    """Every combination."""
    turning = [axis for axis in axes if not axis.constant] + every
    return _space("grid", asked, [*axes, *every], turning)


def _random(asked: Declaration, axes: list[Axis], every: list[Axis]) -> Space:
    """Distinct points, drawn one after another."""
    samples, seed = asked.samples, asked.seed or 0
    if samples is None or not 1 <= samples <= MOST_POINTS:
        raise InvalidError(
            f"samples: expected how many points to draw, 1 to {MOST_POINTS}; found {samples}",
            code="samples_missing" if samples is None else "parameters_invalid",
            hint='or give each range a "step" or a "num" to make a grid of it',
        )
    if not 0 <= seed <= LARGEST_INTEGER:
        raise InvalidError(
            f"seed: expected 0 to {LARGEST_INTEGER}; found {seed}", code="parameters_invalid"
        )
    drawn = _draw([axis for axis in axes if not axis.constant], samples, seed)
    return _space("random", asked, [*axes, *every], every, bases=drawn, samples=samples, seed=seed)


def _draw(axes: Sequence[Axis], samples: int, seed: int) -> tuple[Point, ...]:
    """Generator 1: draws count from 0; one that repeats an earlier point is left out."""
    distinct: dict[tuple[Any, ...], Point] = {}
    for draw in range(samples * _DRAWS_PER_POINT + _MORE_DRAWS):
        point = {axis.name: axis.draw(draw_bytes(seed, draw, axis.name)) for axis in axes}
        distinct.setdefault(tuple(identity(value) for value in point.values()), point)
        if len(distinct) == samples:
            return tuple(distinct.values())
    finite = not any(axis.continuous for axis in axes)
    there = f" of {prod(len(axis.values) for axis in axes):,} there are" if finite else ""
    raise InvalidError(
        f"samples: expected at most as many as there are distinct points; found {samples:,}, and "
        f"drew only {len(distinct):,}{there}",
        code="space_too_small",
        hint="ask for fewer, or for all of them with strategy=grid",
    )


def _list(asked: Declaration, axes: list[Axis], every: list[Axis]) -> Space:
    """Exactly the points that were named, in their order."""
    for axis in axes:
        if not axis.constant:
            raise InvalidError(
                f"parameters.{axis.name}: expected constants beside points; found an axis",
                code="strategy_invalid",
                hint="write its values into the points, or leave points out",
            )
    known = {axis.name for axis in axes}
    seen: dict[frozenset[Any], int] = {}
    bases = []
    for index, given in enumerate(asked.points or ()):
        point = _listed_point(index, given, known)
        key = frozenset((name, identity(value)) for name, value in point.items())
        first = seen.setdefault(key, index)
        if first != index:
            raise InvalidError(
                f"points[{index}]: expected every point once; it is the same as points[{first}]",
                code="duplicate_point",
                hint="one configuration is one run; to repeat points, send seeds",
            )
        bases.append(point)
    return _space("list", asked, [*axes, *every], every, bases=tuple(bases))


def _listed_point(index: int, given: Any, known: set[str]) -> Point:
    """One explicit point, checked."""
    point: Point = {}
    for name, value in given.items():
        if name in known:
            raise InvalidError(
                f"points[{index}].{name[:80]}: expected each name in parameters or in points; "
                "found it in both",
                code="parameters_invalid",
            )
        if isinstance(value, list | dict):
            raise InvalidError(
                f"points[{index}].{name[:80]}: expected one value; found a list or an object",
                code="parameters_invalid",
                hint="lists of values belong in parameters",
            )
        checked_name(name)
        point[name] = read_axis(name, value).values[0]
    return point


def _space(
    strategy: str,
    asked: Declaration,
    axes: Sequence[Axis],
    turning: Sequence[Axis],
    **more: Any,
) -> Space:
    """A space with its size, and what `max_runs` leaves of it."""
    bases: Sequence[Point] | None = more.get("bases")
    size = prod(len(axis.values) for axis in turning) * (1 if bases is None else len(bases))
    every = [axis.name for axis in axes if axis.every]
    named = {axis.name: None for axis in axes if not axis.every}
    listed = {name: None for point in bases or () for name in point}
    most = asked.max_runs
    if most is not None and most < 1:
        raise InvalidError(
            f"max_runs: expected at least 1; found {most}", code="parameters_invalid"
        )
    return Space(
        strategy=strategy,
        axes=tuple(axes),
        names=(*(named | listed), *every),
        constants={axis.name: axis.values[0] for axis in axes if axis.constant},
        turning=tuple(turning),
        size=size,
        count=size if most is None else min(size, most),
        **more,
    )


def _within_limits(space: Space) -> Space:
    """The same space; raises `InvalidError` (space_too_large, space_empty)."""
    if space.size == 0:
        raise InvalidError("points: expected at least one; found none", code="space_empty")
    if space.count > MOST_POINTS or space.size > LARGEST_INTEGER:
        raise InvalidError(
            f"parameters: expected at most {MOST_POINTS:,} points; found {space.size:,}",
            code="space_too_large",
            hint="strategy=random with samples draws some of them; max_runs takes the first ones",
        )
    size = encoded_bytes(space.declared)
    if size > MOST_SPACE_BYTES:
        raise InvalidError(
            f"parameters: expected at most {MOST_SPACE_BYTES} bytes as JSON; found {size}",
            code="space_too_large",
            hint="write long lists as a range, or send the configurations as points: those may be "
            "as many as there is room for in a request",
        )
    largest = max((len(line_of(point)) for point in space.bases or ()), default=0)
    largest += len(line_of(space.constants))
    if largest > MOST_SPACE_BYTES:
        raise InvalidError(
            f"points: expected at most {MOST_SPACE_BYTES} bytes as JSON for one point and the "
            f"constants; found {largest}",
            code="space_too_large",
            hint="put long configuration into files, and name the file in the point",
        )
    return space
