"""Attempts as they go out over HTTP: every execution of a run with a record of its own.

Times are Unix seconds as floats, absent ones null.
"""

from dataclasses import dataclass, field

from tallystick.wire.views import GitView


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One execution of a run; a retry is another one, with other logs."""

    id: str
    run_id: str
    number: int
    """1 for the first; `GET /runs/{id}/logs?attempt=` takes it, or the id."""
    status: str
    """launching, running, finished, failed or stopped."""
    outcome: str | None = None
    """succeeded, failed, cancelled, timed_out, out_of_memory or lost; null until its end."""
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    """How it ended, in words, with the last lines of its output where it failed."""
    reason_code: str | None = None
    supervised: bool = True
    """False once its supervisor was lost (P3.7)."""
    backend: str
    devices: list[str] = field(default_factory=list)
    """GPUs that were leased to it, by UUID."""
    limit_missing: str | None = None
    """Why a limit that was asked for does not hold on its host, in words."""
    assigned_at: float
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    output_bytes: int
    """Size of its output now."""
    output_sealed_bytes: int | None = None
    """How much of it the newest seal in the ledger covers (P6.4)."""
    output_sha256: str | None = None
    """Digest of that part, 64 hex digits."""
    run_dir: str
    host: str | None = None
    interpreter: str | None = None
    interpreter_version: str | None = None
    git: GitView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPage:
    """A page of the attempts of one run."""

    items: list[AttemptView]
    next_cursor: str | None = None
    """Send it as `cursor`; null on the last page."""
