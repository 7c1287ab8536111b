"""The facts about sweeps; `events` gathers them with all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tallystick.domain.demands import Demands
from tallystick.domain.ids import RequestMark, SessionId, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCreated:
    """A container for related runs (P2.1)."""

    type: ClassVar[str] = "sweep.created"
    name: Text
    goal: Text | None = None
    wild: bool
    draft: bool = False
    parallel: int | None = None
    """Runs of it at a time; None: as many as there is room for."""
    violations: tuple[str, ...] = ()
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAttributed:
    """A sweep that came with a placeholder got its session from its first real run (P1.3)."""

    type: ClassVar[str] = "sweep.attributed"
    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlanned:
    """The exact set of points, before the first run of it exists (P2.2).

    A later plan, while there are no runs, replaces an earlier one. Values are written as
    parameters are.
    """

    type: ClassVar[str] = "sweep.planned"
    strategy: str
    """grid, random or list."""
    axes: tuple[Mapping[str, Any], ...] = ()
    """Every parameter in its order (an object's keys have none in the ledger), each with `name`
    and `value`, `values`, or the range that its values come from."""
    seeds: int | None = None
    """Size of the axis `seed`, the last one."""
    seed: int | None = None
    """What the random points are drawn from."""
    samples: int | None = None
    """How many random points were asked for."""
    points: Text | None = None
    """Explicit points, as a JSON list of objects."""
    generator: int
    """Version of the rules by which points follow from the plan."""
    count: int
    """Points that become runs."""
    size: int
    """Points of the whole space; more than `count` where `max_runs` cut it."""
    digest: str
    """SHA-256 of the canonical list of the `count` points."""
    command: Text
    workdir: Text
    environment: Text | None = None
    placement: str
    """How values reach the command: flag, placeholder or environment."""
    demands: Demands = field(default_factory=Demands)
    tags: tuple[str, ...] = ()
    ui_config: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMaterialised:
    """A draft became real: its runs are registered from now on."""

    type: ClassVar[str] = "sweep.materialised"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """Everything that is ready, and everything still to be registered, is queued."""

    type: ClassVar[str] = "sweep.started"
    parallel: int | None = None
    """Runs of it at a time; None leaves it as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStopped:
    """Everything that was queued or active is ended, and no further point is registered."""

    type: ClassVar[str] = "sweep.stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResumed:
    """What is missing, failed, lost or was stopped is executed; what succeeded is not."""

    type: ClassVar[str] = "sweep.resumed"
    parallel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPaused:
    """Its last runs failed the same way within seconds: no further one is started."""

    type: ClassVar[str] = "sweep.paused"
    reason_code: str
    failures: int
    outcome: str
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEdited:
    """Name or goal changed, with old and new value."""

    type: ClassVar[str] = "sweep.edited"
    name: Text | None = None
    goal: Text | None = None
    old_name: Text | None = None
    old_goal: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepArchived:
    """Out of the ordinary lists."""

    type: ClassVar[str] = "sweep.archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepUnarchived:
    """Back in the ordinary lists."""

    type: ClassVar[str] = "sweep.unarchived"


SweepEvent = (
    SweepAttributed
    | SweepPlanned
    | SweepMaterialised
    | SweepStarted
    | SweepStopped
    | SweepResumed
    | SweepPaused
    | SweepEdited
    | SweepArchived
    | SweepUnarchived
)
"""What can follow `sweep.created` in a sweep's stream."""
