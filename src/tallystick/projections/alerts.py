"""Questions about alerts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.alert import Alert
from tallystick.projections.tables import alerts as shape

_t = shape.table.c


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Which alerts; None means all."""

    run: str | None = None
    session: str | None = None
    pending: bool | None = None
    severity: str | None = None


def get(tx: Transaction, alert: str) -> Alert | None:
    """One alert."""
    found = many(tx, [alert])
    return found[0] if found else None


def many(tx: Transaction, ids: Sequence[str]) -> list[Alert]:
    """The alerts that exist among `ids`, in no particular order."""
    if not ids:
        return []
    return [shape.load(row) for row in tx.fetch(select(shape.table).where(_t.id.in_(ids)))]


def page(
    tx: Transaction, wanted: AlertFilter, *, limit: int, before: int | None = None
) -> list[Alert]:
    """At most `limit` alerts, newest first, raised before ledger position `before`."""
    statement = select(shape.table).order_by(_t.created_seq.desc()).limit(limit)
    if wanted.run is not None:
        statement = statement.where(_t.run == wanted.run)
    if wanted.session is not None:
        statement = statement.where(_t.session == wanted.session)
    if wanted.pending is not None:
        answered = _t.action.is_(None) if wanted.pending else _t.action.is_not(None)
        statement = statement.where(answered)
    if wanted.severity is not None:
        statement = statement.where(_t.severity == wanted.severity)
    if before is not None:
        statement = statement.where(_t.created_seq < before)
    return [shape.load(row) for row in tx.fetch(statement)]


def newest_of_source(tx: Transaction, run: str, source: str) -> Alert | None:
    """The newest alert about a run that came from `source`."""
    statement = (
        select(shape.table)
        .where(_t.run == run, _t.source == source)
        .order_by(_t.created_seq.desc())
        .limit(1)
    )
    rows = tx.fetch(statement)
    return shape.load(rows[0]) if rows else None
