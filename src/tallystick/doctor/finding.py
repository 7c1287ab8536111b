"""What one check found: a verdict, the fact, and the mend as something to type."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works; something should be known, or done one day."""
    FAIL = "fail"
    """A start would be refused, or records are in danger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    check: str
    """Its short name, the same every time."""
    verdict: Verdict
    found: str
    """The fact, in a line."""
    mend: str | None = None
    """A command to run, or the one thing to do; None when all is well."""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict=Verdict.OK, found=found)


def warn(check: str, found: str, mend: str | None = None) -> Finding:
    """It works, and yet."""
    return Finding(check=check, verdict=Verdict.WARN, found=found, mend=mend)


def fail(check: str, found: str, mend: str) -> Finding:
    """It must be mended."""
    return Finding(check=check, verdict=Verdict.FAIL, found=found, mend=mend)
