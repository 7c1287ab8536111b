"""How far followers of the ledger have come; operational, no fact."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.projections.operations import cursors as table


def get(tx: Transaction, follower: str) -> int:
    """The last entry that a follower has dealt with; -1 for one that has not begun."""
    rows = tx.fetch(select(table.c.seq).where(table.c.follower == follower))
    return int(rows[0]["seq"]) if rows else -1


def put(tx: Transaction, follower: str, seq: int) -> None:
    """A follower has dealt with everything up to an entry."""
    tx.upsert(table, [{"follower": follower, "seq": seq}])
