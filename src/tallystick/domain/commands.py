"""The wishes: what can be asked of the one road in. Imperative, frozen, nothing but data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tallystick.domain.demands import Demands
from tallystick.domain.events import MintedToken
from tallystick.domain.guard_commands import GuardCommand
from tallystick.domain.ids import (
    AlertId,
    AttemptId,
    Enforcement,
    RequestMark,
    Role,
    RunId,
    SessionId,
    SweepId,
    Text,
    TokenId,
)
from tallystick.domain.status import StopReason
from tallystick.domain.sweep_events import SweepPlanned


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLedger:
    """Write the first entry; asked once at every start, accepted once."""

    origin: str
    vkey: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """Make a token known by its hash."""

    token: TokenId
    role: Role
    sha256: str
    session: SessionId | None = None
    expires_at: int | None = None
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeToken:
    """Close a token for good."""

    token: TokenId


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPolicy:
    """Change the compliance policy; absent fields stay (P1.2)."""

    session: Enforcement | None = None
    sweep: Enforcement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishProtocol:
    """Record the digest of a protocol text as it is served now (P7.6)."""

    skill: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSweep:
    """Create a container for runs (P2.1), with its plan when it has one (P2.2)."""

    sweep: SweepId
    name: Text
    goal: Text | None = None
    wild: bool = True
    draft: bool = False
    plan: SweepPlanned | None = None
    start: bool = False
    """Queue its runs as they are registered."""
    parallel: int | None = None
    session: str | None = None
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSweep:
    """Change name, goal or, while it has no runs, the plan; then perhaps leave the draft."""

    sweep: SweepId
    name: Text | None = None
    goal: Text | None = None
    plan: SweepPlanned | None = None
    plan_base: int | None = None
    """The entry of the plan that `plan` takes fields over from; None for none."""
    materialise: bool = False
    start: bool = False
    """Start it as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSweep:
    """Queue what is ready and what is still to be registered; repeating it is harmless."""

    sweep: SweepId
    parallel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSweep:
    """End what is queued or active, register nothing more; repeating it is harmless."""

    sweep: SweepId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSweep:
    """Execute what is missing, failed, lost or was stopped."""

    sweep: SweepId
    parallel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSweep:
    """The breaker: nothing more is started when its last `failures` runs failed the same way.

    Asked by the scheduler before it starts a run of a sweep whose `streak` is that long; nothing
    happens when the streak has been broken meanwhile.
    """

    sweep: SweepId
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSweep:
    """Take it out of the ordinary lists."""

    sweep: SweepId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnarchiveSweep:
    """Put it back."""

    sweep: SweepId


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One point of a plan, on its way to become a run."""

    run: RunId
    name: Text
    command: Text
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    environment: Text | None = None
    """Instead of the plan's, when the point's values are variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPoints:
    """Register the next points of a plan, all or none; nothing when they are registered already."""

    sweep: SweepId
    first: int
    """Index of the first of them; must be how many are registered."""
    runs: tuple[PlannedRun, ...]
    plan_seq: int | None
    """The entry of the plan that they follow from; nothing happens when it was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterRun:
    """Register one trial, and queue it when `start` is set (P3.1, P3.2)."""

    run: RunId
    name: Text
    command: Text
    workdir: Text
    sweep: SweepId | None = None
    environment: Text | None = None
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    parent: RunId | None = None
    origin_alert: str | None = None
    gpuwrap: Text | None = None
    demands: Demands = field(default_factory=Demands)
    tags: tuple[str, ...] = ()
    depends_on: tuple[RunId, ...] = ()
    session: str | None = None
    session_of_sweep: bool = False
    """Fall back to the sweep's session when the request names none."""
    start: bool = False
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRun:
    """Change a run that has not started (P3.4)."""

    run: RunId
    name: Text | None = None
    command: Text | None = None
    workdir: Text | None = None
    demands: Demands | None = None
    demands_base: Demands | None = None
    """What `demands` takes fields over from; they are refused when it has changed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRun:
    """Let the queue start it; repeating it is harmless."""

    run: RunId
    of_start: int | None = None
    """The entry that started its sweep, when the planner asks for it; nothing happens when the
    sweep was stopped or started again meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequeueRun:
    """Execute an ended run once more, for its sweep was resumed; one that succeeded is left."""

    run: RunId
    of_start: int | None = None
    """As in `QueueRun`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRun:
    """Everything that a queued run depends on has succeeded."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class FailDependency:
    """A run that this one depends on has ended without success, so it never starts."""

    run: RunId
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRun:
    """Put it into another sweep."""

    run: RunId
    sweep: SweepId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRun:
    """End it in whatever state it is; repeating it is harmless."""

    run: RunId
    why: StopReason | None = None
    """What asks for it, where that is not a request for this very run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRun:
    """Take it out of the ordinary lists."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnarchiveRun:
    """Put it back."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateRun:
    """Tag it, star it, write a note to it; what is None stays as it is."""

    run: RunId
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    starred: bool | None = None
    note: Text | None = None
    """In place of the one before; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignAttempt:
    """The scheduler's decision to execute a queued run."""

    run: RunId
    attempt: AttemptId
    backend: str
    run_token: MintedToken
    supervisor_token: MintedToken
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSubmission:
    """The backend's handle, after the effect."""

    run: RunId
    attempt: AttemptId
    native: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStarted:
    """The supervisor saw the command start."""

    run: RunId
    attempt: AttemptId
    n: int
    at: int
    git_head: str | None = None
    git_tree: str | None = None
    git_branch: Text | None = None
    git_missing: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDescribed:
    """The supervisor gathered facts beside the command."""

    run: RunId
    attempt: AttemptId
    n: int
    context: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSealed:
    """A growing stream has these first bytes; `n` is absent when the server itself sealed it."""

    run: RunId
    attempt: AttemptId
    n: int | None = None
    stream: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEnded:
    """Nothing of the run is alive, by the supervisor's word."""

    run: RunId
    attempt: AttemptId
    n: int
    at: int
    cause: str
    code: str | None = None
    """What tells one cause from its like: which memory was out, why a command was refused."""
    exit_code: int | None = None
    signal: int | None = None
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSupervisorLost:
    """The supervisor is gone, the command lives on (P3.7)."""

    run: RunId
    attempt: AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordExit:
    """The kernel told the server how an unsupervised command ended (P3.7)."""

    run: RunId
    attempt: AttemptId
    exit_code: int | None = None
    signal: int | None = None
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLost:
    """Nothing tells how it ended (P3.7)."""

    run: RunId
    attempt: AttemptId
    reason_code: str
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlert:
    """Ask somebody to look at a run."""

    alert: AlertId
    run: RunId
    severity: str
    message: Text
    choices: Text
    source: str
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAlert:
    """Choose; `stop` ends the run, too."""

    alert: AlertId
    choice: Text
    action: str
    note: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBudget:
    """What a scope (a sweep's id, or `session:` and a session's) may use; people only."""

    scope: str
    runs: int | None = None
    gpu_ms: int | None = None
    wall_ms: int | None = None
    action: str | None = None
    """None leaves it as it is, which is `refuse` at first."""
    kept: tuple[str, ...] = ()
    """Fields among `runs`, `gpu_ms` and `wall_ms` that stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBudget:
    """80 % (`reached` false) or all of a budget is used; said once, until it is set anew."""

    scope: str
    kind: str
    reached: bool
    limit: int | None = None
    """What was compared with; nothing happens when it was set anew meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCluster:
    """What people say that the server runs on; people only."""

    kind: str | None = None
    status: str | None = None
    source: str = "manual"
    head_node: Text | None = None
    node_count: int | None = None
    gpu_count: int | None = None
    notes: Text | None = None
    details: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Start nothing more; people only; repeating it is harmless."""

    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undrain:
    """Start queued runs again; people only."""


Command = (
    OpenLedger
    | CreateToken
    | RevokeToken
    | SetPolicy
    | PublishProtocol
    | CreateSweep
    | EditSweep
    | StartSweep
    | StopSweep
    | ResumeSweep
    | PauseSweep
    | ArchiveSweep
    | UnarchiveSweep
    | RegisterPoints
    | RegisterRun
    | EditRun
    | QueueRun
    | RequeueRun
    | ReleaseRun
    | FailDependency
    | MoveRun
    | StopRun
    | ArchiveRun
    | UnarchiveRun
    | AnnotateRun
    | AssignAttempt
    | RecordSubmission
    | ReportStarted
    | ReportDescribed
    | ReportSealed
    | ReportEnded
    | RecordSupervisorLost
    | RecordExit
    | RecordLost
    | RaiseAlert
    | AnswerAlert
    | SetBudget
    | ReportBudget
    | SetCluster
    | Drain
    | Undrain
    | GuardCommand
)
