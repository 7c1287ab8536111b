"""Any interleaving of what agents, people, supervisors and crashes do to the queue.

No device is held twice, none is kept after the end, nothing runs above capacity, nothing that can
run waits for ever, and every planned point is executed as often as was asked for: once.
"""

import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tallystick.control.scheduler import room_of
from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.domain.capacity import Capacity
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId, SweepId
from tallystick.domain.needs import needs_of
from tallystick.domain.reasons import Impossible
from tallystick.domain.run import Run
from tallystick.domain.shares import default_gpus
from tallystick.domain.status import Outcome, Phase
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import Refusal
from tallystick.projections import attempts, runs, sweeps, totals
from tallystick.projections.audit import verify_database
from tallystick.projections.line import Queue
from tallystick.projections.replay import entries_of
from tallystick.testing.backend import gpus
from tallystick.testing.spine import PERSON
from tests.unit.control.rig import CrashError, DyingBackend, Rig
from tests.unit.control.road import Road, open_road

CARDS = gpus(3, memory_mb=16_000)
FULL = Capacity(slots=4, cpus=8, memory_mb=32_000, devices=CARDS)
SESSIONS = st.sampled_from(["chat-1", "chat-2", "chat-3"])
DEMANDS = st.builds(
    Demands,
    gpus=st.sampled_from([0, 0, None, 1, 2]),
    pins=st.sampled_from([(), (), (), (), ("1",), (CARDS[2].id, "0")]),
    gpu_memory_mb=st.sampled_from([None, None, 8_000]),
    cpus=st.sampled_from([None, None, 1, 5]),
    memory_mb=st.sampled_from([None, None, 20_000]),
    priority=st.integers(-2, 2),
    retries=st.integers(0, 2),
    backoff_ms=st.sampled_from([0, 60_000]),
)
ENDS = st.sampled_from(
    [
        {"cause": "exited", "exit_code": 0},
        {"cause": "exited", "exit_code": 1},
        {"cause": "exited", "exit_code": 1},
        {"cause": "exited", "signal": 9},
        {"cause": "timed_out", "signal": 15},
        {"cause": "out_of_memory", "code": "cuda_out_of_memory", "exit_code": 1},
    ]
)
PLACES = st.integers(0, 9)
SECONDS = st.sampled_from([0, 1, 60])
POINTS = 4
SOAK = os.environ.get("TALLY_SOAK") == "1"


