"""Which runs have streams that no entry covers whole yet; operational, not a fact."""

from sqlalchemy import delete, select

from tallystick.db.database import Transaction
from tallystick.projections.tables import unsealed as table


def waiting(tx: Transaction) -> dict[str, int]:
    """Since when, in milliseconds, each run has unsealed bytes."""
    return {row["run"]: row["since"] for row in tx.fetch(select(table))}


def mark(tx: Transaction, run: str, *, since: int) -> None:
    """A run has unsealed bytes from now on."""
    tx.upsert(table, [{"run": run, "since": since}])


def clear(tx: Transaction, run: str) -> None:
    """All streams of a run are sealed."""
    tx.execute(delete(table).where(table.c.run == run))
