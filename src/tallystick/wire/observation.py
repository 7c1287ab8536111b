"""What a supervisor may report, and in which order.

    supervisor_started                        first, always
    (command_started | command_refused)?      absent when a stop came before the start
    (described | output_sealed)*              any time after command_started
    command_exited?                           after command_started; the kernel's word (P3.5)
    output_sealed*                            final seals, nothing writes any more
    ended                                     last, always; no process of the run is left (P3.6)

`n` numbers the records of one journal from 1 without gaps; the server acknowledges by `n` and
ignores what it has seen, so delivering twice is harmless.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from tallystick.errors import InvalidError
from tallystick.wire import codec

Cause = Literal["exited", "stop", "terminated", "refused", "timed_out", "out_of_memory"]
"""`terminated`: the supervisor was told to end by a signal that no request to stop goes with."""
EndCode = Literal["workdir_missing", "exec_failed", "kernel_out_of_memory", "cuda_out_of_memory"]
"""What tells one cause from its like: why a command was refused, which memory was exhausted."""
StreamName = Literal["output", "metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStarted:
    """The supervisor holds the lock of the run directory."""

    n: int
    at: int
    """Milliseconds since the Unix epoch, the supervisor's clock; in every record."""
    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: with the boot id it tells a pid from its later namesake."""
    boot_id: str
    command_pid: int = 0
    """The child that waits to become the command; what its end means is the command's end only
    if it was let. 0 where there is none."""
    command_start_ticks: int = 0
    kind: Literal["supervisor_started"] = "supervisor_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStarted:
    """The command was executed; what it ran from, as far as it is known."""

    n: int
    at: int
    pid: int
    start_ticks: int
    git_head: str | None = None
    git_branch: str | None = None
    git_tree: str | None = None
    """Object id of the exact working tree, untracked files included, ignored ones not."""
    git_missing: str | None = None
    """Why tree or head is absent, when workdir lies in a git repository."""
    kind: Literal["command_started"] = "command_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused:
    """The command could not be executed at all."""

    n: int
    at: int
    code: Literal["workdir_missing", "exec_failed"]
    detail: str
    kind: Literal["command_refused"] = "command_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Facts gathered beside the running command: the interpreter that its PATH finds."""

    n: int
    at: int
    interpreter: str | None = None
    """Absolute path of `python` on the command's PATH, links resolved."""
    interpreter_version: str | None = None
    host: str | None = None
    limit_missing: str | None = None
    """Why a limit that was asked for does not hold on this host, in words."""
    kind: Literal["described"] = "described"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSealed:
    """The first `bytes` bytes of a stream have this SHA-256 (P6.4)."""

    n: int
    at: int
    stream: StreamName
    bytes: int
    sha256: str
    kind: Literal["output_sealed"] = "output_sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandExited:
    """What wait told: exactly one of `exit_code` and `signal`."""

    n: int
    at: int
    exit_code: int | None = None
    signal: int | None = None
    tail: str | None = None
    """The last lines of the output when the command did not succeed."""
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    kind: Literal["command_exited"] = "command_exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing of the run is left alive."""

    n: int
    at: int
    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    leftover: int = 0
    """Processes that had outlived the command and were ended."""
    killed: int = 0
    """Processes that ignored TERM and were sent KILL."""
    code: EndCode | None = None
    """Why the command was refused, again: `ended` may be delivered alone. Or which memory."""
    detail: str | None = None
    """The tail of the output, or the detail of the refusal, again; before it, in a line of its
    own, what a limit had to do with the end."""
    kind: Literal["ended"] = "ended"


Observation = (
    SupervisorStarted
    | CommandStarted
    | CommandRefused
    | Described
    | OutputSealed
    | CommandExited
    | Ended
)

SHAPES: tuple[type[Any], ...] = (
    SupervisorStarted,
    CommandStarted,
    CommandRefused,
    Described,
    OutputSealed,
    CommandExited,
    Ended,
)


def read(document: Any, *, where: str = "observation") -> Observation:
    """Parse one record; raises `InvalidError` for an unknown kind or a wrong field."""
    kind = document.get("kind") if isinstance(document, dict) else None
    for shape in SHAPES:
        if kind == next(f.default for f in fields(shape) if f.name == "kind"):
            observation: Observation = codec.from_json(shape, document, where=where)
            return observation
    raise InvalidError(f"{where}.kind: unknown kind {kind!r}")
