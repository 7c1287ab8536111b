"""Answers about alerts, budgets and the events of a session.

Times are Unix seconds as floats, absent ones null. The docstring under a field is its description
in the OpenAPI document.
"""

from dataclasses import dataclass, field

from tallystick.wire.views import Receipt
from tallystick.wire.views import Warning as Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceView:
    """One answer that can be given."""

    label: str
    action: str
    """continue, stop or note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert."""

    id: str
    run_id: str
    sweep_id: str | None = None
    timestamp: float
    """When it was raised."""
    severity: str
    """info, warning or critical."""
    message: str
    choices: list[str] = field(default_factory=list)
    options: list[ChoiceView] = field(default_factory=list)
    """The same choices, with what each stands for."""
    status: str
    """pending or resolved."""
    response: str | None = None
    """The choice that was made."""
    action: str | None = None
    """continue, stop or note; null until somebody answered."""
    note: str | None = None
    responded_at: float | None = None
    responded_by: str | None = None
    """Role of whoever answered."""
    session_id: str | None = None
    auto_session: bool = False
    """Always false: no session is opened because of an alert."""
    source: str
    """job, client or rule."""
    raised_by: str
    """Role of the token that raised it."""
    seq: int
    """Ledger position of its entry."""
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised:
    """POST /runs/{id}/alerts."""

    alert_id: str
    alert: AlertView
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAnswered:
    """POST /alerts/{id}/respond."""

    message: str
    already: bool = False
    """Whether it had been answered so before, and nothing changed."""
    alert: AlertView
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """A page of alerts."""

    items: list[AlertView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One thing that happened in a session."""

    id: str
    """Send it to `/resolve` when it was heard."""
    type: str
    """alert, run_complete, sweep_complete, sweep_paused or budget."""
    title: str
    detail: str | None = None
    run_id: str | None = None
    sweep_id: str | None = None
    created_at: float
    """When it happened, not when it is told."""
    alert_id: str | None = None
    """What to answer, of an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of events."""

    items: list[EventView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """POST /wild/v2/events/{session}/resolve."""

    resolved: int
    """How many were not acknowledged before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """One limit and what of it is used; runs as a number, times in hours."""

    limit: float | None = None
    """Null: unlimited."""
    used: float = 0.0
    share: float | None = None
    """`used` of `limit`; 1 is all of it."""
    warned: bool = False
    """Whether the 80 % were told."""
    reached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """What a sweep or a session may use, and what it has used."""

    scope: str
    """Id of a sweep, or `session:` and the id of a session."""
    sweep_id: str | None = None
    session_id: str | None = None
    action: str = "refuse"
    """refuse or stop."""
    runs: BudgetUse = field(default_factory=BudgetUse)
    gpu_hours: BudgetUse = field(default_factory=BudgetUse)
    wall_hours: BudgetUse = field(default_factory=BudgetUse)
    set_at: float | None = None
    """Null: nobody ever set one."""
    already: bool = False
    """Whether it was set so before, and nothing changed."""
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """One GPU."""

    id: str
    index: int
    name: str = ""
    memory_mb: int = 0
    state: str
    """free, leased, held (by somebody else, or because it cannot be used), or withheld: beyond the
    `gpu_count` that people allowed."""
    run_id: str | None = None
    """The run that it is leased to."""
    attempt_id: str | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareView:
    """What one session has of the machine now."""

    session_id: str
    running: int
    """Its active runs."""
    queued: int
    devices: int
    """GPUs leased to its runs."""
    share: float
    """The larger of its part of the places and of its part of the GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityView:
    """All that runs can be given, busy or not."""

    slots: int
    """Runs at a time."""
    cpus: int
    memory_mb: int
    """0 where nobody knows."""
    gpus: int
    """GPUs that may be handed out: the first of them, when people allowed fewer than there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainView:
    """Since when nothing is started, and why."""

    since: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHealth:
    """GET /wild/v2/system-health: the truth under the old names, and what they leave out."""

    running: int
    """Launching ones included: they hold their place."""
    queued: int
    """Queued and ready, as older agents count."""
    completed: int
    failed: int
    total: int
    """Archived runs left out, here and in every list."""
    max_concurrent: int
    launching: int
    ready: int
    waiting_in_queue: int
    stopped: int
    free: int
    """How many more runs could start now; 0 while draining."""
    capacity: CapacityView
    devices: list[DeviceView] = field(default_factory=list)
    free_devices: int = 0
    leased_devices: int = 0
    held_devices: int = 0
    """By somebody else."""
    queue_depth: int = 0
    """Runs that wait in the queue."""
    sessions: list[ShareView] = field(default_factory=list)
    """Those with active or queued runs, the largest share first; at most 100."""
    ledger_size: int = 0
    """Entries."""
    disk_free_bytes: int | None = None
    """On the disk of the data directory."""
    draining: DrainView | None = None
    """Null: runs are started."""
