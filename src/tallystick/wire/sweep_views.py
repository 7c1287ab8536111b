"""Answers of the calls about sweeps that have more than a sweep in them."""

from dataclasses import dataclass, field
from typing import Any

from tallystick.wire.views import PlanView, Receipt, SweepView
from tallystick.wire.views import Warning as Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepMoved:
    """Answer of start, stop, resume, archive and unarchive."""

    message: str
    sweep_id: str
    already: bool = False
    """Whether it was so already, and nothing changed."""
    sweep: SweepView
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCommand:
    """What one point of a space would be executed as."""

    name: str
    command: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """Answer of POST /sweeps/preview: nothing was created."""

    plan: PlanView
    runs: list[PlannedCommand] = field(default_factory=list)
    """The first ten."""
    warnings: list[Notice] = field(default_factory=list)
