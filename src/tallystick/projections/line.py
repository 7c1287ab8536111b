"""The queue as people see it: who is at which place, and why each run waits (P3.2).

Asked by lists and pages, not by the scheduler. Places follow from counts by lane, so a question
costs one pass over the index of the queued runs, and no run but those asked about is read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select

from tallystick.db.database import Transaction
from tallystick.domain.ids import RunId, SessionId
from tallystick.domain.queue import Decision, assign
from tallystick.domain.reasons import (
    BudgetSpent,
    Dependencies,
    Impossible,
    Next,
    NotStarted,
    Reason,
    RetryLater,
    SweepLimit,
    SweepPaused,
    SweepStopping,
    Turn,
)
from tallystick.domain.run import Run
from tallystick.domain.shares import Standing, in_order, position
from tallystick.domain.status import Outcome, Phase
from tallystick.projections import queue, runs, tables
from tallystick.projections.queue import Lane, Line, Room

_t = tables.runs.table.c

_OF_ALL: Final = (SweepPaused, BudgetSpent, Impossible, SweepLimit)
"""What holds up a whole lane: the same is true of every run behind its first."""

_OUT_OF_LINE: Final = (SweepPaused, BudgetSpent, Impossible)
"""What somebody must mend before its turn means anything."""


MOST_BETWEEN: Final = 2_000
"""Runs between the first and the last asked about that are read, rather than counted in gaps."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why one run waits, and its place in line; None when it is in none."""

    reason: Reason
    position: int | None = None


