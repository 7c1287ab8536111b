"""Identifiers and the small values that every noun shares."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

SweepId = NewType("SweepId", str)
RunId = NewType("RunId", str)
AttemptId = NewType("AttemptId", str)
TokenId = NewType("TokenId", str)
SessionId = NewType("SessionId", str)
AlertId = NewType("AlertId", str)
DecisionId = NewType("DecisionId", str)
ExceptionId = NewType("ExceptionId", str)
ProjectId = NewType("ProjectId", str)

ID_PATTERN = re.compile(r"(swp|run|att|tok|alr|dec|exc|prj)_[0-9a-f]{12}")
"""P3.1: a prefix and 12 lower-case hex digits."""

UNATTRIBUTED = SessionId("unattributed")
"""Where requests belong that name no real session (P1.3)."""


class Role(StrEnum):
    """What a token may be (P9.2); `supervisor` and `system` are never handed to clients."""

    ADMINISTRATOR = "administrator"
    RESEARCHER = "researcher"
    AGENT = "agent"
    AUDITOR = "auditor"
    RUN = "run"
    SUPERVISOR = "supervisor"
    SYSTEM = "system"


class Enforcement(StrEnum):
    """What happens to a request that breaks a rule of the policy."""

    ENFORCE = "enforce"
    WARN = "warn"


PEOPLE = frozenset({Role.ADMINISTRATOR, Role.RESEARCHER})
"""Roles that stand for a person; only they may set policy (P1.2)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, taken from the credential and never from the body (P1.4)."""

    token: TokenId
    role: Role
    session: SessionId | None = None
    """The session that the token is bound to."""


SYSTEM = Actor(TokenId("tok_000000000000"), Role.SYSTEM)
"""The server acting on its own; the all-zero token is never minted."""


@dataclass(frozen=True, slots=True)
class Text:
    """Free text as it stands in an entry: a salted commitment (P6.6), never the text itself."""

    c: str
    """SHA-256 of salt and bytes, 64 hex digits; the key of the payload."""
    n: int
    """Length in bytes."""


@dataclass(frozen=True, slots=True)
class RequestMark:
    """What makes a repeated request recognisable: digests of its key and of its body."""

    k: str
    """SHA-256 over token, path and Idempotency-Key."""
    b: str
    """SHA-256 over the request body."""
