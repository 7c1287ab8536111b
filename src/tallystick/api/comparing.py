"""Runs beside each other: what differs, and what seeds alone change."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tallystick.api import views
from tallystick.api.columns import Row, names_in
from tallystick.domain.replicates import estimate
from tallystick.domain.status import Outcome
from tallystick.intake.batch import number
from tallystick.wire.comparison import (
    ComparedMetric,
    ComparedRun,
    Comparison,
    Replicates,
    Spread,
)

MOST_COMPARED: Final = 200
_SEED: Final = re.compile(r"(?:.*[._/-])?seed", re.IGNORECASE)
_MEASURED_BY_US: Final = "system/"


def compare(
    rows: Sequence[Row],
    material: views.Material,
    *,
    metrics: Sequence[str] | None,
    seeds: Sequence[str] | None,
    more: bool,
) -> Comparison:
    """All that `POST /compare` tells of the runs."""
    names = names_in(row.params for row in rows)
    known = set(seeds) if seeds is not None else {n for n in names if _SEED.fullmatch(n)}
    different = {
        name: [row.params.get(name) for row in rows]
        for name in names
        if len({_mark(row.params, name) for row in rows}) > 1
    }
    measured = [
        name
        for name in (names_in(row.ranges for row in rows) if metrics is None else metrics)
        if metrics is not None or not name.startswith(_MEASURED_BY_US)
    ]
    return Comparison(
        runs=[_short(row, material) for row in rows],
        same={n: rows[0].params[n] for n in names if n not in different},
        different=different,
        metrics={name: _side_by_side(rows, name) for name in measured},
        seeds=[name for name in names if name in known],
        groups=_groups(rows, [n for n in names if n not in known], set(different), measured),
        more=more,
    )


def _mark(values: Mapping[str, Any], name: str) -> bytes:
    """A value, told from every other: 1, 1.0, true and "1" are four."""
    return orjson.dumps(values[name]) if name in values else b""


def _short(row: Row, material: views.Material) -> ComparedRun:
    run = row.run
    took = None
    if run.started_at is not None and run.ended_at is not None:
        took = (run.ended_at - run.started_at) / 1000
    return ComparedRun(
        id=run.id,
        name=material.text(run.name),
        status=run.status,
        outcome=run.outcome,
        sweep_id=run.sweep,
        duration_seconds=took,
    )


def _side_by_side(rows: Sequence[Row], name: str) -> ComparedMetric:
    return ComparedMetric(
        last=[row.value("metric", name) for row in rows],
        min=[row.value("min", name) for row in rows],
        max=[row.value("max", name) for row in rows],
    )


def _groups(
    rows: Sequence[Row], names: Sequence[str], different: set[str], metrics: Sequence[str]
) -> list[Replicates]:
    """Runs with the same parameters but for seeds, in the order of their first."""
    found: dict[tuple[bytes, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(_mark(row.params, name) for name in names), []).append(row)
    groups = []
    for members in found.values():
        good = [row for row in members if row.run.outcome is Outcome.SUCCEEDED]
        groups.append(
            Replicates(
                params={name: members[0].params.get(name) for name in names if name in different},
                runs=[row.run.id for row in members],
                left_out=[row.run.id for row in members if row not in good],
                metrics={
                    name: spread
                    for name in metrics
                    if (spread := _spread([row.value("metric", name) for row in good])) is not None
                },
            )
        )
    return groups


def _spread(values: Sequence[Any]) -> Spread | None:
    numbers = [value for told in values if (value := number(told)) is not None]
    found = estimate(numbers)
    if found is None:
        return None
    interval = None if found.interval is None else list(found.interval)
    return Spread(n=found.n, mean=found.mean, sd=found.sd, interval=interval)
