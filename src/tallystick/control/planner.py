"""Makes runs of planned points, and moves the runs of a sweep that was started, stopped, resumed.

Everything it does follows from the ledger and can be repeated: a group of points is registered only
where the sweep has exactly those before it, so no crash and no second planner loses or doubles one.
Before the first point of a plan is registered, the points are held to the digest in the ledger.
"""

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.control.texts import Texts
from tallystick.db.database import Database, Transaction
from tallystick.domain.commands import (
    Command,
    PlannedRun,
    QueueRun,
    RegisterPoints,
    RequeueRun,
    StopRun,
)
from tallystick.domain.ids import SYSTEM, RunId, Text
from tallystick.domain.params import encode_value
from tallystick.domain.plan import Space, declaration_of, declare, digest_of
from tallystick.domain.rendering import Rendering, rendering_of
from tallystick.domain.status import StopReason
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_decisions import MOST_POINTS
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import ConflictError, Refusal
from tallystick.ledger.ledger import Ledger
from tallystick.projections import runs, sweeps

_log = logging.getLogger(__name__)

BATCH: Final = 250
"""Runs that are moved together: one commit of the writer."""

LONGEST_NAME: Final = 500
"""Characters of a run's name."""

_MOST_KEPT: Final = 4
"""Plans whose points are kept in memory: those of random search and lists cannot be made singly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A plan, ready to give runs."""

    space: Space
    rendering: Rendering
    environment: dict[str, str]


