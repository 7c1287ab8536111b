"""What lists show of the metrics of runs, and whose index may be behind; operational, no fact."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from tallystick.db.database import Transaction
from tallystick.projections.operations import measured as table
from tallystick.projections.operations import unindexed


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a list shows of one run."""

    run: str
    metrics: str
    """JSON: last values by name."""
    ranges: str
    """JSON: the last, the least and the greatest value by name."""
    summary: str
    """JSON: what the run said of itself at the end."""
    names: int
    points: int


def of_runs(tx: Transaction, runs: Sequence[str]) -> dict[str, Measured]:
    """What is known of those among `runs` that have measured anything."""
    if not runs:
        return {}
    rows = tx.fetch(select(table).where(table.c.run.in_(runs)))
    return {row["run"]: Measured(**row) for row in rows}


def keep(tx: Transaction, found: Iterable[Measured]) -> None:
    """Replace what is known of some runs."""
    tx.upsert(
        table,
        [
            {
                "run": one.run,
                "metrics": one.metrics,
                "ranges": one.ranges,
                "summary": one.summary,
                "names": one.names,
                "points": one.points,
            }
            for one in found
        ],
    )


def behind(tx: Transaction) -> set[str]:
    """Runs whose index may be behind their streams."""
    return {row["run"] for row in tx.fetch(select(unindexed))}


def mark(tx: Transaction, run: str) -> None:
    """The index of a run may be behind from now on."""
    tx.upsert(unindexed, [{"run": run}])


def clear(tx: Transaction, runs: Sequence[str]) -> None:
    """The indexes of ended runs have caught up."""
    if runs:
        tx.execute(delete(unindexed).where(unindexed.c.run.in_(runs)))
