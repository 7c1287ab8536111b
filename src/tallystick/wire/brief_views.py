"""What an agent is told that comes back to its session: a short text, and the same as fields.

Times are Unix seconds as floats, absent ones null. The docstring under a field is its description
in the OpenAPI document. Every text that came with a run, a sweep or an alert is one line without
control characters, and cut.
"""

from dataclasses import dataclass, field

from tallystick.wire.views import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefSweep:
    """One sweep of the session."""

    id: str
    name: str
    goal: str | None = None
    status: str
    runs: Progress = field(default_factory=Progress)
    planned: int = 0
    """Points of its plan; 0 without one."""
    reason: str | None = None
    """What it waits for, in words; null when all is as asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefFailure:
    """Runs that failed for one reason."""

    cause: str
    count: int
    """Among the newest runs that were looked at."""
    run_id: str
    """The newest of them."""
    name: str
    outcome: str
    detail: str | None = None
    """What its end said, cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefRun:
    """One run that goes on or waits."""

    id: str
    name: str
    status: str
    sweep_id: str | None = None
    started_at: float | None = None
    reason: str | None = None
    """Why it waits, or what is being done with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefAlert:
    """One alert that nobody has answered."""

    id: str
    run_id: str
    severity: str
    message: str
    choices: list[str] = field(default_factory=list)
    """Answer with one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefBudget:
    """One limit of the session or of a sweep of it: runs as a number, times in hours."""

    scope: str
    kind: str
    """runs, gpu_hours or wall_hours."""
    limit: float
    used: float
    left: float
    """Never less than 0."""
    reached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefDecision:
    """One command of the session that the guard acted on."""

    id: str
    action: str
    """converted, denied, warned, excepted or failed."""
    command: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefView:
    """GET /sessions/{session}/brief."""

    session_id: str
    text: str
    """All of it in at most 2,000 characters, for an agent whose context was compacted."""
    opened_at: float
    last_at: float
    runs: Progress = field(default_factory=Progress)
    """Every run of the session, by status."""
    sweep_count: int = 0
    violations: int = 0
    """Requests that were marked non-compliant."""
    sweeps: list[BriefSweep] = field(default_factory=list)
    """The newest."""
    failures: list[BriefFailure] = field(default_factory=list)
    """By cause, the most frequent first."""
    failures_looked_at: int = 0
    """Failed runs that were grouped; when `runs.failed` is more, older ones were left out."""
    running: list[BriefRun] = field(default_factory=list)
    """The oldest first."""
    waiting: list[BriefRun] = field(default_factory=list)
    """One of each kind that waits for the same things."""
    alerts: list[BriefAlert] = field(default_factory=list)
    """The newest that nobody has answered."""
    budgets: list[BriefBudget] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)
    """What the guard did with commands of this session, counted by action, the newest of them."""
    acted_on: list[BriefDecision] = field(default_factory=list)
    """The newest of them that did not become runs."""
    next: list[str] = field(default_factory=list)
    """Calls to make now."""
