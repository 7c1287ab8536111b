"""The small questions that have one row for an answer: totals and policy."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.policy import Policy
from tallystick.domain.status import Tally
from tallystick.projections import tables


def get(tx: Transaction) -> Tally:
    """Runs that are not archived, by status."""
    rows = tx.fetch(select(tables.totals.table))
    return tables.totals.load(rows[0]).runs if rows else Tally()


def policy(tx: Transaction) -> Policy:
    """The policy in force."""
    rows = tx.fetch(select(tables.policy.table))
    return tables.policy.load(rows[0]) if rows else Policy()