class Planner:
    """Brings every sweep to where its plan and its last start or stop want it."""

    def __init__(
        self, database: Database, handler: CommandHandler, *, clock: Clock, group: int = MOST_POINTS
    ) -> None:
        """At most `group` points are registered by one command."""
        self._database = database
        self._handler = handler
        self._clock = clock
        self._group = group
        self._plans: OrderedDict[tuple[str, int], _Plan] = OrderedDict()
        self._unusable_plans: set[tuple[str, int | None]] = set()
        self._closing = threading.Event()

    def tick(self) -> None:
        """Work until nothing is left to do, a group of every sweep in turn."""
        while not self._closing.is_set() and self._round():
            pass

    def close(self) -> None:
        """Let a tick end at the next group; what is left is done after the next start."""
        self._closing.set()

    def _round(self) -> bool:
        """One group for each sweep; whether anything changed."""
        with self._database.read() as tx:
            waiting = sweeps.unsettled(tx)
        owed = [
            sweep
            for sweep in waiting
            if sweep.unregistered > 0 and (sweep.id, sweep.plan_seq) not in self._unusable_plans
        ]
        owed.sort(key=lambda sweep: sweep.unregistered)
        later = {sweep.id for sweep in owed[_MOST_KEPT:]}  # each plan is prepared once
        return sum(self._advance(sweep, register=sweep.id not in later) for sweep in waiting) > 0

    def _advance(self, sweep: Sweep, *, register: bool = True) -> bool:
        """What a sweep needs next; whether anything changed."""
        if sweep.to_stop and self._move(
            sweep, runs.to_stop, lambda run: StopRun(run=run, why=StopReason.SWEEP_STOPPED)
        ):
            return True
        if register and sweep.unregistered > 0 and self._register(sweep):
            return True
        start = sweep.started_seq
        if sweep.to_requeue and self._move(
            sweep, runs.to_requeue, lambda run: RequeueRun(run=run, of_start=start)
        ):  # first: what waits for it would end at the sight of its old failure
            return True
        if not sweep.to_queue:
            return False
        return self._move(sweep, runs.to_queue, lambda run: QueueRun(run=run, of_start=start))

    def _move(
        self,
        sweep: Sweep,
        find: Callable[..., Sequence[RunId]],
        command: Callable[[RunId], Command],
    ) -> bool:
        """One batch of runs; whether any of them moved."""
        with self._database.read() as tx:
            found = find(tx, sweep, limit=BATCH)
        futures = [self._handler.submit(command(run), by=SYSTEM) for run in found]
        moved = False
        for future in futures:
            try:
                moved |= bool(future.result().records)
            except ConflictError:  # it has moved by itself meanwhile
                continue
        return moved

    def _register(self, sweep: Sweep) -> bool:
        """The next points of the plan; whether they are runs now."""
        plan = self._plan(sweep)
        if plan is None:
            return False
        with self._database.read() as tx:
            name = _texts(tx, [sweep.name]).get(sweep.name.c, "")
        texts = Texts(self._clock)
        first = sweep.registered
        last = min(sweep.planned, first + self._group)
        planned = tuple(self._run(plan, index, name, texts) for index in range(first, last))
        command = RegisterPoints(sweep=sweep.id, first=first, runs=planned, plan_seq=sweep.plan_seq)
        try:
            return bool(self._handler.handle(command, by=SYSTEM, texts=texts).records)
        except Refusal as error:
            _log.warning("sweep %s: points from %d on: %s", sweep.id, first, error.detail)
            return False

    def _run(self, plan: _Plan, index: int, sweep_name: str, texts: Texts) -> PlannedRun:
        """One point as a run. Its texts hold no secret: the base command's were cut out before."""
        point = plan.space.point(index)
        suffix = f" #{index + 1}"
        variables = plan.rendering.variables(point)
        environment = None
        if variables:
            environment = texts.keep(
                json.dumps({**plan.environment, **variables}, sort_keys=True, ensure_ascii=False)
            )
        return PlannedRun(
            run=RunId(self._clock.new_id("run")),
            name=texts.keep(sweep_name[: LONGEST_NAME - len(suffix)] + suffix),
            command=texts.keep(plan.rendering.command(point)),
            params={name: encode_value(name, value) for name, value in point.items()},
            environment=environment,
        )

    def _plan(self, sweep: Sweep) -> _Plan | None:
        """The plan of a sweep, from memory when it was used before; None when it is unusable."""
        if sweep.plan is None or sweep.plan_seq is None:
            return None
        key = (sweep.id, sweep.plan_seq)
        if key in self._unusable_plans:
            return None
        if key not in self._plans:
            made = self._usable(sweep, sweep.plan)
            if made is None:
                self._unusable_plans.add(key)
                return None
            self._plans[key] = made
        self._plans.move_to_end(key)
        while len(self._plans) > _MOST_KEPT:
            self._plans.popitem(last=False)
        return self._plans[key]

    def _usable(self, sweep: Sweep, plan: SweepPlanned) -> _Plan | None:
        """A plan, prepared; None, and a word in the log, when it cannot be executed as it is."""
        try:
            return self._prepared(plan)
        except Refusal as error:
            _log.warning("sweep %s: its plan cannot be executed: %s", sweep.id, error.detail)
            return None

    def _prepared(self, plan: SweepPlanned) -> _Plan:
        """Space and texts of a plan; raises when they are not what the ledger says."""
        wanted = [plan.command, plan.points, plan.environment]
        with self._database.read() as tx:
            texts = _texts(tx, wanted)
        missing = [text for text in wanted if text is not None and text.n and text.c not in texts]
        if missing:
            raise ConflictError("a text of it was erased", code="text_erased")
        points = None if plan.points is None else texts[plan.points.c]
        space = declare(declaration_of(plan, points))
        if digest_of(space.points()) != plan.digest:
            raise ConflictError("its points are not those that were planned", code="plan_differs")
        return _Plan(
            space=space,
            rendering=rendering_of(
                texts.get(plan.command.c, ""), space.names, placement=plan.placement
            ),
            environment={} if plan.environment is None else json.loads(texts[plan.environment.c]),
        )


def _texts(tx: Transaction, wanted: Sequence[Text | None]) -> dict[str, str]:
    """Texts by commitment, as far as they are there."""
    found = Ledger.texts(tx, [text.c for text in wanted if text is not None and text.n])
    return {c: content.decode("utf-8", "replace") for c, content in found.items()}
