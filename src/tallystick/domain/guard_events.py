"""The facts of the guard: what it decided beside an agent, and what people allowed it."""

from dataclasses import dataclass
from typing import ClassVar

from tallystick.domain.ids import ExceptionId, RequestMark, SessionId, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardDecided:
    """A guard acted on a command before an agent executed it (P7.3).

    Reported afterwards, by the guard's own word: it decides without a server.
    """

    type: ClassVar[str] = "guard.decided"
    agent: str
    """Which agent asked, by the name of its dialect."""
    call: str | None = None
    """The agent's own name for its tool call."""
    verdict: str
    """experiment, unknown or utility."""
    reason: str
    """Why, in one stable word."""
    action: str
    """converted, denied, warned, excepted or failed."""
    mode: str
    """convert, deny, warn or off."""
    policy: str
    """SHA-256 of the project's rules that counted, or `default`."""
    parser: str
    """What read the command, with its version."""
    exception: ExceptionId | None = None
    at: int
    """When, by the guard's clock; milliseconds."""
    command: Text
    cwd: Text
    project: Text
    detail: Text
    violations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardExceptionGranted:
    """A person lets one command pass the guard, once and for a while."""

    type: ClassVar[str] = "guard.exception_granted"
    command: Text
    command_sha256: str
    """SHA-256 of the command's UTF-8 bytes, as the guard will see them."""
    only: SessionId | None = None
    """The session that may use it; absent, any may."""
    expires_at: int
    """Milliseconds."""
    request: RequestMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicyAccepted:
    """A person read the guard's rules of a project, and they count from now on."""

    type: ClassVar[str] = "policy.accepted"
    root: Text
    """The project's directory, an absolute path."""
    text: Text
    """The rules, byte for byte."""
    sha256: str
    """SHA-256 of the rules' bytes."""
    mode: str | None = None
    """convert, deny, warn or off; absent leaves it to the guard."""


GuardEvent = GuardDecided | GuardExceptionGranted | ProjectPolicyAccepted
