"""Answers that only HTTP has; nouns are in `tallystick.wire.views`.

The docstring under a field is its description in the OpenAPI document.
"""

from dataclasses import dataclass, field
from typing import Any

from tallystick.wire.signal_views import DrainView
from tallystick.wire.views import Receipt, RunView, SessionView, SweepView, TokenView
from tallystick.wire.views import Warning as Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """No field: an empty body, or `{}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """GET /health."""

    status: str
    """ok, or read_only when the ledger does not verify and nothing is written any more."""
    service: str
    version: str
    workdir: str
    """Where runs start that name no working directory."""
    ledger_size: int
    """Entries in the ledger."""
    ledger_origin: str
    reason: str | None = None
    """Why it is read_only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillView:
    """One protocol text (P7.6)."""

    id: str
    name: str
    description: str
    template: str
    """The text itself, Markdown."""
    category: str
    variables: list[str]
    built_in: bool
    internal: bool
    sha256: str
    """Digest of SKILL.md, as it stands in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One file of a protocol text."""

    name: str
    path: str
    type: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """The content of one file."""

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMoved(RunView):
    """The run after a call about it, with what the call did."""

    message: str
    already: bool = False
    """Whether it was so already, and nothing changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArchiving:
    """Answer of archive and unarchive."""

    message: str
    id: str
    run: RunView
    already: bool = False
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of runs."""

    items: list[RunView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPage:
    """A page of sweeps."""

    items: list[SweepView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """A page of sessions."""

    items: list[SessionView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPage:
    """A page of tokens."""

    items: list[TokenView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One point of a series; numbers that are not finite are the texts NaN, Infinity, -Infinity."""

    step: int | float | str
    value: int | float | str
    time: float | None = None
    """Unix seconds, where the source says; left out where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsView:
    """GET /runs/{id}/metrics; an empty object when nothing was measured."""

    metricSeries: dict[str, list[MetricPoint]] = field(default_factory=dict)  # noqa: N815
    """Points by metric name, in the order in which they came."""
    metricKeys: list[str] = field(default_factory=list)  # noqa: N815
    lossHistory: list[dict[str, Any]] = field(default_factory=list)  # noqa: N815
    """step, trainLoss, valLoss; only what was measured."""
    metrics: dict[str, int | float | str] = field(default_factory=dict)
    """The last value of each metric; loss, accuracy and epoch under these names too."""
    sampled: bool = False
    """Whether points were left out: a series was thinned (its lowest, highest and odd points stay),
    or there are more series than one answer tells; `keys` asks for some by name."""
    sampledKeys: list[str] = field(default_factory=list)  # noqa: N815
    untold_keys: int = 0
    """How many series of `metricKeys` are not in `metricSeries`."""
    rows: int = 0
    unsteppedRows: int = 0  # noqa: N815
    """Rows without a step; their position stands in for it."""
    unread_rows: int = 0
    """Lines that are no JSON object in Unicode; left out."""
    otherKeys: list[str] = field(default_factory=list)  # noqa: N815
    """Keys that held something else than a number; kept, and not shown here."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the run said of itself with `tallystick.summary`."""
    read_bytes: int = 0
    """Bytes of the streams that this answer is made from."""
    total_bytes: int = 0
    """Bytes of the streams when it was asked for; more while the index is behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """POST /runs/{id}/metrics, once the rows are on disk."""

    appended: int
    """Rows of this batch."""
    total_bytes: int
    """Size of the run's file of posted rows."""
    replayed: bool = False
    """Whether the batch was there already, by its Idempotency-Key."""
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """POST /attempts/{id}/observations: what a supervisor saw, in order."""

    observations: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Observations up to this number are in the ledger, or carry no fact."""

    acknowledged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """How many bytes of the attempt's metrics the server has; go on from there."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDetails:
    """What was looked at."""

    signals: list[str] = field(default_factory=list)
    slurm_nodes: int | None = None
    kubernetes_nodes: int | None = None
    ssh_hosts: int | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Whatever else people wanted to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where attempts run."""

    type: str
    """cpu_only or local_gpu where it was found; what people said comes first."""
    status: str
    source: str
    """detected or manual."""
    label: str
    description: str
    head_node: str | None = None
    node_count: int | None = None
    gpu_count: int | None = None
    """GPUs that are handed out: those there are, or fewer where people said so."""
    notes: str | None = None
    confidence: float | None = None
    details: ClusterDetails = field(default_factory=ClusterDetails)
    last_detected_at: float | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Runs by status, archived ones left out."""

    total: int
    running: int
    launching: int
    queued: int
    ready: int
    failed: int
    finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """GET /cluster."""

    cluster: Cluster
    run_summary: RunSummary
    draining: DrainView | None = None
    """Since when nothing is started, and why; null while runs are started."""
    already: bool = False
    """Whether it was so already, and nothing changed."""
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """RFC 6962 proof that an entry is in the tree of `size` entries; hashes are base64."""

    seq: int
    size: int
    leaf_hash: str
    """64 hex digits."""
    hashes: list[str]
    checkpoint: str
    """The newest signed checkpoint; `size` is its size unless another was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """RFC 6962 proof that the tree of `old` entries begins the tree of `new`; base64 hashes."""

    old: int
    new: int
    hashes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """Entries as they were hashed."""

    entries: list[dict[str, Any]]
    next_after: int
    """Send it as `after`."""
    size: int
    """Entries in the ledger."""
