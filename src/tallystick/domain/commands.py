"""The wishes: what can be asked of the one road in. Imperative, frozen, nothing but data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tallystick.domain.events import MintedToken
from tallystick.domain.ids import (
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
    """Create a container for runs (P2.1)."""

    sweep: SweepId
    name: Text
    goal: Text | None = None
    wild: bool = True
    draft: bool = False
    session: str | None = None
    request: RequestMark | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRun:
    """Let the queue start it; repeating it is harmless."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRun:
    """End it in whatever state it is; repeating it is harmless."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRun:
    """Take it out of the ordinary lists."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class UnarchiveRun:
    """Put it back."""

    run: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignAttempt:
    """The scheduler's decision to execute a queued run."""

    run: RunId
    attempt: AttemptId
    backend: str
    run_token: MintedToken
    supervisor_token: MintedToken


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


Command = (
    OpenLedger
    | CreateToken
    | RevokeToken
    | SetPolicy
    | PublishProtocol
    | CreateSweep
    | RegisterRun
    | EditRun
    | QueueRun
    | StopRun
    | ArchiveRun
    | UnarchiveRun
    | AssignAttempt
    | RecordSubmission
    | ReportStarted
    | ReportDescribed
    | ReportSealed
    | ReportEnded
    | RecordSupervisorLost
    | RecordExit
    | RecordLost
)
