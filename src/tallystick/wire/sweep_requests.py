"""Bodies of the calls that declare a parameter space, and change it (P2.2)."""

from dataclasses import dataclass, field
from typing import Any, Literal

from tallystick.wire.demands import TAGS, Asked

_PLAIN = {"pattern": r"^[^\u0000]*$"}
_NOT_BLANK = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_NAME = {"schema": {**_NOT_BLANK, "maxLength": 500, "example": "learning rates"}}
_GOAL = {"schema": {**_PLAIN, "maxLength": 20_000}}
_COMMAND = {"schema": {**_NOT_BLANK, "example": "python3 train.py"}}
_PARAMETERS = {"schema": {"example": {"lr": [0.1, 0.01], "seed": 1}}}
_POSITIVE = {"schema": {"minimum": 1, "maximum": 2**53 - 1}}
_PARALLEL = {"schema": {"minimum": 1, "maximum": 100_000}}

Seed = str | int | float | bool
Strategy = Literal["grid", "random", "list"]
Placement = Literal["flag", "placeholder", "environment"]
State = Literal["draft", "pending", "ready", "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareSweep(Asked):
    """POST /sweeps: a space of configurations; each of them becomes one run (P2.2)."""

    name: str = field(metadata=_NAME)
    """What people will see; each run adds its number, counted from 1."""
    base_command: str = field(metadata=_COMMAND)
    """What every run executes, by `bash -c`; where values go is said by `placement`."""
    parameters: dict[str, Any] = field(default_factory=dict, metadata=_PARAMETERS)
    """By name: a value (constant), a list of values, `{"min", "max", "step"}`, `{"min", "max",
    "num"}` (with `"scale": "log"`, `"type": "int"`), or `{"min", "max"}` for random search."""
    seeds: int | list[Seed] | None = None
    """A number n adds the parameter `seed` with 0 to n-1, the fastest axis; or a list of seeds."""
    points: list[dict[str, Any]] | None = None
    """Exactly these configurations, one object each, instead of a grid."""
    strategy: Strategy | None = None
    """By default `list` with points, `random` with samples or ranges without a step, else
    `grid`."""
    samples: int | None = None
    """How many distinct points random search draws."""
    seed: int | None = None
    """What random search draws from; 0 by default. The same seed draws the same points."""
    max_runs: int | None = field(default=None, metadata=_POSITIVE)
    """Only the first so many points, said in a warning; by default all."""
    placement: Placement | None = None
    """`flag` adds `--name=value` to the end; `placeholder` fills `{name}` in, the default where the
    command has one; `environment` sets variables."""
    workdir: str | None = None
    """Absolute path of an existing directory; the server's workspace by default."""
    goal: str | None = field(default=None, metadata=_GOAL)
    """What the runs are meant to find out."""
    auto_start: bool = False
    """Queue the runs as they are registered."""
    status: State | None = None
    """`draft` registers nothing yet, `running` starts as auto_start does; `pending` by default."""
    parallel: int | None = field(default=None, metadata=_PARALLEL)
    """Runs of this sweep at a time; by default as many as there is room for."""
    ui_config: dict[str, Any] | None = None
    """Kept for dashboards that sent it; nothing here reads it."""
    chat_session_id: str | None = None
    """The agent conversation that this request comes from (P1.1)."""
    tags: list[str] = field(default_factory=list, metadata=TAGS)
    """Words to find its runs by."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment variables of every run; secrets belong here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSweep(Asked):
    """PUT /sweeps/{id}: what is left out stays; the space only while there are no runs (P3.4)."""

    name: str | None = field(default=None, metadata=_NAME)
    goal: str | None = field(default=None, metadata=_GOAL)
    base_command: str | None = field(default=None, metadata=_COMMAND)
    workdir: str | None = None
    parameters: dict[str, Any] | None = None
    seeds: int | list[Seed] | None = None
    points: list[dict[str, Any]] | None = None
    strategy: Strategy | None = None
    samples: int | None = None
    seed: int | None = None
    max_runs: int | None = field(default=None, metadata=_POSITIVE)
    placement: Placement | None = None
    status: State | None = None
    """`pending` makes the runs of a draft, `running` starts them, too."""
    ui_config: dict[str, Any] | None = None
    tags: list[str] | None = field(default=None, metadata=TAGS)
    env: dict[str, str] | None = None
