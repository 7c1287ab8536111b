"""What the policy of the queue is asked with, at a cost that does not grow with queue or history.

Runs that wait for the same things share a lane (session, sweep, resources, priority), so the first
few of each lane stand for all of it: a sweep of 13,020 points is one lane. Lanes are found by one
index, one step each; active attempts are as many as there are slots.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, RowMapping, Select, and_, func, or_, select, union_all

from tallystick.db.database import Transaction
from tallystick.domain import budget as budgets
from tallystick.domain.budget import Budget
from tallystick.domain.capacity import Capacity
from tallystick.domain.cluster import Cluster
from tallystick.domain.codec import from_fields
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId, SessionId, SweepId
from tallystick.domain.queue import Allowance, Candidate, Holding, Situation
from tallystick.domain.reasons import BudgetSpent, Drained, Reason, SweepPaused
from tallystick.domain.run import Run
from tallystick.domain.shares import default_gpus, limited
from tallystick.domain.sweep import Sweep
from tallystick.ledger.ledger import Ledger
from tallystick.projections import attempts, runs, tables, totals
from tallystick.projections.rows import Shape

S = TypeVar("S")

_t = tables.runs.table.c
_LANES_AT_ONCE: Final = 64
"""Lanes asked for by one statement: SQLite takes up to 500."""

_SEEN: Final = (_t.id, _t.session, _t.sweep, _t.demands, _t.queued_seq, _t.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the server may use, as its backend and its settings say."""

    capacity: Capacity
    default_gpus: int | None = None
    """Devices of a run that does not say how many; None: one where there is any."""
    now: int
    """Milliseconds: retries of later wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Runs that wait for the same things, and what holds up all of them."""

    id: str
    after: int
    """Runs that were queued before this entry are being stopped."""
    first: tuple[Candidate, ...]
    """The oldest that could start, at least one."""

    @property
    def head(self) -> Candidate:
        """The oldest; all of them have its session, sweep and demands."""
        return self.first[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The queue at one moment, as far as the policy needs it."""

    now: int
    cluster: Cluster
    situation: Situation
    lanes: tuple[Lane, ...] = ()
    """Those with a run that could be next."""
    sweeps: Mapping[SweepId, Sweep] = field(default_factory=dict)

    @property
    def candidates(self) -> Iterable[Candidate]:
        """Everybody that the policy has to look at."""
        return chain.from_iterable(lane.first for lane in self.lanes)


def load(tx: Transaction, room: Room, *, idle: bool = False, words: bool = False) -> Line:
    """The queue at this moment.

    With `idle` no lane is read when nothing could start. With `words` the texts behind reasons are
    read as well.
    """
    cluster = totals.cluster(tx)
    capacity = limited(room.capacity, slots=None, gpu_count=cluster.gpu_count)
    situation = Situation(
        capacity=capacity,
        holdings=holdings(tx),
        default_gpus=default_gpus(capacity, room.default_gpus),
    )
    line = Line(now=room.now, cluster=cluster, situation=situation)
    if idle and (situation.free_slots == 0 or cluster.drained):
        return line
    limit = max(1, situation.free_slots)
    found = _heads(tx, _lane_ids(tx), now=room.now, limit=limit)
    heads = [rows[0] for rows in found.values() if rows]
    around = _Around(tx, heads, cluster, words=words)
    lanes = []
    for key, rows in found.items():
        after = around.stopped_at(rows[0]) if rows else 0
        if after and rows[0]["queued_seq"] < after:
            rows = list(_oldest(tx, key, now=room.now, limit=limit, after=after))  # noqa: PLW2901
        if rows:
            lanes.append(Lane(id=key, after=after, first=around.candidates(rows)))
    return replace(
        line,
        situation=replace(
            situation,
            parallel=around.parallel,
            served=around.served,
            allowances=around.allowances,
        ),
        lanes=tuple(lanes),
        sweeps=around.sweeps,
    )


def held_up(tx: Transaction, sweep: Sweep) -> Reason | None:
    """What keeps every queued run of a sweep from being started, and no end of a run changes."""
    head = {"sweep": sweep.id, "session": sweep.session}
    around = _Around(tx, [head], totals.cluster(tx), words=True)
    return around.held_up(SessionId(sweep.session), sweep.id)


def holdings(tx: Transaction) -> tuple[Holding, ...]:
    """Every active run, and what it holds."""
    active = attempts.active(tx)
    by_id = {run.id: run for run in runs.many(tx, [attempt.run for attempt in active])}
    return tuple(
        Holding(
            run=run.id,
            attempt=attempt.id,
            session=run.session,
            sweep=run.sweep,
            demands=run.demands,
            gpus=attempt.gpus,
            since=attempt.assigned_at,
        )
        for attempt in active
        if (run := by_id.get(attempt.run)) is not None
    )


def held(tx: Transaction, *, limit: int, after: int = 0) -> list[Run]:
    """At most `limit` runs that wait for others, queued after entry `after`, the oldest first."""
    table = tables.runs.table
    statement = (
        select(table)
        .where(_t.held.is_(True), _t.queued_seq > after)
        .order_by(_t.queued_seq)
        .limit(limit)
    )
    return [tables.runs.load(row) for row in tx.fetch(statement)]


def in_line(now: int, *, after: int = 0) -> ColumnElement[bool]:
    """What makes a run of a lane one that could start: not about to be stopped, nor resting."""
    due = or_(_t.not_before.is_(None), _t.not_before <= now)
    return and_(_t.queued_seq > after, due) if after else due


def _lane_ids(tx: Transaction) -> list[str]:
    """Every lane with a run in it: from one to the next along the index."""
    found = select(func.min(_t.lane).label("lane")).cte("lanes", recursive=True)
    following = select(func.min(_t.lane)).where(_t.lane > found.c.lane).scalar_subquery()
    found = found.union_all(select(following).where(found.c.lane.is_not(None)))
    statement = select(found.c.lane).where(found.c.lane.is_not(None))
    return [row["lane"] for row in tx.fetch(statement)]


def _heads(
    tx: Transaction, lanes: Sequence[str], *, now: int, limit: int
) -> dict[str, list[RowMapping]]:
    """The oldest runs of each lane that could start; many lanes by one statement."""
    found: dict[str, list[RowMapping]] = {key: [] for key in lanes}
    for first in range(0, len(lanes), _LANES_AT_ONCE):
        some = lanes[first : first + _LANES_AT_ONCE]
        parts = [select(_first(key, now=now, limit=limit).subquery()) for key in some]
        for row in tx.fetch(union_all(*parts) if len(parts) > 1 else parts[0]):
            found[row["lane"]].append(row)
    return {key: sorted(rows, key=itemgetter("queued_seq")) for key, rows in found.items()}


def _oldest(
    tx: Transaction, lane: str, *, now: int, limit: int, after: int
) -> Sequence[RowMapping]:
    """The oldest runs of a lane that were queued after an entry, and could start."""
    return tx.fetch(_first(lane, now=now, limit=limit, after=after))


def _first(lane: str, *, now: int, limit: int, after: int = 0) -> Select[Any]:
    return (
        select(*_SEEN, _t.lane)
        .where(_t.lane == lane, in_line(now, after=after))
        .order_by(_t.queued_seq)
        .limit(limit)
    )


class _Around:
    """Sweeps, sessions and budgets of the lanes, and what of them holds up a lane."""

    def __init__(
        self,
        tx: Transaction,
        heads: Sequence[RowMapping | Mapping[str, Any]],
        cluster: Cluster,
        *,
        words: bool,
    ) -> None:
        in_sweeps = sorted({head["sweep"] for head in heads if head["sweep"] is not None})
        of_sessions = sorted({head["session"] for head in heads})
        self.sweeps = {sweep.id: sweep for sweep in _many(tx, tables.sweeps, in_sweeps)}
        self._sessions = {found.id: found for found in _many(tx, tables.sessions, of_sessions)}
        scopes = [*in_sweeps, *(budgets.scope_of(SessionId(key)) for key in of_sessions)]
        self._budgets = {found.id: found for found in _many(tx, tables.budgets, scopes)}
        self._drained = _drained(tx, cluster, words=words)

    @property
    def parallel(self) -> dict[SweepId, int]:
        """Runs at a time, where a sweep limits them."""
        limits = ((key, sweep.parallel) for key, sweep in self.sweeps.items())
        return {key: limit for key, limit in limits if limit is not None}

    @property
    def served(self) -> dict[SessionId, int]:
        """When a run of each session was started last."""
        served = ((key, session.served_seq) for key, session in self._sessions.items())
        return {key: seq for key, seq in served if seq is not None}

    @property
    def allowances(self) -> dict[str, Allowance]:
        """Starts that are left, by the scope of each budget of runs."""
        begun = {budgets.scope_of(key): known.begun for key, known in self._sessions.items()}
        begun |= {key: sweep.begun for key, sweep in self.sweeps.items()}
        found = {key: _allowance(self._budgets.get(key), runs) for key, runs in begun.items()}
        return {key: allowance for key, allowance in found.items() if allowance is not None}

    def stopped_at(self, row: RowMapping) -> int:
        """The entry that stopped the sweep of a lane; 0 where nothing is left to stop."""
        sweep = self.sweeps.get(row["sweep"])
        return 0 if sweep is None or not sweep.to_stop else sweep.stopped_seq or 0

    def candidates(self, rows: Sequence[RowMapping]) -> tuple[Candidate, ...]:
        """The runs of one lane."""
        session, sweep = SessionId(rows[0]["session"]), rows[0]["sweep"]
        demands = from_fields(Demands, json.loads(rows[0]["demands"]))
        held_up = self.held_up(session, sweep)
        return tuple(
            Candidate(
                run=RunId(row["id"]),
                session=session,
                sweep=sweep,
                demands=demands,
                queued_seq=row["queued_seq"],
                begun=row["attempts"] > 0,
                held_up=held_up,
            )
            for row in rows
        )

    def held_up(self, session: SessionId, key: SweepId | None) -> Reason | None:
        """What somebody said or spent, and no end of a run changes."""
        sweep = self.sweeps.get(key) if key is not None else None
        if sweep is not None and sweep.paused:
            return SweepPaused.by(sweep.id, sweep.paused)
        of_session = _spent(self._budgets.get(budgets.scope_of(session)))
        of_sweep = _spent(self._budgets.get(sweep.id)) if sweep is not None else None
        return of_session or of_sweep or self._drained


def _drained(tx: Transaction, cluster: Cluster, *, words: bool) -> Drained | None:
    """That somebody drained the server, and why."""
    if not cluster.drained:
        return None
    reason = cluster.drain_reason if words else None
    found = Ledger.texts(tx, [reason.c]) if reason is not None else {}
    return Drained(found[reason.c].decode() if reason is not None and reason.c in found else None)


def _spent(budget: Budget | None) -> BudgetSpent | None:
    """Which budget of time keeps the next run from being started."""
    for kind in ("gpu", "wall"):
        limit = None if budget is None else budget.limit(kind)
        if budget is not None and limit is not None and kind in budget.reached:
            return BudgetSpent(whose=_whose(budget), kind=kind, limit=limit)
    return None


def _allowance(budget: Budget | None, begun: int) -> Allowance | None:
    """How many more runs may start.

    A budget of runs counts those that were executed, so that all that it allows do start.
    """
    if budget is None or budget.runs is None:
        return None
    spent = BudgetSpent(whose=_whose(budget), kind="runs", limit=budget.runs)
    return Allowance(budget.runs - begun, spent)


def _whose(budget: Budget) -> str:
    return "session" if budgets.session_in(budget.id) is not None else "sweep"


def _many(tx: Transaction, shape: Shape[S], ids: Sequence[str]) -> list[S]:
    """The states that exist among `ids`."""
    if not ids:
        return []
    rows = tx.fetch(select(shape.table).where(shape.table.c.id.in_(ids)))
    return [shape.load(row) for row in rows]