class Queue:
    """The queue at one moment, for questions about runs in it."""

    def __init__(self, tx: Transaction, room: Room) -> None:
        """Everything is read through `tx`; of no use after its block has ended."""
        self._tx = tx
        self.line: Line = queue.load(tx, room, words=True)
        self.decision: Decision = assign(self.line.candidates, self.line.situation)
        self._by_lane = {lane.id: lane for lane in self.line.lanes}
        self._moving = [lane for lane in self.line.lanes if not self._stands_still(lane)]
        self._counts = self._count(self._moving)  # so a lane is in line when it is counted
        self.standings = self._standings()

    @property
    def in_line(self) -> int:
        """Runs that nothing holds up but the others and the machine."""
        return sum(self._counts.values())

    def waiting(self, asked: Sequence[Run]) -> dict[RunId, Waiting]:
        """Reason and place of each run among `asked` that is ready or queued."""
        known = self._needed(asked)
        places = self.positions(asked)
        found: dict[RunId, Waiting] = {}
        for run in asked:
            if run.phase in {Phase.READY, Phase.QUEUED}:
                own = self._own_reason(run, known)
                place = places.get(run.id)
                found[run.id] = Waiting(own or self._shared_reason(run, place), place)
        return found

    def positions(self, asked: Sequence[Run]) -> dict[RunId, int]:
        """The place of each run that is in line: 1 is next.

        With X(s, n) the share of session s after n further starts (max of (active + n) / slots and
        (devices held + n * default) / devices), the place of run r, number m of its session s by
        priority and age, is 1 + the number of all pairs (session t, n) whose (X(t, n), X(t, n-1),
        n, last served) is smaller than that of (s, m): one search a session. m is a count over one
        range of the index of the queued runs.
        """
        capacity, gpus = self.line.situation.capacity, self.line.situation.default_gpus
        return {
            run.id: position(self.standings, run.session, rank, capacity, gpus=gpus)
            for run, rank in self._ranks(asked)
        }

    def page(self, *, first: int, limit: int) -> list[RunId]:
        """Runs at places `first` (from 1) and after, then those that are in no line, by age."""
        capacity, gpus = self.line.situation.capacity, self.line.situation.default_gpus
        chosen = in_order(self.standings, capacity, gpus=gpus, first=first, limit=limit)
        ranks: dict[SessionId, list[int]] = {}
        for session, rank in chosen:
            ranks.setdefault(session, []).append(rank)
        ids = {
            (session, rank): run
            for session, own in ranks.items()
            for rank, run in self._ids(session, own[0], len(own))
        }
        found = [ids[place] for place in chosen if place in ids]
        if len(found) < limit:
            skipped = max(0, first - 1 - self.in_line)
            found += self._aside(offset=skipped, limit=limit - len(found))
        return found

    def _stands_still(self, lane: Lane) -> bool:
        """Whether no run of it has a place in line."""
        return isinstance(self.decision.waits.get(lane.head.run), _OUT_OF_LINE)

    def _standings(self) -> dict[SessionId, Standing]:
        """Every session with a run in line."""
        situation = self.line.situation
        lanes: dict[SessionId, list[Lane]] = {}
        for lane in self._moving:
            lanes.setdefault(lane.head.session, []).append(lane)
        found = {}
        for session, own in lanes.items():
            holds = [held for held in situation.holdings if held.session == session]
            found[session] = Standing(
                active=len(holds),
                held=sum(len(held.gpus) for held in holds),
                waiting=sum(self._counts.get(lane.id, 0) for lane in own),
                served=situation.served.get(session),
                first=min((_urgency(lane), lane.head.queued_seq) for lane in own),
            )
        return found

    def _ranks(self, asked: Sequence[Run]) -> Iterable[tuple[Run, int]]:
        """Each run in line with its number, from 0, in its session."""
        groups: dict[tuple[SessionId, int], list[Run]] = {}
        for run in asked:
            lane = self._by_lane.get(run.lane or "")
            if lane is not None and lane.id in self._counts and self._in_line(run, lane):
                groups.setdefault((run.session, run.urgency), []).append(run)
        for (session, urgency), members in groups.items():
            own = [lane for lane in self._moving if lane.head.session == session]
            before = sum(self._counts.get(lane.id, 0) for lane in own if _urgency(lane) < urgency)
            level = [lane for lane in own if _urgency(lane) == urgency]
            ages = sorted(map(_age, members))
            before += self._between(level, 0, ages[0])
            older = self._older(level, ages)
            for run in members:
                yield run, before + older[_age(run)]

    def _in_line(self, run: Run, lane: Lane) -> bool:
        """Neither resting before a retry, nor about to be stopped with its sweep."""
        resting = run.not_before is not None and run.not_before > self.line.now
        return not resting and _age(run) > lane.after

    def _older(self, lanes: Sequence[Lane], ages: Sequence[int]) -> dict[int, int]:
        """How many runs in line are older than each of `ages`, and not older than the first.

        Neighbours in a list are neighbours in the queue; where they are not, each gap is counted.
        """
        if self._between(lanes, ages[0], ages[-1]) <= MOST_BETWEEN:
            between = and_(_t.queued_seq >= ages[0], _t.queued_seq < ages[-1])
            statement = (
                select(_t.queued_seq).where(self._of(lanes), between).order_by(_t.queued_seq)
            )
            found = [row["queued_seq"] for row in self._tx.fetch(statement)]
            return {age: bisect_left(found, age) for age in ages}
        gaps = (self._between(lanes, *pair) for pair in pairwise(ages))
        return dict(zip(ages, accumulate(gaps, initial=0), strict=True))

    def _between(self, lanes: Sequence[Lane], first: int, last: int) -> int:
        """Runs in line that were queued from entry `first` on, and before `last`."""
        ages = and_(_t.queued_seq >= first, _t.queued_seq < last)
        statement = select(func.count().label("runs")).where(self._of(lanes), ages)
        return int(self._tx.fetch(statement)[0]["runs"])

    def _count(self, lanes: Sequence[Lane]) -> Mapping[str, int]:
        """Runs in line, by lane."""
        if not lanes:
            return {}
        statement = (
            select(_t.lane, func.count().label("runs")).where(self._of(lanes)).group_by(_t.lane)
        )
        return {row["lane"]: row["runs"] for row in self._tx.fetch(statement)}

    def _of(self, lanes: Sequence[Lane]) -> ColumnElement[bool]:
        """The runs of these lanes that are in line."""
        plain = [lane.id for lane in lanes if not lane.after]
        cut = [and_(_t.lane == lane.id, _t.queued_seq > lane.after) for lane in lanes if lane.after]
        return and_(or_(_t.lane.in_(plain), *cut), queue.in_line(self.line.now))

    def _ids(self, session: SessionId, first: int, count: int) -> Iterable[tuple[int, RunId]]:
        """Runs number `first` and on of a session, each with its number; a priority at a time."""
        levels: dict[int, list[Lane]] = {}
        for lane in self._moving:
            if lane.head.session == session:
                levels.setdefault(_urgency(lane), []).append(lane)
        before = 0
        for _urgency_of, lanes in sorted(levels.items()):
            here = sum(self._counts.get(lane.id, 0) for lane in lanes)
            skipped = max(0, first - before)
            wanted = min(here, first + count - before) - skipped
            if wanted > 0:
                statement = (
                    select(_t.id)
                    .where(self._of(lanes))
                    .order_by(_t.queued_seq)
                    .offset(skipped)
                    .limit(wanted)
                )
                for number, row in enumerate(self._tx.fetch(statement), before + skipped):
                    yield number, RunId(row["id"])
            before += here

    def _aside(self, *, offset: int, limit: int) -> list[RunId]:
        """Queued runs that are in no line, the oldest first."""
        statement = select(_t.id).where(_t.phase == Phase.QUEUED.value)
        if self._moving:
            in_line = and_(_t.lane.is_not(None), self._of(self._moving))
            statement = statement.where(~in_line)
        statement = statement.order_by(_t.queued_seq).offset(offset).limit(limit)
        return [RunId(row["id"]) for row in self._tx.fetch(statement)]

    def _needed(self, asked: Sequence[Run]) -> Mapping[str, Run]:
        """The runs that held ones depend on."""
        needed = {key for run in asked if run.held for key in run.depends_on}
        return {run.id: run for run in runs.many(self._tx, sorted(needed))}

    def _own_reason(self, run: Run, known: Mapping[str, Run]) -> Reason | None:
        """What holds up this run alone."""
        if run.phase is Phase.READY:
            return NotStarted(run.id)
        if run.held:
            open_runs = [key for key in run.depends_on if not _succeeded(known.get(key))]
            first = open_runs[0] if open_runs else run.depends_on[0]
            status = known[first].status if first in known else None
            return Dependencies(first, max(0, len(open_runs) - 1), status)
        if run.not_before is not None and run.not_before > self.line.now:
            return RetryLater(run.not_before)
        lane = self._by_lane.get(run.lane or "")
        sweep = self.line.sweeps.get(run.sweep) if run.sweep is not None else None
        after = lane.after if lane is not None else (sweep and sweep.stopped_seq) or 0
        return SweepStopping(run.sweep) if run.sweep is not None and _age(run) < after else None

    def _shared_reason(self, run: Run, place: int | None) -> Reason:
        """What holds it up as it does those like it."""
        started = {start.run for start in self.decision.starts}
        own = Next() if run.id in started else self.decision.waits.get(run.id)
        if own is None:
            lane = self._by_lane.get(run.lane or "")
            last = None if lane is None else self.decision.waits.get(lane.first[-1].run)
            gate = None if lane is None else lane.head.held_up
            own = gate or (last if isinstance(last, _OF_ALL) else Turn(0))
        return Turn(place - 1) if isinstance(own, Turn) and place is not None else own


def _urgency(lane: Lane) -> int:
    """Smaller starts first."""
    return -lane.head.demands.priority


def _age(run: Run) -> int:
    """The entry that queued it."""
    return run.queued_seq or 0


def _succeeded(run: Run | None) -> bool:
    return run is not None and run.outcome is Outcome.SUCCEEDED
