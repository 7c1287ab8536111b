"""Runs beside each other, on the wire."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRuns:
    """POST /compare: by ids, or by a filter."""

    runs: list[str] = field(default_factory=list, metadata={"schema": {"maxItems": 200}})
    """At most 200."""
    filter: str | None = field(default=None, metadata={"schema": {"maxLength": 2_000}})
    """Instead of ids: the grammar of `GET /runs?filter=`; the first 200 that match."""
    sort: str | None = field(default=None, metadata={"schema": {"maxLength": 200}})
    """The order of those, as in `GET /runs?sort=`."""
    metrics: list[str] | None = field(default=None, metadata={"schema": {"maxItems": 200}})
    """Only these; all by default, `system/…` left out."""
    seeds: list[str] | None = field(default=None, metadata={"schema": {"maxItems": 16}})
    """Parameters that only repeat a trial; by default those named `seed` or `…_seed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One of the runs, short."""

    id: str
    name: str | None = None
    status: str
    outcome: str | None = None
    sweep_id: str | None = None
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric of all the runs; each list in their order, null where a run has none."""

    last: list[Any]
    min: list[Any]
    max: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What replicates say of the last value of a metric."""

    n: int
    """Runs that succeeded and have a finite value."""
    mean: float
    sd: float | None = None
    """Sample standard deviation; null for one run."""
    interval: list[float] | None = None
    """Of the mean, by Student's t at 95 %; null for one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """Runs that differ by their seeds alone."""

    params: dict[str, Any] = field(default_factory=dict)
    """Of those that differ between groups; the seed left out."""
    runs: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Those of them that did not succeed; no spread counts them."""
    metrics: dict[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer of POST /compare."""

    runs: list[ComparedRun] = field(default_factory=list)
    same: dict[str, Any] = field(default_factory=dict)
    """Parameters that are the same in all of them."""
    different: dict[str, list[Any]] = field(default_factory=dict)
    """Parameters that are not: a list in the order of the runs, null where a run has none."""
    metrics: dict[str, ComparedMetric] = field(default_factory=dict)
    seeds: list[str] = field(default_factory=list)
    """Parameters that were taken for seeds."""
    groups: list[Replicates] = field(default_factory=list)
    more: bool = False
    """Whether more runs match the filter than are compared."""
