"""Which version of the projections the stored tables hold; changes nothing."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.projections import tables


def version(tx: Transaction) -> int | None:
    """The version that wrote the tables; None before the first."""
    rows = tx.fetch(select(tables.positions.c.version))
    return int(rows[0]["version"]) if rows else None
