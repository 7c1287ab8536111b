"""Runs as columns: one list for each field, parameter, metric and summary; for big tables.

Columns have the names that filters have. Built from rows of tables alone; no series is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tallystick.api import views
from tallystick.domain import params
from tallystick.domain.run import Run
from tallystick.errors import InvalidError
from tallystick.projections.measured import Measured

DEFAULT: Final = (
    "id", "name", "status", "outcome", "exit", "sweep", "session", "created", "started", "ended",
    "duration", "starred", "tags", "note", "param.*", "metric.*", "summary.*",
)  # fmt: skip

MOST_COLUMNS: Final = 1_000
"""Of parameters, metrics and summaries, where all are asked for; the first of them."""

_NAMED: Final = {"metric": 0, "min": 1, "max": 2, "param": None, "summary": None}


@dataclass(frozen=True, slots=True)
class Row:
    """One run, with what its columns are made from."""

    run: Run
    params: Mapping[str, Any]
    ranges: Mapping[str, Sequence[Any]]
    """The last, the least and the greatest value by metric."""
    summary: Mapping[str, Any]

    def named(self, field: str) -> Mapping[str, Any]:
        """What has names of its own: parameters, metrics, summaries."""
        if field == "param":
            return self.params
        return self.summary if field == "summary" else self.ranges

    def value(self, field: str, name: str) -> Any:
        """One of those; None where the run has none."""
        found = self.named(field).get(name)
        place = _NAMED[field]
        return found if place is None or found is None else found[place]


def row_of(run: Run, known: Measured | None) -> Row:
    """A run with its numbers."""
    ranges = {} if known is None else orjson.loads(known.ranges)
    summary = {} if known is None else orjson.loads(known.summary)
    return Row(run, params.decode(run.params), ranges, summary)


def chosen(text: str | None) -> tuple[str, ...]:
    """The columns that are asked for; raises `InvalidError` (columns_invalid)."""
    if text is None or not text.strip():
        return DEFAULT
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        field, dot, rest = name.partition(".")
        if not (field in _NAMED and rest if dot else name in _PLAIN):
            raise InvalidError(
                f"columns: expected names of {', '.join(_PLAIN)}, or param.NAME, metric.NAME, "
                f"min.NAME, max.NAME, summary.NAME, where * stands for all; found {name[:60]!r}",
                code="columns_invalid",
                next_actions=("GET /runs/table?columns=id,status,param.*,metric.*",),
            )
    return names


def columns_of(
    names: Sequence[str], rows: Sequence[Row], material: views.Material
) -> dict[str, list[Any]]:
    """One list for each column, all of one length."""
    found: dict[str, list[Any]] = {}
    for name in names:
        field, _, rest = name.partition(".")
        if field not in _NAMED:
            say = _PLAIN[name]
            found[name] = [say(row.run, material) for row in rows]
            continue
        for one in names_in(row.named(field) for row in rows) if rest == "*" else [rest]:
            found[f"{field}.{one}"] = [row.value(field, one) for row in rows]
    return found


def names_in(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every name, in the order in which they come first."""
    names: dict[str, None] = {}
    for group in groups:
        names.update(dict.fromkeys(group))
    return list(names)[:MOST_COLUMNS]


def _duration(run: Run, _: views.Material) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at) / 1000


_PLAIN: Final[Mapping[str, Callable[[Run, views.Material], Any]]] = {
    "id": lambda run, _: run.id,
    "name": lambda run, material: material.text(run.name),
    "command": lambda run, material: material.text(run.command),
    "workdir": lambda run, material: material.text(run.workdir),
    "note": lambda run, material: material.text(run.note),
    "status": lambda run, _: run.status.value,
    "outcome": lambda run, _: None if run.outcome is None else run.outcome.value,
    "reason": lambda run, _: run.reason_code,
    "exit": lambda run, _: run.exit_code,
    "signal": lambda run, _: run.signal,
    "sweep": lambda run, _: run.sweep,
    "session": lambda run, _: run.session,
    "parent": lambda run, _: run.parent,
    "point": lambda run, _: run.point,
    "attempts": lambda run, _: run.attempts,
    "created": lambda run, _: views.seconds(run.created_at),
    "started": lambda run, _: views.optional_seconds(run.started_at),
    "ended": lambda run, _: views.optional_seconds(run.ended_at),
    "duration": _duration,
    "archived": lambda run, _: run.archived,
    "starred": lambda run, _: run.starred,
    "compliant": lambda run, _: not run.violations,
    "tags": lambda run, _: list(run.tags),
}
