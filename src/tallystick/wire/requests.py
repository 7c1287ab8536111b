"""Bodies that come in over HTTP, by noun.

The docstring under a field is its description in the OpenAPI document. On the routes that agents
call, an unknown field is answered with a warning, never refused and never dropped in silence.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from tallystick.wire.demands import TAGS, Asked

_PLAIN = {"pattern": r"^[^\u0000]*$"}
_NOT_BLANK = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_NAME = {"schema": {**_NOT_BLANK, "maxLength": 500}}
_COMMAND = {"schema": _NOT_BLANK}
_LONGEST_LIFE_SECONDS = 10 * 365 * 24 * 3600
"""What the OpenAPI document says beyond the type; the routes check it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateWildSweep:
    """POST /sweeps/wild: a user-visible container for related runs (P2.1)."""

    name: str = field(default="Wild Loop Sweep", metadata={"schema": {**_PLAIN, "maxLength": 500}})
    """What people will see."""
    goal: str = field(default="", metadata={"schema": {**_PLAIN, "maxLength": 20_000}})
    """What the runs are meant to find out."""
    chat_session_id: str | None = None
    """The agent conversation that this request comes from (P1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWrap:
    """The old way to ask for a GPU; the queue waits for a free one, so no retries are needed."""

    enabled: bool = True
    retries: int | None = field(
        default=None, metadata={"schema": {"minimum": -1, "maximum": 2**53 - 1}}
    )
    """At least -1."""
    retry_delay_seconds: float | None = field(
        default=None,
        metadata={"schema": {"minimum": 0, "exclusiveMinimum": True, "maximum": 600}},
    )
    """Above 0, at most 600."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRun(Asked):
    """POST /runs and POST /sweeps/{id}/runs: one trial (P3.1)."""

    name: str = field(metadata=_NAME)
    """What people will see, for example `mnist-mlp-lr1e-2-bs128-seed1`."""
    command: str = field(metadata=_COMMAND)
    """Given to `bash -c` exactly as it stands."""
    workdir: str | None = None
    """Absolute path of an existing directory; the server's workspace by default."""
    sweep_id: str | None = None
    """The sweep that it belongs to; required unless the policy says otherwise."""
    parent_run_id: str | None = None
    """The run that this one repeats or follows."""
    origin_alert_id: str | None = None
    """The alert that made somebody create this run."""
    chat_session_id: str | None = None
    """The agent conversation that this request comes from (P1.1)."""
    auto_start: bool = False
    """Queue it at once; otherwise it stays `ready` until started (P3.2)."""
    gpuwrap_config: GpuWrap | None = None
    """The old way to ask for a GPU: `enabled` asks for one where the host has any."""
    tags: list[str] = field(default_factory=list, metadata=TAGS)
    """Words to find it by, each of 1 to 40 characters: letters, digits, '.', '_', ':', '/', '=',
    '-'."""
    depends_on: list[str] = field(default_factory=list, metadata={"schema": {"maxItems": 16}})
    """Ids of runs that must have succeeded before this one starts."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment variables of the command, over the server's plain base (PATH, HOME, LANG, …)."""
    params: dict[str, str | int | float | bool] = field(default_factory=dict)
    """The configuration of this trial, for tables and filters; the command is not changed by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateRun:
    """POST /runs/{id}/annotate: what somebody thinks of it, at any time (P3.4)."""

    add_tags: list[str] = field(default_factory=list, metadata=TAGS)
    """Tags that it should have."""
    remove_tags: list[str] = field(default_factory=list, metadata=TAGS)
    """Tags that it should not have."""
    starred: bool | None = None
    """True for a star, false for none; left out, it stays as it is."""
    note: str | None = field(default=None, metadata={"schema": {**_PLAIN, "maxLength": 20_000}})
    """In place of the note before; empty for none; left out, it stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRun(Asked):
    """PUT /runs/{id}: before the start only (P3.4); what is left out stays."""

    name: str | None = field(default=None, metadata=_NAME)
    command: str | None = field(default=None, metadata=_COMMAND)
    workdir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRun(Asked):
    """POST /runs/{id}/rerun: a new run that names this one as its parent.

    What it asks for is what the old one asked for, but for what is named here.
    """

    command: str | None = None
    """Instead of the old command."""
    auto_start: bool = False
    origin_alert_id: str | None = None
    gpuwrap_config: GpuWrap | None = None
    chat_session_id: str | None = None
    """Defaults to the session of the run that is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendMetrics:
    """POST /runs/{id}/metrics: rows as they were measured, kept exactly."""

    rows: list[dict[str, Any]] = field(metadata={"schema": {"minItems": 1}})
    """One object a row; the step is `step`, `_step`, `global_step` or `trainer/global_step`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """PUT /policy: what happens to requests without a session or a sweep; people only (P1.2)."""

    session: Literal["enforce", "warn"] | None = None
    sweep: Literal["enforce", "warn"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateToken:
    """POST /tokens: administrators only."""

    role: Literal["administrator", "researcher", "agent", "auditor"]
    session: str | None = None
    """Bind the token to one session; requests without chat_session_id then belong to it."""
    expires_seconds: int | None = field(
        default=None, metadata={"schema": {"minimum": 1, "maximum": _LONGEST_LIFE_SECONDS}}
    )
    """Life from now on; without it the token lives until it is revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectCluster:
    """POST /cluster/detect."""

    preferred_type: str | None = None
