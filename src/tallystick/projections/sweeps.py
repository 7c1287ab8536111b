"""Questions about sweeps."""

from collections.abc import Sequence

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.sweep import Sweep
from tallystick.projections.tables import sweeps as shape

_t = shape.table.c


def get(tx: Transaction, sweep: str) -> Sweep | None:
    """One sweep."""
    rows = tx.fetch(select(shape.table).where(_t.id == sweep))
    return shape.load(rows[0]) if rows else None


def many(tx: Transaction, ids: Sequence[str]) -> list[Sweep]:
    """The sweeps that exist among `ids`, in no particular order."""
    rows = tx.fetch(select(shape.table).where(_t.id.in_(ids)))
    return [shape.load(row) for row in rows]


def page(
    tx: Transaction,
    *,
    limit: int,
    before: int | None = None,
    session: str | None = None,
    archived: bool | None = False,
) -> list[Sweep]:
    """At most `limit` sweeps, newest first, created before ledger position `before`.

    `archived` None means all.
    """
    statement = select(shape.table).order_by(_t.created_seq.desc()).limit(limit)
    if session is not None:
        statement = statement.where(_t.session == session)
    if archived is not None:
        statement = statement.where(_t.archived.is_(archived))
    if before is not None:
        statement = statement.where(_t.created_seq < before)
    return [shape.load(row) for row in tx.fetch(statement)]


def unsettled(tx: Transaction) -> list[Sweep]:
    """Every sweep that the planner has something to do for, oldest first."""
    statement = select(shape.table).where(_t.unsettled.is_(True)).order_by(_t.created_seq)
    return [shape.load(row) for row in tx.fetch(statement)]
