"""How far each target has been told, and what is to be tried again; operational, no facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select

from tallystick.db.database import Transaction
from tallystick.projections.operations import deliveries as table

_t = table.c
_OWN: Final = ""
"""Stands for the target itself where a notice's id stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one target is. Times are milliseconds."""

    seq: int
    """Every notice up to here was tried at least once."""
    failures: int = 0
    """Tries that failed since one succeeded."""
    rests_until: int = 0
    """Nothing is sent to it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A notice that could not be delivered yet."""

    notice: str
    seq: int
    tries: int
    """Tries so far."""
    due_at: int


def standing(tx: Transaction, target: str) -> Standing | None:
    """Where a target is; None for one that is new."""
    rows = tx.fetch(select(table).where(_t.target == target, _t.notice == _OWN))
    if not rows:
        return None
    row = rows[0]
    return Standing(seq=row["seq"], failures=row["tries"], rests_until=row["due_at"])


def stand(tx: Transaction, target: str, place: Standing) -> None:
    """Remember where a target is."""
    _put(tx, target, _OWN, (place.seq, place.failures, place.rests_until))


def due(tx: Transaction, target: str, *, now: int, limit: int) -> list[Retry]:
    """At most `limit` notices whose next try is due, those that wait longest first."""
    statement = (
        select(table)
        .where(_t.target == target, _t.notice != _OWN, _t.due_at <= now)
        .order_by(_t.due_at, _t.seq, _t.notice)
        .limit(limit)
    )
    return [
        Retry(notice=row["notice"], seq=row["seq"], tries=row["tries"], due_at=row["due_at"])
        for row in tx.fetch(statement)
    ]


def put_off(tx: Transaction, target: str, retries: Sequence[Retry]) -> None:
    """Try these again when they are due."""
    for retry in retries:
        _put(tx, target, retry.notice, (retry.seq, retry.tries, retry.due_at))


def settle(tx: Transaction, target: str, notices: Sequence[str]) -> None:
    """These were delivered, or are given up."""
    if notices:
        tx.execute(delete(table).where(_t.target == target, _t.notice.in_(notices)))


def bound(tx: Transaction, target: str, *, most: int) -> int:
    """Give up the oldest of more than `most` retries; how many that were."""
    statement = (
        select(_t.notice)
        .where(_t.target == target, _t.notice != _OWN)
        .order_by(_t.seq.desc(), _t.notice.desc())
        .offset(most)
    )
    surplus = [row["notice"] for row in tx.fetch(statement)]
    settle(tx, target, surplus)
    return len(surplus)


def forget_others(tx: Transaction, targets: Sequence[str]) -> None:
    """Forget targets that are no longer told: one that comes back begins anew."""
    tx.execute(delete(table).where(_t.target.not_in(targets)))


def _put(tx: Transaction, target: str, notice: str, numbers: tuple[int, int, int]) -> None:
    seq, tries, due_at = numbers
    row = {"target": target, "notice": notice, "seq": seq, "tries": tries, "due_at": due_at}
    tx.upsert(table, [row])
