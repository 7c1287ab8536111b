"""Which notices a session has acknowledged; operational, and it does not grow with history.

A cursor says up to where everything is acknowledged, rows say what is beyond it. Whoever
acknowledges more than `MOST_BEYOND` later notices has let go of the earlier ones.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, func, select

from tallystick.db.database import Transaction
from tallystick.projections import notices
from tallystick.projections.operations import acknowledged as table

_t = table.c
_CURSOR: Final = ""

MOST_BEYOND: Final = 1_000
"""Notices that are acknowledged while an earlier one is not."""


def cursor(tx: Transaction, session: str) -> int:
    """Every notice of the session up to here is acknowledged; -1 when none is."""
    statement = select(_t.seq).where(_t.session == session, _t.notice == _CURSOR)
    rows = tx.fetch(statement)
    return int(rows[0]["seq"]) if rows else -1


def beyond(tx: Transaction, session: str) -> set[str]:
    """Ids of the acknowledged notices behind the cursor."""
    statement = select(_t.notice).where(_t.session == session, _t.notice != _CURSOR)
    return {row["notice"] for row in tx.fetch(statement)}


def acknowledge(tx: Transaction, session: str, ids: Sequence[str]) -> int:
    """Acknowledge notices of the session; how many were not before. In a write block."""
    place = cursor(tx, session)
    seen = beyond(tx, session)
    wanted = [one for one in dict.fromkeys(ids) if one not in seen]
    fresh = [one for one in notices.many(tx, wanted) if one.session == session and one.seq > place]
    if not fresh:
        return 0
    rows = [{"session": session, "notice": one.id, "seq": one.seq} for one in fresh]
    tx.upsert(table, rows)
    _compact(tx, session, place)
    return len(fresh)


def _compact(tx: Transaction, session: str, place: int) -> None:
    """Move the cursor up to the first notice that is not acknowledged, and forget what it covers.

    Entries have one order, so every later notice has a higher sequence number.
    """
    first = notices.unacknowledged(tx, session, limit=1)
    if first:
        covered = first[0].seq - 1
    else:
        statement = select(func.max(_t.seq).label("seq")).where(_t.session == session)
        covered = int(tx.fetch(statement)[0]["seq"])
    surplus = tx.fetch(
        select(_t.seq)
        .where(_t.session == session, _t.notice != _CURSOR, _t.seq > covered)
        .order_by(_t.seq.desc())
        .offset(MOST_BEYOND)
        .limit(1)
    )
    if surplus:
        covered = int(surplus[0]["seq"])
    if covered > place:
        tx.upsert(table, [{"session": session, "notice": _CURSOR, "seq": covered}])
        tx.execute(
            delete(table).where(_t.session == session, _t.notice != _CURSOR, _t.seq <= covered)
        )
