"""Bodies of calls about the guard: what it decided, exceptions, rules, conversion, plans.

The docstring under a field is its description in the OpenAPI document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MOST_DECISIONS: Final = 100
LONGEST_EXCEPTION: Final = 86_400
"""Seconds."""
MOST_FILES: Final = 64
LONGEST_WORDS: Final = 10_000
"""Characters of a detail; longer ones are cut."""

_COMMAND = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}
_PLAIN = {"pattern": r"^[^\u0000]*$"}
_LINE = {"pattern": r"^[^\u0000]*$", "maxLength": 500}
_PATH = {"pattern": r"^/[^\u0000]*$", "maxLength": 4096}

_DECISION: Final[Mapping[str, Any]] = {
    "description": "An object with id, at (milliseconds), agent, session, call, project, cwd, "
    "command, verdict, reason, detail, action, mode, policy, parser and exception; what is wrong "
    "with one is said in `refused`.",
    "example": {
        "id": "dec_0123456789ab",
        "at": 1_700_000_000_000,
        "agent": "codex",
        "session": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        "call": "call_1",
        "project": "/home/ada/project",
        "cwd": "/home/ada/project",
        "command": "python train.py",
        "verdict": "experiment",
        "reason": "python_script",
        "detail": "train.py trains",
        "action": "converted",
        "mode": "convert",
        "policy": "default",
        "parser": "tree-sitter-bash 0.25.1",
        "exception": None,
    },
}
"""Nothing about it is refused as a whole: one bad decision holds up no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledDecision:
    """One decision of a guard, as it lies in its spool and as it is sent."""

    id: str
    """`dec_` and 12 hex digits; of session, call and command, so that two guards name one alike."""
    at: int
    """Milliseconds since the Unix epoch, by the guard's clock."""
    agent: str
    session: str | None = None
    call: str | None = None
    project: str
    cwd: str
    command: str
    verdict: Literal["experiment", "unknown", "utility"]
    reason: str
    detail: str = ""
    action: Literal["converted", "denied", "warned", "excepted", "failed"]
    mode: Literal["convert", "deny", "warn", "off"]
    policy: str
    """SHA-256 of the rules that counted, or `default`."""
    parser: str
    exception: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDecisions:
    """POST /guard/decisions: what guards did; each is recorded, or refused, by itself."""

    decisions: list[Any] = field(
        metadata={"schema": {"minItems": 1, "maxItems": MOST_DECISIONS, "items": _DECISION}}
    )
    """As a guard spools them; 100 at most. One that is recorded already is answered so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantException:
    """POST /guard/exceptions: let one command pass the guard, once; people only."""

    command: str = field(metadata={"schema": _COMMAND})
    """As the agent is going to type it, byte for byte."""
    session: str | None = field(default=None, metadata={"schema": {"maxLength": 128}})
    """The conversation that may use it; null: any."""
    expires_seconds: int = field(
        default=900, metadata={"schema": {"minimum": 1, "maximum": LONGEST_EXCEPTION}}
    )
    """How long it waits to be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptPolicy:
    """POST /policy/projects: the guard's rules of a project count from now on; people only."""

    root: str = field(metadata={"schema": _PATH})
    """The project's directory, an absolute path on the machine of the guard."""
    text: str = field(metadata={"schema": {**_PLAIN, "maxLength": 100_000}})
    """What `.tally/policy.toml` holds, byte for byte; TOML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertCommand:
    """POST /convert: what a command would do, and the calls that do it on the record (P7.1)."""

    command: str = field(metadata={"schema": _COMMAND})
    workdir: str | None = field(default=None, metadata={"schema": _PATH})
    """Where it would be typed; the server's workspace by default. Nothing there is read."""
    chat_session_id: str | None = field(default=None, metadata={"schema": _LINE})
    """Stands in the calls; a variable of the shell by default."""
    sweep_id: str | None = field(default=None, metadata={"schema": _LINE})
    """Stands in the calls of runs."""
    files: dict[str, str] = field(
        default_factory=dict, metadata={"schema": {"maxProperties": MOST_FILES}}
    )
    """Scripts that the command names, by path (absolute, or in `workdir`), so that they are read
    too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """POST /plans/check: what in a plan starts experiments beside the record (P7.2)."""

    text: str = field(metadata={"schema": _PLAIN})
    kind: Literal["markdown", "tasks", "shell", "makefile", "notebook"] | None = None
    """Null: told by `name` and by the text."""
    name: str = field(default="", metadata={"schema": _LINE})
    """Of the file, as `PLAN.md`."""
