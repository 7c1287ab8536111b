"""Bodies that go out over HTTP, by noun. Names are those that agents already read; ours are added.

Times are Unix seconds as floats, absent ones null. The docstring under a field is its description
in the OpenAPI document.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:  # noqa: A001 - the word on the wire; nothing here raises Python's
    """Something that was accepted, and should be mended."""

    code: str
    """Stable: session_placeholder, session_missing, sweep_missing, unknown_field, R101, …"""
    detail: str
    """What was found, and what works."""
    name: str | None = None
    """The code in words, of those that are numbers: `no-seed` of R101."""
    hint: str | None = None
    """What to do instead, where `detail` does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The agent's half of the stick (P6.3)."""

    seq: int
    """Position of the entry in the ledger."""
    leaf_hash: str
    """RFC 6962 leaf hash of the entry, 64 hex digits."""
    checkpoint: str
    """Signed tree head (C2SP checkpoint) that covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitView:
    """What the command ran from."""

    head: str | None = None
    branch: str | None = None
    tree: str | None = None
    """Object id of the exact working tree."""
    missing: str | None = None
    """Why something is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputProgress:
    """What a progress bar said (tqdm, rich, Lightning, Keras)."""

    fraction: float
    """From 0 to 1, of that bar: a bar for one epoch begins anew with the next."""
    eta_seconds: float | None
    """By its own estimate, from now on; null while it has none."""
    label: str
    """What stands before it."""
    said_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run."""

    id: str
    name: str
    command: str
    command_truncated: bool = False
    """In lists a command is cut at 4,096 characters."""
    workdir: str
    status: str
    """ready, queued, launching, running, finished, failed or stopped."""
    outcome: str | None = None
    """succeeded, failed, cancelled, timed_out, out_of_memory or lost; null until the end."""
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    """Why it is where it is, in words."""
    reason_code: str | None = None
    error: str | None = None
    """The reason again when the run failed, under the name that older agents read."""
    sweep_id: str | None = None
    chat_session_id: str | None = None
    parent_run_id: str | None = None
    origin_alert_id: str | None = None
    gpuwrap_config: dict[str, Any] | None = None
    cpus: int | None = None
    gpus: int | None = None
    """How many it asks for; null: one where the host has any."""
    gpu_memory_mb: int | None = None
    memory_mb: int | None = None
    priority: int = 0
    timeout_seconds: float | None = None
    retries: int = 0
    retry_on: list[str] = field(default_factory=list)
    retry_delay_seconds: float = 0
    tags: list[str] = field(default_factory=list)
    depends_on: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    """GPUs leased to its newest attempt, by UUID."""
    point: int | None = None
    """Its place in the plan of its sweep, from 0."""
    sweep_params: dict[str, Any] | None = None
    """The parameters of a planned run, under the name that older agents read."""
    params: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] | None = None
    """Redacted; only in GET /runs/{id}."""
    violations: list[str] = field(default_factory=list)
    """Rules of the protocol that the registration broke."""
    compliant: bool = True
    created_by: str | None = None
    """Role of the token that registered it."""
    created_at: float
    queued_at: float | None = None
    launched_at: float | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    ended_at: float | None = None
    starred: bool = False
    note: str | None = None
    """What somebody wrote to it; Markdown."""
    is_archived: bool = False
    archived_at: float | None = None
    attempt: str | None = None
    attempts: int = 0
    run_dir: str | None = None
    git: GitView | None = None
    interpreter: str | None = None
    interpreter_version: str | None = None
    limit_missing: str | None = None
    """Why a limit that was asked for cannot be kept on this host."""
    queue_position: int | None = None
    """1 is next; only while queued."""
    pending_reason: str | None = None
    """Why it has not started, in words; only while ready or queued."""
    retry_at: float | None = None
    """The next attempt waits until then."""
    seq: int
    """Ledger position of its registration."""
    changed_seq: int
    """Ledger position of its newest entry."""
    tmux_window: str | None = None
    """Always null: runs are supervised, not typed into a terminal."""
    wandb_dir: str | None = None
    output_progress: OutputProgress | None = None
    """What the last progress bar in its output says; only while it runs, and not in a list."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Last values by metric name, without `system/…`; in a list, of the first 20 metrics."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the run said of itself with `tallystick.summary`."""
    logged_params: dict[str, Any] = field(default_factory=dict)
    """Parameters that a client inside the job logged; not in a list."""
    logged_tags: dict[str, Any] = field(default_factory=dict)
    """Tags likewise."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What a client said about the status: recorded, and not believed (P3.5)."""
    receipt: Receipt | None = None
    warnings: list[Warning] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Runs of a sweep by status, under the names that agents read."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    running: int = 0
    launching: int = 0
    ready: int = 0
    queued: int = 0
    canceled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """The exact set of points of a sweep, as the ledger has it (P2.2)."""

    strategy: str
    """grid, random or list."""
    count: int
    """Points that become runs."""
    size: int
    """Points that there are; more than `count` where max_runs cut them."""
    digest: str
    """SHA-256 over the points, a line of canonical JSON each; 64 hex digits."""
    generator: int
    """Version of the rules by which points follow from the declaration."""
    axes: list[dict[str, Any]] = field(default_factory=list)
    """Every parameter in its order: `name`, and `value`, `values` or its range."""
    seeds: Any = None
    """A number n for seeds 0 to n-1, or a list of them."""
    samples: int | None = None
    seed: int | None = None
    placement: str = "flag"
    tags: list[str] = field(default_factory=list)
    seq: int | None = None
    """Ledger position of the plan; null for a preview."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepView:
    """One sweep; status and progress follow from its runs (P2.3)."""

    id: str
    name: str
    goal: str | None = None
    is_wild: bool = True
    status: str
    """draft, pending, running, completed, failed or canceled."""
    progress: Progress = field(default_factory=Progress)
    run_ids: list[str] = field(default_factory=list)
    """Oldest first, at most 1,000; in lists at most 50."""
    run_ids_truncated: bool = False
    chat_session_id: str | None = None
    violations: list[str] = field(default_factory=list)
    compliant: bool = True
    created_by: str | None = None
    created_at: float
    started_at: float | None = None
    completed_at: float | None = None
    is_archived: bool = False
    archived_at: float | None = None
    base_command: str | None = None
    """In lists cut at 4,096 characters."""
    workdir: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    """As they were sent: constants, lists and ranges by name."""
    max_runs: int | None = None
    """Where it cut the space; null where all points become runs."""
    ui_config: dict[str, Any] | None = None
    """Only in GET /sweeps/{id}."""
    plan: PlanView | None = None
    """Null for a sweep whose runs are registered one by one."""
    parallel: int | None = None
    """Runs of it at a time; null: as many as there is room for."""
    planned: int = 0
    """Points of its plan."""
    registered: int = 0
    """Points that are runs by now."""
    paused: bool = False
    """Nothing more is started because its runs failed the same way, until it is resumed."""
    reason: str | None = None
    """What it waits for, or what is being done for it, in words."""
    creation_context: dict[str, Any] = field(default_factory=dict)
    seq: int
    receipt: Receipt | None = None
    warnings: list[Warning] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """One agent conversation and what it did (P1.1)."""

    id: str
    opened_at: float
    last_at: float
    sweeps: int = 0
    runs: Progress = field(default_factory=Progress)
    violations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """One token, without its secret."""

    id: str
    role: str
    session: str | None = None
    run: str | None = None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    token: str | None = None
    """The secret, once, in the answer that created it."""
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The policy in force (P1.2)."""

    session: str
    sweep: str
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """A page of output; offsets and sizes are bytes of the file, exactly."""

    content: str
    offset: int
    next_offset: int
    """Where the next page begins; never inside a UTF-8 character."""
    total_size: int
    has_more_before: bool
    has_more_after: bool
