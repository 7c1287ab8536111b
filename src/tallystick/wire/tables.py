"""Runs as columns, on the wire."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTable:
    """GET /runs/table: one list for each column, all of one length."""

    rows: int = 0
    columns: dict[str, list[Any]] = field(default_factory=dict)
    """By name; null where a run has no such value. Times are Unix seconds, durations seconds."""
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""
