"""Questions about attempts."""

from collections.abc import Sequence

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.attempt import Attempt
from tallystick.projections.tables import attempts as shape

_t = shape.table.c


def get(tx: Transaction, attempt: str) -> Attempt | None:
    """One attempt."""
    rows = tx.fetch(select(shape.table).where(_t.id == attempt))
    return shape.load(rows[0]) if rows else None


def many(tx: Transaction, ids: Sequence[str]) -> list[Attempt]:
    """The attempts that exist among `ids`, in no particular order."""
    rows = tx.fetch(select(shape.table).where(_t.id.in_(ids)))
    return [shape.load(row) for row in rows]


def numbered(tx: Transaction, run: str, number: int) -> Attempt | None:
    """The attempt of a run with that number, from 1."""
    statement = select(shape.table).where(_t.run == run, _t.number == number)
    rows = tx.fetch(statement)
    return shape.load(rows[0]) if rows else None


def of_run(tx: Transaction, run: str, *, limit: int, before: int | None = None) -> list[Attempt]:
    """At most `limit` attempts of a run, newest first; only numbers below `before`."""
    statement = select(shape.table).where(_t.run == run).order_by(_t.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_t.number < before)
    return [shape.load(row) for row in tx.fetch(statement)]


def active(tx: Transaction) -> list[Attempt]:
    """Every attempt that has not ended, oldest first."""
    statement = select(shape.table).where(_t.active.is_(True)).order_by(_t.assigned_at)
    return [shape.load(row) for row in tx.fetch(statement)]
