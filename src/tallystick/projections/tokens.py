"""Questions about tokens, by the hash of the secret only."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.token import GRANTABLE, Token
from tallystick.projections.tables import tokens as shape

_t = shape.table.c


def get(tx: Transaction, token: str) -> Token | None:
    """One token."""
    rows = tx.fetch(select(shape.table).where(_t.id == token))
    return shape.load(rows[0]) if rows else None


def by_hash(tx: Transaction, sha256: str) -> Token | None:
    """The token whose secret has this SHA-256."""
    rows = tx.fetch(select(shape.table).where(_t.sha256 == sha256))
    return shape.load(rows[0]) if rows else None


def page(tx: Transaction, *, limit: int, before: int | None = None) -> list[Token]:
    """At most `limit` tokens that were handed out (not those of runs), newest first."""
    statement = (
        select(shape.table)
        .where(_t.role.in_([role.value for role in GRANTABLE]))
        .order_by(_t.created_seq.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(_t.created_seq < before)
    return [shape.load(row) for row in tx.fetch(statement)]
