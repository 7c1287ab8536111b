"""The facts: what can stand in the ledger.

One frozen dataclass per entry type; its fields are the entry's `data`, absent where None. Free
text is a `Text` commitment (P6.6), floating-point numbers are strings. A released (type, v) never
changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tallystick.domain.demands import Demands
from tallystick.domain.guard_events import GuardEvent
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
from tallystick.domain.signal_events import SignalEvent
from tallystick.domain.status import Outcome, StopReason
from tallystick.domain.sweep_events import SweepCreated, SweepEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerOpened:
    """The first entry of every ledger: who it is."""

    type: ClassVar[str] = "ledger.opened"
    origin: str
    vkey: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated:
    """A token exists; only its hash is kept (P9.2)."""

    type: ClassVar[str] = "token.created"
    role: Role
    sha256: str
    session: SessionId | None = None
    expires_at: int | None = None
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked:
    """A token opens nothing any more."""

    type: ClassVar[str] = "token.revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """The compliance policy, whole (P1.2)."""

    type: ClassVar[str] = "policy.set"
    session: Enforcement
    sweep: Enforcement


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolPublished:
    """The digest of a protocol text as it is served (P7.6)."""

    type: ClassVar[str] = "protocol.published"
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """The first sighting of an agent conversation (P1.1); its id is the entry's session."""

    type: ClassVar[str] = "session.opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRegistered:
    """One trial, before anything of it was executed (P3.1)."""

    type: ClassVar[str] = "run.registered"
    sweep: SweepId | None = None
    name: Text
    command: Text
    workdir: Text
    environment: Text | None = None
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    parent: RunId | None = None
    origin_alert: str | None = None
    gpuwrap: Text | None = None
    demands: Demands = field(default_factory=Demands)
    tags: tuple[str, ...] = ()
    depends_on: tuple[RunId, ...] = ()
    """Runs that must have succeeded before it starts."""
    point: int | None = None
    """Its place in the plan of its sweep, from 0."""
    violations: tuple[str, ...] = ()
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEdited:
    """Fields that changed before the start, with old and new value (P3.4)."""

    type: ClassVar[str] = "run.edited"
    name: Text | None = None
    command: Text | None = None
    workdir: Text | None = None
    old_name: Text | None = None
    old_command: Text | None = None
    old_workdir: Text | None = None
    demands: Demands | None = None
    old_demands: Demands | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued:
    """The queue may start it when its resources are free (P3.2)."""

    type: ClassVar[str] = "run.queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReleased:
    """Every run that it depends on has succeeded."""

    type: ClassVar[str] = "run.released"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequeued:
    """An ended run is to be executed once more, because its sweep was resumed (P2.2)."""

    type: ClassVar[str] = "run.requeued"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMoved:
    """It belongs to another sweep now."""

    type: ClassVar[str] = "run.moved"
    sweep: SweepId
    old_sweep: SweepId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopRequested:
    """Somebody wants the active run to end; true only when `run.ended` follows (P3.6)."""

    type: ClassVar[str] = "run.stop_requested"
    attempt: AttemptId
    why: StopReason | None = None
    """What asks for it, where that is not a request for this very run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArchived:
    """Out of the ordinary lists."""

    type: ClassVar[str] = "run.archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUnarchived:
    """Back in the ordinary lists."""

    type: ClassVar[str] = "run.unarchived"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnnotated:
    """What somebody thinks of it: tags, a star, a note. What is None stays as it was."""

    type: ClassVar[str] = "run.annotated"
    tags: tuple[str, ...] | None = None
    """All that it has from now on."""
    starred: bool | None = None
    note: Text | None = None
    """In place of the one before; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedToken:
    """A token made for one attempt, inside `attempt.assigned`."""

    token: TokenId
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAssigned:
    """The intent to execute a run, before any effect."""

    type: ClassVar[str] = "attempt.assigned"
    attempt: AttemptId
    number: int
    backend: str
    run_token: MintedToken
    supervisor_token: MintedToken
    gpus: tuple[str, ...] = ()
    """Devices leased to it, and to nobody else, until it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSubmitted:
    """The backend took it; `native` is its own name for it."""

    type: ClassVar[str] = "attempt.submitted"
    attempt: AttemptId
    native: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The command was executed; what it ran from (P5.1)."""

    type: ClassVar[str] = "run.started"
    attempt: AttemptId
    n: int | None = None
    at: int | None = None
    """When, by the supervisor's clock; milliseconds."""
    git_head: str | None = None
    git_tree: str | None = None
    git_branch: Text | None = None
    git_missing: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDescribed:
    """Facts gathered beside the running command, as one JSON text."""

    type: ClassVar[str] = "attempt.described"
    attempt: AttemptId
    n: int
    context: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnsupervised:
    """The supervisor vanished while the command lives on (P3.7)."""

    type: ClassVar[str] = "attempt.unsupervised"
    attempt: AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSealed:
    """The first `bytes` bytes of a growing stream (P6.4)."""

    type: ClassVar[str] = "output.sealed"
    attempt: AttemptId
    n: int | None = None
    stream: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """The attempt failed, and the run is queued for another one."""

    type: ClassVar[str] = "attempt.ended"
    attempt: AttemptId
    n: int | None = None
    at: int | None = None
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    reason_code: str
    reason: Text | None = None
    retry_at: int
    """Not before this moment; milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """Nothing of the run is alive, and nothing more is tried by itself (P3.5 to P3.7)."""

    type: ClassVar[str] = "run.ended"
    attempt: AttemptId | None = None
    n: int | None = None
    at: int | None = None
    outcome: Outcome
    exit_code: int | None = None
    signal: int | None = None
    reason_code: str
    reason: Text | None = None


Event = (
    LedgerOpened
    | TokenCreated
    | TokenRevoked
    | PolicySet
    | ProtocolPublished
    | SessionOpened
    | SweepCreated
    | SweepEvent
    | SignalEvent
    | GuardEvent
    | RunRegistered
    | RunEdited
    | RunQueued
    | RunReleased
    | RunRequeued
    | RunMoved
    | RunStopRequested
    | RunArchived
    | RunUnarchived
    | RunAnnotated
    | AttemptAssigned
    | AttemptSubmitted
    | RunStarted
    | AttemptDescribed
    | AttemptUnsupervised
    | OutputSealed
    | AttemptEnded
    | RunEnded
)


@dataclass(frozen=True, slots=True)
class Fact:
    """An accepted change on its way into the ledger: an event, its stream and its session."""

    stream: str
    event: Event
    session: SessionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event as it stands in the ledger."""

    seq: int
    ts: int
    stream: str
    session: SessionId | None
    actor: TokenId
    role: Role
    event: Event
