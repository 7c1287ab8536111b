"""Questions about runs. None of them changes anything, none reads metrics or logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select

from tallystick.db.database import Transaction
from tallystick.domain.ids import RunId, SessionId, SweepId
from tallystick.domain.run import Run
from tallystick.domain.session import Session
from tallystick.domain.status import Phase, Status
from tallystick.domain.sweep import Sweep
from tallystick.projections.selecting import Selection
from tallystick.projections.tables import runs as shape

_t = shape.table.c

LARGE_SWEEP: Final = 200
"""Runs; numbering more of them than a list shows costs more than a question of its own."""

MOST_LOOKED_AT: Final = 2_000
"""Rows of one session, or of one queue, that a short answer is made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; None means all."""

    sweep: SweepId | None = None
    session: SessionId | None = None
    status: Status | None = None
    archived: bool | None = False
    selection: Selection = field(default_factory=Selection)


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
    phase: Phase


def page(tx: Transaction, wanted: RunFilter, *, limit: int, before: int | None = None) -> list[Run]:
    """At most `limit` runs in their order, after the one registered at `before`."""
    statement = _paged(tx, select(shape.table), wanted, limit=limit, before=before)
    return [shape.load(row) for row in tx.fetch(statement)]


def places(
    tx: Transaction, wanted: RunFilter, *, limit: int, before: int | None = None
) -> list[Place]:
    """The same runs, by no more than what tells whether anything about them is new."""
    chosen = select(_t.id, _t.created_seq, _t.changed_seq, _t.phase)
    rows = tx.fetch(_paged(tx, chosen, wanted, limit=limit, before=before))
    return [Place(*row.values()) for row in rows]


def _paged(
    tx: Transaction,
    chosen: Select[Any],
    wanted: RunFilter,
    *,
    limit: int,
    before: int | None,
) -> Select[Any]:
    selection = wanted.selection
    statement = chosen.select_from(selection.source()).order_by(*selection.order()).limit(limit)
    statement = statement.where(*selection.conditions())
    if wanted.sweep is not None:
        statement = statement.where(_t.sweep == wanted.sweep)
    if wanted.session is not None:
        statement = statement.where(_t.session == wanted.session)
    if wanted.status is not None:
        statement = statement.where(_t.status == wanted.status.value)
    if wanted.archived is not None:
        statement = statement.where(_t.archived.is_(wanted.archived))
    if before is not None:
        statement = statement.where(selection.following(tx, before))
    return statement


def ids_of_sweep(tx: Transaction, sweep: str, *, limit: int) -> list[RunId]:
    """Ids of a sweep's runs, oldest first."""
    statement = select(_t.id).where(_t.sweep == sweep).order_by(_t.created_seq).limit(limit)
    return [RunId(row["id"]) for row in tx.fetch(statement)]


def ids_of_sweeps(
    tx: Transaction, sizes: Mapping[SweepId, int], *, limit: int
) -> dict[SweepId, list[RunId]]:
    """Ids of each sweep's first `limit` runs, oldest first; `sizes` is how many runs each has.

    One question for all that are small; a large one has its own, which reads no more than it
    tells.
    """
    large = [sweep for sweep, size in sizes.items() if size > LARGE_SWEEP]
    found = {sweep: ids_of_sweep(tx, sweep, limit=limit) for sweep in large}
    small = [sweep for sweep in sizes if sweep not in found]
    if not small:
        return found
    place = func.row_number().over(partition_by=_t.sweep, order_by=_t.created_seq)
    numbered = select(_t.id, _t.sweep, place.label("place")).where(_t.sweep.in_(small)).subquery()
    statement = (
        select(numbered.c.id, numbered.c.sweep)
        .where(numbered.c.place <= limit)
        .order_by(numbered.c.sweep, numbered.c.place)
    )
    for row in tx.fetch(statement):
        found.setdefault(SweepId(row["sweep"]), []).append(RunId(row["id"]))
    return found


def to_queue(tx: Transaction, sweep: Sweep, *, limit: int) -> list[RunId]:
    """Runs that were ready when their sweep was started, and still are; oldest first."""
    return _moving(
        tx, sweep, _t.status == Status.READY.value, _t.created_seq < sweep.started_seq, limit=limit
    )


