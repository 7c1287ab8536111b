"""Questions about notices: what there is to hear of, in the order of the ledger."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select

from tallystick.db.database import Transaction
from tallystick.domain.notice import Notice
from tallystick.domain.status import Outcome
from tallystick.projections.operations import acknowledged
from tallystick.projections.tables import notices as shape

_t = shape.table.c

RUN_COMPLETE: Final = "run_complete"

UNSUCCESSFUL: Final = tuple(
    sorted(set(Outcome) - {Outcome.SUCCEEDED, Outcome.CANCELLED}, key=lambda one: one.value)
)
"""Outcomes of a run that failed; one that somebody stopped did not."""


def get(tx: Transaction, notice: str) -> Notice | None:
    """One notice."""
    found = many(tx, [notice])
    return found[0] if found else None


def many(tx: Transaction, ids: Sequence[str]) -> list[Notice]:
    """The notices that exist among `ids`, oldest first."""
    if not ids:
        return []
    statement = select(shape.table).where(_t.id.in_(ids)).order_by(_t.seq, _t.id)
    return [shape.load(row) for row in tx.fetch(statement)]


def newest_seq(tx: Transaction) -> int:
    """Sequence number of the newest notice; -1 when there is none."""
    rows = tx.fetch(select(func.max(_t.seq).label("seq")))
    return -1 if rows[0]["seq"] is None else int(rows[0]["seq"])


def calling(tx: Transaction, types: Collection[str], *, after: int, limit: int) -> list[Notice]:
    """Notices of these types that call for somebody, oldest first; runs only when they failed."""
    statement = (
        select(shape.table)
        .where(_calls(types), _t.seq > after)
        .order_by(_t.seq, _t.id)
        .limit(limit)
    )
    return [shape.load(row) for row in tx.fetch(statement)]


def calling_before(tx: Transaction, types: Collection[str], *, after: int, newest: int) -> int:
    """Where to go on so that no more than `newest` such notices are still to come."""
    statement = (
        select(_t.seq)
        .where(_calls(types), _t.seq > after)
        .order_by(_t.seq.desc(), _t.id.desc())
        .offset(newest)
        .limit(1)
    )
    rows = tx.fetch(statement)
    return int(rows[0]["seq"]) if rows else after


def _calls(types: Collection[str]) -> ColumnElement[Any]:
    failed = and_(_t.type == RUN_COMPLETE, _t.detail.in_([one.value for one in UNSUCCESSFUL]))
    others = [one for one in types if one != RUN_COMPLETE]
    return or_(failed, _t.type.in_(others)) if RUN_COMPLETE in types else _t.type.in_(others)


def unacknowledged(tx: Transaction, session: str, *, limit: int, after: int = -1) -> list[Notice]:
    """At most `limit` notices of a session that nobody has acknowledged, oldest first."""
    a = acknowledged.c
    place = select(a.seq).where(a.session == session, a.notice == "").scalar_subquery()
    done = select(a.notice).where(a.session == session, a.notice != "")
    statement = (
        select(shape.table)
        .where(_t.session == session, _t.seq > func.coalesce(place, -1), _t.seq > after)
        .where(_t.id.not_in(done))
        .order_by(_t.seq, _t.id)
        .limit(limit)
    )
    return [shape.load(row) for row in tx.fetch(statement)]
