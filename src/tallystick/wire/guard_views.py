"""Answers about the guard: decisions, exceptions, rules, conversions and plans.

Times are Unix seconds as floats, absent ones null. The docstring under a field is its description
in the OpenAPI document.
"""

from dataclasses import dataclass, field
from typing import Any

from tallystick.wire.views import Receipt
from tallystick.wire.views import Warning as Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDecision:
    """One decision that was not recorded."""

    id: str
    """As it was sent; its place in the list, from 0, when it has none."""
    code: str
    detail: str
    """What was expected, and what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsSent:
    """POST /guard/decisions."""

    accepted: int
    """Recorded now."""
    already: int
    """Recorded before; nothing changed."""
    refused: list[RefusedDecision] = field(default_factory=list)
    """Not recorded; sending them again changes nothing, but with another token where the code is
    session_mismatch."""
    receipt: Receipt | None = None
    """Of the last one that was recorded now."""
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """What a guard did with one command."""

    id: str
    agent: str
    session_id: str | None = None
    call: str | None = None
    """The agent's own name for its tool call."""
    command: str
    command_truncated: bool = False
    """In lists a command is cut at 4,096 characters."""
    cwd: str
    project: str
    """Its directory; empty when nobody knew."""
    verdict: str
    """experiment, unknown or utility."""
    reason: str
    """Why, in one stable word."""
    detail: str
    """Why, in a sentence."""
    action: str
    """converted, denied, warned, excepted or failed."""
    mode: str
    """convert, deny, warn or off."""
    policy: str
    """SHA-256 of the rules that counted, or `default`."""
    parser: str
    exception: str | None = None
    at: float
    """When it was decided, by the guard's clock."""
    recorded_at: float
    recorded_by: str
    """Role of whoever reported it."""
    violations: list[str] = field(default_factory=list)
    """Marks: session_missing, session_placeholder, session_invalid, exception_unknown,
    exception_mismatch, exception_expired, exception_reused, policy_unaccepted."""
    seq: int
    """Ledger position of its entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """A page of decisions."""

    items: list[DecisionView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionView:
    """One command that may pass the guard once."""

    id: str
    command: str
    command_sha256: str
    """SHA-256 of the command's UTF-8 bytes, 64 hex digits."""
    session_id: str | None = None
    """The conversation that may use it; null: any."""
    expires_at: float
    granted_at: float
    granted_by: str
    """Role of whoever granted it."""
    status: str
    """open, used or expired."""
    used_by: str | None = None
    """The decision that used it."""
    used_at: float | None = None
    note: str
    """C2SP signed note by the ledger's key; a guard takes nothing else for an exception."""
    seq: int
    """Ledger position of its entry."""
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionPage:
    """A page of exceptions."""

    items: list[ExceptionView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicyView:
    """The rules that people accepted for one project."""

    id: str
    root: str
    """The project's directory."""
    sha256: str
    """Of the rules' bytes, 64 hex digits."""
    mode: str | None = None
    """convert, deny, warn or off; null leaves it to the guard."""
    text: str
    """The rules, TOML."""
    accepted_at: float
    accepted_by: str
    """Role of whoever accepted them."""
    seq: int
    """Ledger position of the entry."""
    already: bool = False
    """Whether just these counted before, and nothing changed."""
    receipt: Receipt | None = None
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicyPage:
    """A page of projects."""

    items: list[ProjectPolicyView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """One call to make instead."""

    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionView:
    """POST /convert: nothing was started, nothing was recorded."""

    verdict: str
    """experiment, unknown or utility."""
    reason: str
    """Why, in one stable word."""
    detail: str
    """Why, in a sentence."""
    span: list[int]
    """First character of what decided, and the one after its last."""
    text: str
    """What decided."""
    via: list[str] = field(default_factory=list)
    """Wrappers and scripts on the way to it, outermost first."""
    convert: bool
    """Whether it is to be converted; a utility need not be."""
    cli: str
    """The shell line to type instead."""
    calls: list[CallView] = field(default_factory=list)
    """The calls to make instead, in order; what is to be filled in stands in angle brackets."""
    curl: str = ""
    """The same calls as shell text."""
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFindingView:
    """One place of a plan."""

    line: int
    """From 1."""
    code: str
    """P101 and so on; what one means never changes."""
    name: str
    """The code in words."""
    text: str
    """What stands there."""
    detail: str
    """What is wrong with it, in a sentence."""
    calls: list[CallView] = field(default_factory=list)
    """The calls to put there."""
    cli: list[str] = field(default_factory=list)
    """The same as shell lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCheckView:
    """POST /plans/check: nothing was recorded."""

    needs_experiments: bool
    """Whether anything in it is an experiment."""
    compliant: bool
    """Whether every experiment in it is on the record."""
    findings: list[PlanFindingView] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
