"""Questions about sessions."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.session import Session
from tallystick.projections.tables import sessions as shape

_t = shape.table.c


def get(tx: Transaction, session: str) -> Session | None:
    """One session."""
    rows = tx.fetch(select(shape.table).where(_t.id == session))
    return shape.load(rows[0]) if rows else None


def page(tx: Transaction, *, limit: int, before: int | None = None) -> list[Session]:
    """At most `limit` sessions, newest first, opened before ledger position `before`."""
    statement = select(shape.table).order_by(_t.opened_seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_t.opened_seq < before)
    return [shape.load(row) for row in tx.fetch(statement)]
