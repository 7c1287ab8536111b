"""Compares what sweeps and sessions use with their budgets, and says so at 80 % and at 100 %.

Runs are counted where they are registered, and refused there. GPU time and wall-clock time pass by
themselves: here they are looked at every few seconds, with what is active now. What has been
reached stays reached until a person sets the budget anew; with the action `stop` every run of the
scope that is active then is ended by the ordinary stop.
"""

from typing import Final

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.db.database import Database
from tallystick.domain.budget import KINDS, WARN_AT, Budget, session_in
from tallystick.domain.commands import ReportBudget, StopRun
from tallystick.domain.ids import SYSTEM
from tallystick.domain.status import StopReason
from tallystick.projections import activity, totals
from tallystick.projections.activity import Activity, Use

WAKES: Final = frozenset({"budget.set", "run.registered"})
"""Types of entries after which a budget may be used up."""

POLL_SECONDS: Final = 5.0

TIMES: Final = frozenset({"gpu", "wall"})
"""Kinds that end what is active; a run that was allowed by number may go on."""


class Treasurer:
    """`tick` is called by its service and by nobody else."""

    def __init__(self, database: Database, handler: CommandHandler, *, clock: Clock) -> None:
        """Nothing is read before the first tick."""
        self._database = database
        self._handler = handler
        self._clock = clock

    def tick(self) -> None:
        """Look at every budget that has a limit."""
        now = self._clock.now()
        with self._database.read() as tx:
            limited = [one for one in totals.budgets(tx) if _limits(one)]
            used = activity.uses(tx, [one.id for one in limited], now=now)
            present = activity.active(tx) if limited else []
        for budget in limited:
            use = used.get(budget.id)
            if use is not None:
                reached = self._report(budget, use)
                if budget.action == "stop" and reached & TIMES:
                    self._stop(budget, present)

    def _report(self, budget: Budget, use: Use) -> set[str]:
        """Say what was passed since it was looked at last; which kinds are used up."""
        reached = set(budget.reached)
        for kind in _limits(budget):
            limit = budget.limit(kind) or 0
            if kind in reached or (kind == "wall" and not use.busy):
                continue  # time that passes while nothing is to be done is nobody's concern
            if use.of(kind) >= limit:
                reached.add(kind)
                self._say(budget, kind, reached=True)
            elif use.of(kind) >= WARN_AT * limit and kind not in budget.warned:
                self._say(budget, kind, reached=False)
        return reached

    def _say(self, budget: Budget, kind: str, *, reached: bool) -> None:
        limit = budget.limit(kind)
        command = ReportBudget(scope=budget.id, kind=kind, reached=reached, limit=limit)
        self._handler.handle(command, by=SYSTEM)

    def _stop(self, budget: Budget, present: list[Activity]) -> None:
        """End what is active of the scope; repeating it is harmless."""
        session = session_in(budget.id)
        for one in present:
            concerned = one.sweep == budget.id if session is None else one.session == session
            if concerned and not one.stopping:
                self._handler.handle(StopRun(run=one.run, why=StopReason.BUDGET_REACHED), by=SYSTEM)


def _limits(budget: Budget) -> list[str]:
    """Kinds that have a limit."""
    return [kind for kind in KINDS if budget.limit(kind) is not None]