def to_stop(tx: Transaction, sweep: Sweep, *, limit: int) -> list[RunId]:
    """Runs that were on their way when their sweep was stopped, and were not asked to end yet."""
    moving = _t.phase.in_([Phase.QUEUED.value, Phase.ACTIVE.value])
    asked = _t.stop_requested.is_(False)
    return _moving(tx, sweep, moving, asked, _t.queued_seq < sweep.stopped_seq, limit=limit)


def to_requeue(tx: Transaction, sweep: Sweep, *, limit: int) -> list[RunId]:
    """Runs that had ended without success when their sweep was resumed; oldest first."""
    unsuccessful = _t.status.in_([Status.FAILED.value, Status.STOPPED.value])
    return _moving(tx, sweep, unsuccessful, _t.ended_seq < sweep.resumed_seq, limit=limit)


def _moving(
    tx: Transaction, sweep: Sweep, *conditions: ColumnElement[bool], limit: int
) -> list[RunId]:
    statement = (
        select(_t.id)
        .where(_t.sweep == sweep.id, _t.archived.is_(False), *conditions)
        .order_by(_t.created_seq)
        .limit(limit)
    )
    return [RunId(row["id"]) for row in tx.fetch(statement)]


def active(tx: Transaction) -> list[Run]:
    """Every run that was launched and has not ended."""
    statement = select(shape.table).where(_t.phase == Phase.ACTIVE.value).order_by(_t.queued_seq)
    return [shape.load(row) for row in tx.fetch(statement)]


def active_of_session(tx: Transaction, session: str, *, limit: int) -> list[Run]:
    """At most `limit` active runs of a session, the oldest first; reads active runs alone."""
    statement = (
        select(shape.table)
        .where(_t.phase == Phase.ACTIVE.value, _t.session == session)
        .order_by(_t.queued_seq)
        .limit(limit)
    )
    return [shape.load(row) for row in tx.fetch(statement)]


def held_of_session(tx: Transaction, session: str, *, limit: int) -> list[Run]:
    """At most `limit` runs of a session that wait for others, among the oldest that do."""
    eldest = (
        select(_t.id, _t.session, _t.queued_seq)
        .where(_t.held.is_(True))
        .order_by(_t.queued_seq)
        .limit(MOST_LOOKED_AT)
        .subquery()
    )
    own = (
        select(eldest.c.id)
        .where(eldest.c.session == session)
        .order_by(eldest.c.queued_seq)
        .limit(limit)
    )
    statement = select(shape.table).where(_t.id.in_(own)).order_by(_t.queued_seq)
    return [shape.load(row) for row in tx.fetch(statement)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Runs that failed the same way."""

    count: int
    newest: Run


def causes(tx: Transaction, session: Session, *, limit: int) -> tuple[list[Cause], int]:
    """Ways in which runs of a session failed, the most frequent first, and how many were counted.

    What it costs does not grow with history: of a session with more than `MOST_LOOKED_AT` runs,
    those are counted that are among as many newest failed ones of the server.
    """
    same = (_t.outcome, _t.reason_code, _t.exit_code, _t.signal)
    small = session.runs.total <= MOST_LOOKED_AT
    newest = (
        select(*same, _t.status, _t.session, _t.archived, _t.created_seq)
        .where(_t.session == session.id if small else _t.status == Status.FAILED.value)
        .order_by(_t.created_seq.desc())
        .limit(MOST_LOOKED_AT)
        .subquery()
    )
    alike = [newest.c[column.name] for column in same]
    grouped = (
        select(func.count().label("runs"), func.max(newest.c.created_seq).label("newest"))
        .where(
            newest.c.status == Status.FAILED.value,
            newest.c.session == session.id,
            newest.c.archived.is_(False),
        )
        .group_by(*alike)
    )
    found = sorted(((row["runs"], row["newest"]) for row in tx.fetch(grouped)), reverse=True)
    shown = {seq: count for count, seq in found[:limit]}
    if not shown:
        return [], 0
    rows = tx.fetch(select(shape.table).where(_t.created_seq.in_(sorted(shown))))
    by_seq = {run.created_seq: run for run in map(shape.load, rows) if run.session == session.id}
    listed = [Cause(count=shown[seq], newest=by_seq[seq]) for seq in shown if seq in by_seq]
    return listed, sum(count for count, _ in found)


def queued(tx: Transaction, *, limit: int) -> list[Run]:
    """The head of the queue, in the order in which runs were queued."""
    statement = (
        select(shape.table)
        .where(_t.phase == Phase.QUEUED.value)
        .order_by(_t.queued_seq)
        .limit(limit)
    )
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
