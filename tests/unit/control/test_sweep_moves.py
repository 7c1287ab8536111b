"""What is left to move of a sweep, under any order of starts, stops, ends and moves by hand.

The planner works until the counters of a sweep are 0; one too many, and it never rests; one too
few, and a run is forgotten.
"""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tallystick.domain import commands as cm
from tallystick.domain.demands import Demands
from tallystick.domain.ids import SYSTEM, RunId, SweepId
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome, Phase
from tallystick.domain.sweep import Sweep
from tests.unit.control.desk import Desk, planned

POINTS = 3


def left(state: Sweep, runs: list[Run]) -> dict[str, list[Run]]:
    """What the planner would find, by the words of the clauses and by no rule of the product."""
    moving = {Phase.QUEUED, Phase.ACTIVE}
    failed = [r for r in runs if r.phase is Phase.ENDED and r.outcome is not Outcome.SUCCEEDED]
    since = {
        "to_queue": state.started_seq or -1,
        "to_stop": state.stopped_seq or -1,
        "to_requeue": state.resumed_seq or -1,
    }
    found = {
        "to_queue": [
            r for r in runs if r.phase is Phase.READY and r.created_seq < since["to_queue"]
        ],
        "to_stop": [
            r for r in runs if r.phase in moving and (r.queued_seq or 0) < since["to_stop"]
        ],
        "to_requeue": [r for r in failed if (r.ended_seq or 0) < since["to_requeue"]],
    }
    return {key: [r for r in some if not r.archived] for key, some in found.items()}


class Moves(RuleBasedStateMachine):
    """One small world in memory; a planner that takes one step whenever it is its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.done: Counter[SweepId] = Counter()
        self.was_done: set[SweepId] = set()

    @initialize(draft=st.booleans(), start=st.booleans())
    def begin(self, *, draft: bool, start: bool) -> None:
        self.desk.sweep(plan=planned(POINTS, retries=1), draft=draft, start=start)
        self.desk.sweep()
        for sweep in (*self.desk.sweeps, None):
            self.desk.run(sweep)

    @rule(
        pick=st.integers(0, 2), start=st.booleans(), retries=st.integers(0, 1), needs=st.booleans()
    )
    def register(self, pick: int, retries: int, *, start: bool, needs: bool) -> None:
        sweep = [*self.desk.sweeps, None][pick]
        needed = (self.desk.runs[0],) if needs else ()
        demands = Demands(retries=retries, backoff_ms=0)
        self.desk.run(sweep, start=start, demands=demands, depends_on=needed)

    @rule(
        pick=st.integers(0, 50),
        kind=st.sampled_from([cm.QueueRun, cm.StopRun, cm.ArchiveRun, cm.UnarchiveRun]),
    )
    def move(self, pick: int, kind: Any) -> None:
        self.desk.try_to(kind(run=self.one_run(pick)))

    @rule(pick=st.integers(0, 50), sweep=st.integers(0, 1))
    def move_between(self, pick: int, sweep: int) -> None:
        self.desk.try_to(cm.MoveRun(run=self.one_run(pick), sweep=self.desk.sweeps[sweep]))

    @rule(pick=st.integers(0, 50))
    def release(self, pick: int) -> None:
        self.desk.try_to(cm.ReleaseRun(run=self.one_run(pick)), by=SYSTEM)

    @rule(pick=st.integers(0, 50))
    def assign(self, pick: int) -> None:
        self.desk.assign(self.one_run(pick))

    @rule(
        pick=st.integers(0, 50),
        code=st.sampled_from([0, 3, 3]),
        cause=st.sampled_from(["exited", "exited", "lost", "stop"]),
    )
    def end(self, pick: int, code: int, cause: str) -> None:
        active = [r for r in map(self.desk.state, self.desk.runs) if r.phase is Phase.ACTIVE]
        if active:
            self.desk.end(active[pick % len(active)].id, code=code, cause=cause)

    @rule(
        pick=st.integers(0, 1),
        kind=st.sampled_from([cm.StartSweep, cm.StopSweep, cm.ResumeSweep, cm.ArchiveSweep]),
    )
    def steer(self, pick: int, kind: Any) -> None:
        sweep = self.desk.sweeps[pick]
        if self.desk.try_to(kind(sweep=sweep)):
            assert not self.desk.try_to(kind(sweep=sweep))  # asking again changes nothing
        self.desk.try_to(cm.UnarchiveSweep(sweep=sweep))

    @rule(pick=st.integers(0, 1), failures=st.integers(1, 3))
    def pause(self, pick: int, failures: int) -> None:
        self.desk.ask(cm.PauseSweep(sweep=self.desk.sweeps[pick], failures=failures), by=SYSTEM)

    @rule(pick=st.integers(0, 1))
    def plan_on(self, pick: int) -> None:
        self.planner(self.desk.sweeps[pick], limit=1)

    def planner(self, sweep: SweepId, *, limit: int) -> bool:
        """One step; whether anything moved."""
        state = self.desk.swept(sweep)
        if not state.unsettled:
            return False
        todo = left(state, self.desk.of(sweep))
        kinds: dict[str, Any] = {
            "to_stop": cm.StopRun,
            "to_queue": cm.QueueRun,
            "to_requeue": cm.RequeueRun,
        }
        moved = state.unregistered > 0 and bool(self.desk.points(sweep, limit))
        for key, kind in kinds.items():
            for run in todo[key][:limit] if getattr(state, key) else ():
                moved |= bool(self.desk.try_to(kind(run=run.id), by=SYSTEM))
        return moved

    def one_run(self, pick: int) -> RunId:
        return self.desk.runs[pick % len(self.desk.runs)]

    @invariant()
    def the_counters_are_what_counting_gives(self) -> None:
        for sweep in self.desk.sweeps:
            state, runs = self.desk.swept(sweep), self.desk.of(sweep)
            for key, some in left(state, runs).items():
                assert getattr(state, key) in {0, len(some)}, (key, state)
            counted = Counter(run.status.value for run in runs)
            assert {w: n for w in counted if (n := getattr(state.runs, w))} == counted
            away = [run for run in runs if run.archived]
            assert state.put_away.total == len(away)
            points = [run.point for run in runs if run.point is not None]
            assert points == list(range(state.registered))

    @invariant()
    def a_sweep_is_completed_exactly_while_it_is_done(self) -> None:
        for sweep in self.desk.sweeps:
            state = self.desk.swept(sweep)
            assert (state.completed_at is not None) == state.done, state

    @precondition(lambda self: self.desk.sweeps)
    @invariant()
    def a_session_counts_its_runs(self) -> None:
        session = self.desk.world.session("chat-1")
        assert session is not None
        assert session.runs.total == len(self.desk.runs)

    def teardown(self) -> None:
        """Whatever was asked for comes to rest, and every run that waits could be started."""
        for _ in range(4 * (len(self.desk.runs) + POINTS)):
            moved = [self.planner(sweep, limit=2) for sweep in self.desk.sweeps]
            stopping = [r for r in map(self.desk.state, self.desk.runs) if r.stop_requested]
            ending = [r for r in stopping if r.phase is Phase.ACTIVE]
            for run in ending:
                self.desk.end(run.id, cause="stop")
            if not any(moved) and not ending:
                break
        for sweep in self.desk.sweeps:
            state = self.desk.swept(sweep)
            assert not state.unsettled, state
            for run in self.desk.of(sweep):
                waits = run.phase is Phase.QUEUED
                assert not waits or (run.queued_seq or 0) > (state.stopped_seq or -1), (run, state)


Moves.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMoves = Moves.TestCase
