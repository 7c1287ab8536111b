"""The wishes about the guard: report what it decided, let one command pass, accept rules."""

from dataclasses import dataclass

from tallystick.domain.ids import DecisionId, ExceptionId, ProjectId, RequestMark, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDecision:
    """Report what a guard did; its id makes a repeat harmless."""

    decision: DecisionId
    agent: str
    verdict: str
    reason: str
    action: str
    mode: str
    policy: str
    parser: str
    at: int
    command: Text
    command_sha256: str
    """Of the command as it was sent; an exception is compared with it."""
    of_project: ProjectId
    """Of the project as it was sent; `policy` is compared with what was accepted for it."""
    cwd: Text
    project: Text
    detail: Text
    call: str | None = None
    exception: ExceptionId | None = None
    session: str | None = None
    marks: tuple[str, ...] = ()
    """What was wrong with the session already where it came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantException:
    """Let one command pass the guard once; people only."""

    exception: ExceptionId
    command: Text
    command_sha256: str
    seconds: int
    """How long it waits for its use."""
    only: str | None = None
    """The session that may use it; None lets any."""
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptPolicy:
    """Let the rules of a project count; people only; repeating it is harmless."""

    project: ProjectId
    root: Text
    text: Text
    sha256: str
    mode: str | None = None


GuardCommand = RecordDecision | GrantException | AcceptPolicy
