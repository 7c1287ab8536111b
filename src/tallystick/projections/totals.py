"""The small questions that have one row for an answer: totals, policy, cluster, a budget."""

from collections.abc import Sequence

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.budget import Budget
from tallystick.domain.cluster import Cluster
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


def cluster(tx: Transaction) -> Cluster:
    """What people said about the machine."""
    rows = tx.fetch(select(tables.cluster.table))
    return tables.cluster.load(rows[0]) if rows else Cluster()


def budget(tx: Transaction, scope: str) -> Budget | None:
    """What a sweep, or `session:` and a session, may use."""
    table = tables.budgets.table
    rows = tx.fetch(select(table).where(table.c.id == scope))
    return tables.budgets.load(rows[0]) if rows else None


def budgets_of(tx: Transaction, scopes: Sequence[str]) -> list[Budget]:
    """The budgets that were ever set among `scopes`, by scope."""
    table = tables.budgets.table
    rows = tx.fetch(select(table).where(table.c.id.in_(scopes)).order_by(table.c.id))
    return [tables.budgets.load(row) for row in rows]


def budgets(tx: Transaction) -> list[Budget]:
    """Every budget that was ever set, by scope."""
    table = tables.budgets.table
    return [tables.budgets.load(row) for row in tx.fetch(select(table).order_by(table.c.id))]
