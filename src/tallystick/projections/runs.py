"""Questions about runs. None of them changes anything, none reads metrics or logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from tallystick.db.database import Transaction
from tallystick.domain.ids import RunId, SessionId, SweepId
from tallystick.domain.run import Run
from tallystick.domain.status import Phase, Status
from tallystick.projections.tables import runs as shape

_t = shape.table.c


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; None means all."""

    sweep: SweepId | None = None
    session: SessionId | None = None
    status: Status | None = None
    archived: bool | None = False


def get(tx: Transaction, run: str) -> Run | None:
    """One run."""
    rows = tx.fetch(select(shape.table).where(_t.id == run))
    return shape.load(rows[0]) if rows else None


def many(tx: Transaction, ids: Sequence[str]) -> list[Run]:
    """The runs that exist among `ids`, in no particular order."""
    if not ids:
        return []
    rows = tx.fetch(select(shape.table).where(_t.id.in_(ids)))
    return [shape.load(row) for row in rows]


class Place(NamedTuple):
    """Where a run stands in a list, and the entry that moved it last."""

    id: str
    created_seq: int
    changed_seq: int


def page(tx: Transaction, wanted: RunFilter, *, limit: int, before: int | None = None) -> list[Run]:
    """At most `limit` runs, newest first, registered before ledger position `before`."""
    statement = _paged(select(shape.table), wanted, limit=limit, before=before)
    return [shape.load(row) for row in tx.fetch(statement)]


def places(
    tx: Transaction, wanted: RunFilter, *, limit: int, before: int | None = None
) -> list[Place]:
    """The same runs, by no more than what tells whether anything about them is new."""
    chosen = select(_t.id, _t.created_seq, _t.changed_seq)
    rows = tx.fetch(_paged(chosen, wanted, limit=limit, before=before))
    return [Place(*row.values()) for row in rows]


def _paged(
    chosen: Select[Any], wanted: RunFilter, *, limit: int, before: int | None
) -> Select[Any]:
    statement = chosen.order_by(_t.created_seq.desc()).limit(limit)
    if wanted.sweep is not None:
        statement = statement.where(_t.sweep == wanted.sweep)
    if wanted.session is not None:
        statement = statement.where(_t.session == wanted.session)
    if wanted.status is not None:
        statement = statement.where(_t.status == wanted.status.value)
    if wanted.archived is not None:
        statement = statement.where(_t.archived.is_(wanted.archived))
    if before is not None:
        statement = statement.where(_t.created_seq < before)
    return statement


def ids_of_sweep(tx: Transaction, sweep: str, *, limit: int) -> list[RunId]:
    """Ids of a sweep's runs, oldest first."""
    statement = select(_t.id).where(_t.sweep == sweep).order_by(_t.created_seq).limit(limit)
    return [RunId(row["id"]) for row in tx.fetch(statement)]


def ids_of_sweeps(tx: Transaction, sweeps: Sequence[str], *, limit: int) -> dict[str, list[RunId]]:
    """Ids of each sweep's first `limit` runs, oldest first; in one question, whatever there is."""
    place = func.row_number().over(partition_by=_t.sweep, order_by=_t.created_seq)
    numbered = select(_t.id, _t.sweep, place.label("place")).where(_t.sweep.in_(sweeps)).subquery()
    statement = (
        select(numbered.c.id, numbered.c.sweep)
        .where(numbered.c.place <= limit)
        .order_by(numbered.c.sweep, numbered.c.place)
    )
    found: dict[str, list[RunId]] = {}
    for row in tx.fetch(statement):
        found.setdefault(row["sweep"], []).append(RunId(row["id"]))
    return found


def queued(tx: Transaction, *, limit: int) -> list[Run]:
    """The head of the queue, in the order in which runs were queued."""
    statement = (
        select(shape.table)
        .where(_t.phase == Phase.QUEUED.value)
        .order_by(_t.queued_seq)
        .limit(limit)
    )
    return [shape.load(row) for row in tx.fetch(statement)]


def active(tx: Transaction) -> list[Run]:
    """Every run that was launched and has not ended."""
    statement = select(shape.table).where(_t.phase == Phase.ACTIVE.value).order_by(_t.queued_seq)
    return [shape.load(row) for row in tx.fetch(statement)]


def queue_position(tx: Transaction, run: Run) -> int | None:
    """1 for the run that is started next; None when it is not queued."""
    if run.phase is not Phase.QUEUED:
        return None
    statement = (
        select(func.count().label("ahead"))
        .select_from(shape.table)
        .where(_t.phase == Phase.QUEUED.value, _t.queued_seq <= run.queued_seq)
    )
    return int(tx.fetch(statement)[0]["ahead"])
