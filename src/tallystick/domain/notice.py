"""A notice: something that somebody may want to hear of; derived from the entry that says it."""

from dataclasses import dataclass

from tallystick.domain.ids import RunId, SessionId, SweepId


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to hear of, in the order of the ledger."""

    id: str
    """The sequence number of its entry, and a letter where one entry leads to two."""
    seq: int
    ts: int
    """Milliseconds: when it happened."""
    type: str
    """run_complete, sweep_complete, sweep_paused, alert, budget_warned or budget_reached."""
    session: SessionId | None = None
    subject: str
    """Id of the run, sweep, alert or budget that it is about."""
    run: RunId | None = None
    sweep: SweepId | None = None
    detail: str | None = None
    """A word that belongs to it: the outcome of a run, the kind of a budget."""