class Queueing(RuleBasedStateMachine):
    """One host, three sessions, and a server that dies now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.road: Road = self._stack.enter_context(open_road(self.directory))
        self.rig = Rig(self.road, DyingBackend(capacity=FULL), max_concurrent=4)
        self.containers: list[SweepId] = []
        self.plans: list[SweepId] = []
        self.seen: dict[str, int] = {}
        """Highest number of a report, by attempt."""

    @initialize(wishes=st.lists(st.tuples(DEMANDS, SESSIONS), min_size=3, max_size=8))
    def begin(self, wishes: list[tuple[Demands, str]]) -> None:
        for number in (1, 2, 3):
            self.containers.append(self.road.sweep(session=f"chat-{number}"))
        for demands, session in wishes:
            self.road.run(self.containers[0], session=session, demands=demands, start=True)
        self.tick()

    def teardown(self) -> None:
        try:
            self._everything_that_can_run_runs()
            self._every_point_was_executed_as_often_as_was_asked_for()
            assert verify_database(self.road.database).problems == []
        finally:
            self._stack.close()
            shutil.rmtree(self.directory)

    def ask(self, command: cm.Command, **kwargs: Any) -> bool:
        try:
            self.road.handle(command, **kwargs)
        except Refusal:
            return False
        return True

    # What agents and people do

    @rule(wishes=st.lists(DEMANDS, min_size=1, max_size=4), session=SESSIONS, place=PLACES)
    def submit(self, wishes: list[Demands], session: str, place: int) -> None:
        """Some runs, queued at once; the scheduler is woken, as it is in a server."""
        sweep = self.containers[place % len(self.containers)]
        for demands in wishes:
            self.road.run(sweep, session=session, demands=demands, start=True)
        self.tick()

    @precondition(lambda self: len(self.plans) < 2)
    @rule(session=SESSIONS, demands=DEMANDS, parallel=st.sampled_from([None, 1, 2]))
    def plan(self, session: str, demands: Demands, parallel: int | None) -> None:
        """A sweep of four points, started at once; its runs come in two groups."""
        texts = self.road.texts()
        plan = SweepPlanned(
            strategy="grid",
            generator=1,
            count=POINTS,
            size=POINTS,
            digest="0" * 64,
            command=texts.add("true"),
            workdir=texts.add("/tmp"),
            placement="flag",
            demands=demands,
        )
        command = cm.CreateSweep(
            sweep=SweepId(self.road.clock.new_id("swp")),
            name=texts.add("planned"),
            session=session,
            plan=plan,
            start=True,
            parallel=parallel,
        )
        self.road.handle(command, texts=texts)
        self.plans.append(command.sweep)
        self._planner()
        self.tick()

    @rule(demands=DEMANDS, session=SESSIONS, which=st.integers(0, 99), act=st.integers(0, 3))
    def meddle(self, demands: Demands, session: str, which: int, act: int) -> None:
        """Start or stop any run; register one that waits for it, or that nobody starts yet."""
        known, sweep = self.all_runs(), self.containers[0]
        run = known[which % len(known)].id
        if act == 0:
            self.ask(cm.QueueRun(run=run))
        elif act == 1:
            self.ask(cm.StopRun(run=run))
        elif act == 2:
            self.road.run(sweep, session=session, start=True, depends_on=(run,))
        else:
            self.road.run(sweep, session=session, demands=demands)

    @rule(
        which=st.integers(0, 9),
        parallel=st.sampled_from([None, 1, 3]),
        act=st.sampled_from([0, 0, 1, 1, 2]),
    )
    def steer(self, which: int, parallel: int | None, act: int) -> None:
        every = self.plans + self.containers
        sweep = every[which % len(every)]
        orders: list[cm.Command] = [
            cm.StartSweep(sweep=sweep, parallel=parallel),
            cm.ResumeSweep(sweep=sweep, parallel=parallel),
            cm.StopSweep(sweep=sweep),
        ]
        self.ask(orders[act])
        self._planner()
        self.tick()

    # What the host does

    @rule(
        slots=st.sampled_from([4, 4, 1, 2]),
        strangers=st.sampled_from([(), (), (0,), (0, 2)]),
        count=st.sampled_from([3, 3, 2, 0]),
        most=st.sampled_from([None, None, None, 0, 2]),
        drained=st.sampled_from([False, False, False, True]),
    )
    def change_host(
        self,
        slots: int,
        strangers: tuple[int, ...],
        count: int,
        most: int | None,
        drained: bool,
    ) -> None:
        """Cards vanish and come back, strangers take them, people limit and drain the machine."""
        self.ask(cm.Drain() if drained else cm.Undrain(), by=PERSON)
        self.ask(cm.SetCluster(gpu_count=most), by=PERSON)
        cards = tuple(
            replace(card, held_by="pid 4211 (python, alice)" if card.index in strangers else None)
            for card in CARDS[:count]
        )
        self.rig.backend.room = replace(FULL, slots=slots, devices=cards)
        self.rig.max_concurrent = slots
        self.rig = self.rig.restarted()
        self.tick()

    @rule(ends=st.lists(st.tuples(PLACES, ENDS), min_size=1, max_size=3), seconds=SECONDS)
    def work(self, ends: list[tuple[int, dict[str, Any]]], seconds: int) -> None:
        """Some runs end, and the scheduler is woken by each."""
        for which, end in ends:
            active = self.active()
            if active:
                self._end(active[which % len(active)], **end)
                self.tick()
        self.road.clock.advance(seconds * 1000)
        self.tick()

    @rule(which=st.integers(0, 9))
    def lose(self, which: int) -> None:
        active = self.active()
        if active:
            attempt = active[which % len(active)]
            lost = cm.RecordLost(
                run=attempt.run, attempt=attempt.id, reason_code="supervisor_killed"
            )
            self.road.handle(lost)

    # What the server does

    @rule(ticks=st.integers(1, 2))
    def go_on(self, ticks: int) -> None:
        """Its loops come round by themselves."""
        for _ in range(ticks):
            self._planner()
            self.tick()

    def tick(self) -> None:
        """Whatever starts fits beside what is there, on devices that may be handed out."""
        before = {attempt.id for attempt in self.active()}
        self.rig.scheduler.tick()
        active = self.active()
        fresh = [attempt for attempt in active if attempt.id not in before]
        if not fresh:
            return
        room = self.rig.backend.room
        with self.road.database.read() as tx:
            cluster = totals.cluster(tx)
        assert not cluster.drained
        assert len(active) <= room.slots
        asked = [self.road.state(attempt.run).demands for attempt in active]
        new = [self.road.state(attempt.run) for attempt in fresh]
        if any(run.demands.cpus for run in new):
            assert sum(demands.cpus or 0 for demands in asked) <= room.cpus
        if any(run.demands.memory_mb for run in new):
            assert sum(demands.memory_mb or 0 for demands in asked) <= room.memory_mb
        usable = {card.id for card in room.devices[: cluster.gpu_count] if card.held_by is None}
        assert {device for attempt in fresh for device in attempt.gpus} <= usable
        assert all(run.not_before is None or run.not_before <= self.now for run in new)
        self._parallelism_is_kept(new)

    def _parallelism_is_kept(self, started: list[Run]) -> None:
        with self.road.database.read() as tx:
            touched = sweeps.many(tx, [run.sweep for run in started if run.sweep])
        for sweep in touched:
            assert sweep.parallel is None or sweep.runs.active <= sweep.parallel

    @rule(step=st.sampled_from(["bundle written", "submitted", "between ticks"]))
    def crash(self, step: str) -> None:
        """kill -9 of the server, in the middle of a launch or not; the next one goes on."""
        self.rig.backend.dying.at = step
        with suppress(CrashError):
            self.rig.scheduler.tick()
        self.rig.backend.dying.at = ""
        self.rig = self.rig.restarted()
        self.rig.reconciler.tick()

    # What must be so at any moment

    @invariant()
    def no_device_is_held_twice(self) -> None:
        held = [device for attempt in self.active() for device in attempt.gpus]
        assert len(held) == len(set(held)), held
        assert set(held) <= {card.id for card in CARDS}

    @invariant()
    def a_lease_is_what_was_asked_for(self) -> None:
        active = self.active()
        with self.road.database.read() as tx:
            demands = {run.id: run.demands for run in runs.many(tx, [a.run for a in active])}
        for attempt in active:
            asked = demands[attempt.run]
            by_pin = {pin: card.id for card in CARDS for pin in (str(card.index), card.id)}
            if asked.pins:
                assert sorted(attempt.gpus) == sorted({by_pin[pin] for pin in asked.pins})
            elif asked.gpus is not None:
                assert len(attempt.gpus) == asked.gpus

    @rule()
    def every_waiting_run_says_why_and_places_are_distinct(self) -> None:
        known = self.all_runs()
        room = room_of(self.rig.backend, self.rig.execution, now=self.now)
        with self.road.database.read() as tx:
            queue = Queue(tx, room)
            told = queue.waiting(known)
            page = queue.page(first=1, limit=1_000)
        waiting = [run for run in known if run.phase in {Phase.READY, Phase.QUEUED}]
        assert set(told) == {run.id for run in waiting}
        assert all(one.reason.words(now=room.now) for one in told.values())
        assert sorted(page) == sorted(run.id for run in waiting if run.phase is Phase.QUEUED)
        places = [told[run].position for run in page]
        in_line = [place for place in places if place is not None]
        assert in_line == list(range(1, len(in_line) + 1)), places
        assert places == [*in_line, *[None] * (len(places) - len(in_line))]

    # Helpers

    @property
    def now(self) -> int:
        return self.road.clock.now()

    def all_runs(self) -> list[Run]:
        with self.road.database.read() as tx:
            return runs.page(tx, runs.RunFilter(archived=None), limit=10_000)

    def active(self) -> list[Attempt]:
        with self.road.database.read() as tx:
            return attempts.active(tx)

    def _end(self, attempt: Attempt, **end: Any) -> None:
        self.road.handle(cm.ReportStarted(run=attempt.run, attempt=attempt.id, n=2, at=1))
        self.road.handle(cm.ReportEnded(run=attempt.run, attempt=attempt.id, n=9, at=2, **end))

    def _register(self, sweep: SweepId) -> None:
        with self.road.database.read() as tx:
            state = sweeps.get(tx, sweep)
        assert state is not None
        texts = self.road.texts()
        group = tuple(
            cm.PlannedRun(
                run=RunId(self.road.clock.new_id("run")),
                name=texts.add("point"),
                command=texts.add("true"),
            )
            for _ in range(min(2, POINTS - state.registered))
        )
        if group:
            points = cm.RegisterPoints(
                sweep=sweep, first=state.registered, runs=group, plan_seq=state.plan_seq
            )
            self.ask(points, texts=texts)
            self.ask(points, texts=texts)  # a repeat registers nothing

    def _planner(self) -> None:
        """What the planner does, in short: whatever is left of starts, stops and resumptions."""
        with self.road.database.read() as tx:
            todo = sweeps.unsettled(tx)
            orders: list[cm.Command] = []
            for sweep in todo:
                if sweep.to_queue:
                    orders += [cm.QueueRun(run=run) for run in runs.to_queue(tx, sweep, limit=99)]
                if sweep.to_stop:
                    orders += [cm.StopRun(run=run) for run in runs.to_stop(tx, sweep, limit=99)]
                if sweep.to_requeue:
                    again = runs.to_requeue(tx, sweep, limit=99)
                    orders += [cm.RequeueRun(run=run) for run in again]
        for order in orders:
            self.ask(order)
        for sweep in todo:
            if sweep.unregistered > 0:
                self._register(sweep.id)

    def _everything_that_can_run_runs(self) -> None:
        """With a whole host and nothing in the way, so many ends are enough for everybody."""
        self.rig.backend.room = FULL
        self.rig.max_concurrent = FULL.slots
        self.rig = self.rig.restarted()
        self.ask(cm.Undrain(), by=PERSON)
        self.ask(cm.SetCluster(gpu_count=None), by=PERSON)
        for _ in range(2 * POINTS):
            self._planner()
        bound = sum(run.demands.retries + 1 for run in self.all_runs()) + len(self.active())
        for _ in range(bound + 1):
            self.road.clock.advance(3_600_000)
            for _ in range(3):  # one that is released, one that follows from its end
                self.rig.scheduler.tick()
                self._planner()
            if not self.active():
                break
            self._end(self.active()[0], cause="exited", exit_code=0)
        assert self.active() == [], bound
        stuck = [run for run in self.all_runs() if run.phase is Phase.QUEUED and self._can(run)]
        assert stuck == [], self._reasons(stuck)

    def _reasons(self, asked: list[Run]) -> list[str]:
        room = room_of(self.rig.backend, self.rig.execution, now=self.now)
        with self.road.database.read() as tx:
            told = Queue(tx, room).waiting(asked)
        return [told[run.id].reason.words(now=room.now) for run in asked]

    def _can(self, run: Run) -> bool:
        """Whether nothing but others could keep it from starting."""
        needed = [self.road.state(key) for key in run.depends_on]
        if run.held and any(one.phase is not Phase.ENDED for one in needed):
            return False
        with self.road.database.read() as tx:
            sweep = sweeps.get(tx, run.sweep) if run.sweep else None
        if sweep is not None and sweep.paused:
            return False
        needs = needs_of(run.demands, FULL, default_gpus(FULL, None))
        return not isinstance(needs, Impossible)

    def _every_point_was_executed_as_often_as_was_asked_for(self) -> None:
        """Each once, and again only for a retry or a resumption; none of them twice at a time."""
        with self.road.database.read() as tx:
            entries = list(entries_of(tx))
            registered = [sweeps.get(tx, key) for key in self.plans]
        points = Counter(
            (entry.data["sweep"], entry.data["point"])
            for entry in entries
            if entry.type == "run.registered" and "point" in entry.data
        )
        assert all(count == 1 for count in points.values())
        for sweep in registered:
            assert sweep is not None
            assert sum(key == sweep.id for key, _point in points) == sweep.registered <= POINTS
        entitled: Counter[str] = Counter()
        open_attempt: dict[str, str] = {}
        for entry in entries:
            if entry.type in {"run.queued", "run.requeued", "attempt.ended"}:
                entitled[entry.stream] = 1
            elif entry.type == "attempt.assigned":
                assert entitled[entry.stream] == 1, entry
                assert entry.stream not in open_attempt, entry
                entitled[entry.stream] = 0
                open_attempt[entry.stream] = entry.data["attempt"]
            if entry.type in {"attempt.ended", "run.ended"}:
                open_attempt.pop(entry.stream, None)
            if entry.type == "run.requeued":
                assert self._outcome_before(entries, entry) != Outcome.SUCCEEDED, entry
        assert open_attempt == {}
        assert set(self.rig.backend.submissions) >= {
            entry.data["attempt"] for entry in entries if entry.type == "attempt.submitted"
        }

    @staticmethod
    def _outcome_before(entries: list[Any], entry: Any) -> Any:
        ends = [
            one.data["outcome"]
            for one in entries
            if one.type == "run.ended" and one.stream == entry.stream and one.seq < entry.seq
        ]
        return ends[-1] if ends else None


Queueing.TestCase.settings = settings(
    max_examples=1_000 if SOAK else 10,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestQueueing = pytest.mark.timeout(7200 if SOAK else 300)(Queueing.TestCase)
