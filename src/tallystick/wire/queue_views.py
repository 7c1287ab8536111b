"""The queue, as it goes out over HTTP: who waits, in which order, why, and for what of the machine.

The docstring under a field is its description in the OpenAPI document.
"""

from dataclasses import dataclass, field

from tallystick.wire.signal_views import CapacityView, DeviceView, DrainView, ShareView


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRunView:
    """One queued run."""

    position: int | None
    """1 is next; null while something holds it up besides the others and the machine."""
    id: str
    name: str
    chat_session_id: str
    sweep_id: str | None = None
    priority: int = 0
    cpus: int | None = None
    gpus: int | None = None
    """Null: the host's default, 1 where it has any."""
    gpu_memory_mb: int | None = None
    memory_mb: int | None = None
    pinned_gpus: list[str] = field(default_factory=list)
    """Devices that the command itself names."""
    pending_reason: str
    """Why it waits, in words."""
    attempts: int = 0
    """Attempts before, when it is to be tried again."""
    queued_at: float | None = None
    retry_at: float | None = None
    """A retry does not start earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """GET /queue."""

    capacity: CapacityView
    slots_used: int
    """Active runs."""
    devices: list[DeviceView] = field(default_factory=list)
    sessions: list[ShareView] = field(default_factory=list)
    """Those with active or queued runs, the largest share first; at most 100."""
    draining: DrainView | None = None
    """Null: runs are started."""
    queued: int
    """Runs that wait in the queue, for whatever reason."""
    in_line: int
    """Those of them that have a position."""
    items: list[QueuedRunView] = field(default_factory=list)
    """By position; behind them those without one, the longest queued first."""
    next_cursor: str | None = None
    """For the next page; null at the end."""
