"""The facts that call for somebody: alerts, budgets, and what people say about the machine."""

from dataclasses import dataclass
from typing import ClassVar

from tallystick.domain.ids import RequestMark, RunId, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised:
    """A run, a person or a rule asks somebody to look; supervision never waits for the answer."""

    type: ClassVar[str] = "alert.raised"
    run: RunId
    severity: str
    """info, warning or critical."""
    message: Text
    choices: Text
    """JSON list of {"label", "action"}."""
    source: str
    """job, client or rule."""
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAnswered:
    """Somebody chose; what follows from it is in the run's own stream."""

    type: ClassVar[str] = "alert.answered"
    choice: Text
    action: str
    """continue, stop or note."""
    note: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSet:
    """What a session or a sweep may use, whole; absent is unlimited. Set by people only."""

    type: ClassVar[str] = "budget.set"
    runs: int | None = None
    gpu_ms: int | None = None
    """GPU time, in milliseconds of one device."""
    wall_ms: int | None = None
    """Milliseconds since the first run of it started."""
    action: str = "refuse"
    """refuse: nothing more is started; stop: what is active ends, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarned:
    """80 % are used."""

    type: ClassVar[str] = "budget.warned"
    kind: str
    """runs, gpu or wall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached:
    """All of it is used."""

    type: ClassVar[str] = "budget.reached"
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSet:
    """What people say that the server runs on, whole."""

    type: ClassVar[str] = "cluster.set"
    kind: str | None = None
    """unknown, slurm, local_gpu, cpu_only, kubernetes, ray or shared_head_node."""
    status: str | None = None
    source: str = "manual"
    head_node: Text | None = None
    node_count: int | None = None
    gpu_count: int | None = None
    """At most so many devices are handed out."""
    notes: Text | None = None
    details: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDrained:
    """Nothing is started until it is undrained; what runs goes on."""

    type: ClassVar[str] = "cluster.drained"
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUndrained:
    """Queued runs are started again."""

    type: ClassVar[str] = "cluster.undrained"


SignalEvent = (
    AlertRaised
    | AlertAnswered
    | BudgetSet
    | BudgetWarned
    | BudgetReached
    | ClusterSet
    | ClusterDrained
    | ClusterUndrained
)
