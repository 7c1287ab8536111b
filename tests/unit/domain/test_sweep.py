"""A sweep's rules: P1.3, P2.1, P2.3."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from tallystick.domain import events as ev
from tallystick.domain import run as runs
from tallystick.domain import sweep as sweeps
from tallystick.domain import sweep_decisions
from tallystick.domain import sweep_events as sw
from tallystick.domain.commands import (
    ArchiveSweep,
    CreateSweep,
    EditSweep,
    PauseSweep,
    PlannedRun,
    RegisterPoints,
    ResumeSweep,
    StartSweep,
    StopSweep,
    UnarchiveSweep,
)
from tallystick.domain.ids import UNATTRIBUTED, AttemptId, RunId, SessionId
from tallystick.domain.policy import Attribution
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome, Status, Tally, sweep_status
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_decisions import SweepCommand
from tallystick.domain.sweep_events import SweepAttributed, SweepCreated, SweepEvent
from tallystick.errors import ConflictError, InvalidError
from tests.unit.domain.states import (
    MARK,
    PLANNED,
    RUNS,
    SAMPLES,
    SESSION,
    START,
    SWEEP,
    record,
    text,
)


def swept(**changes: Any) -> Sweep:
    event = SweepCreated(name=text("s"), goal=text("g"), wild=True)
    state = sweeps.created(record(event, stream=SWEEP, session=SESSION, seq=5), event)
    return replace(state, **changes)


def test_creating_keeps_everything_and_belongs_to_the_session() -> None:
    command = CreateSweep(
        sweep=SWEEP, name=text("s"), goal=text("g"), wild=False, draft=True, request=MARK
    )
    (fact,) = sweeps.decide_create(command, Attribution(SESSION, ("session_placeholder",)))
    assert (fact.stream, fact.session) == (SWEEP, SESSION)
    event = fact.event
    assert isinstance(event, SweepCreated)
    state = sweeps.created(record(event, stream=SWEEP, session=SESSION, seq=5), event)
    assert state == Sweep(
        id=SWEEP,
        session=SESSION,
        name=text("s"),
        goal=text("g"),
        wild=False,
        draft=True,
        violations=("session_placeholder",),
        created_at=START,
        created_seq=5,
        created_by="agent",
    )
    assert event.request == MARK


def test_an_entry_without_session_is_unattributed() -> None:
    event = SweepCreated(name=text("s"), wild=True)
    assert sweeps.created(record(event, session=None), event).session == UNATTRIBUTED


@pytest.mark.parametrize(
    ("violations", "session", "of_run", "named"),
    [
        (("session_placeholder",), UNATTRIBUTED, "chat-9", True),
        (("session_placeholder",), UNATTRIBUTED, UNATTRIBUTED, False),
        (("session_placeholder",), "chat-7", "chat-9", False),
        (("session_missing",), UNATTRIBUTED, "chat-9", False),
        ((), SESSION, "chat-9", False),
    ],
)
def test_the_first_real_run_names_the_session_of_a_sweep_that_came_with_a_placeholder(
    violations: tuple[str, ...], session: str, of_run: str, *, named: bool
) -> None:
    state = swept(violations=violations, session=SessionId(session))
    facts = sweeps.attributing(state, SessionId(of_run))
    assert bool(facts) == named
    for fact in facts:
        assert fact.event == SweepAttributed(session=SessionId(of_run))
        assert (fact.stream, fact.session) == (SWEEP, of_run)
        assert isinstance(fact.event, SweepAttributed)
        after = sweeps.evolve(state, record(fact.event, stream=SWEEP), fact.event)
        assert after == replace(state, session=SessionId(of_run))
        assert sweeps.attributing(after, SessionId("chat-10")) == []


def run_of(status: Status, **changes: Any) -> Run:
    """A run with that status, as far as its sweep can tell."""
    found = next(run for run in RUNS.values() if run.status is status and not run.archived)
    return replace(found, **changes)


def turned(state: Sweep, before: Status | None, after: Status | None, *, ts: int = 1) -> Sweep:
    was = None if before is None else run_of(before)
    now = None if after is None else run_of(after)
    return sweeps.with_run(state, was, now, ts=ts)


def test_started_and_completed_follow_from_the_runs() -> None:
    state = swept()
    state = turned(state, None, Status.READY)
    state = turned(state, None, Status.QUEUED, ts=2)
    assert (state.started_at, state.completed_at, state.status) == (None, None, "pending")
    state = turned(state, Status.QUEUED, Status.LAUNCHING, ts=3)
    assert (state.started_at, state.status) == (None, "running")
    state = turned(state, Status.LAUNCHING, Status.RUNNING, ts=4)
    state = turned(state, Status.RUNNING, Status.FINISHED, ts=5)
    assert (state.started_at, state.completed_at, state.status) == (4, None, "pending")
    state = turned(state, Status.READY, Status.STOPPED, ts=6)
    assert (state.started_at, state.completed_at, state.status) == (4, 6, "completed")
    again = turned(state, None, Status.RUNNING, ts=7)
    assert (again.started_at, again.completed_at, again.status) == (4, None, "running")
    assert again.runs == Tally(finished=1, stopped=1, running=1)


def test_a_draft_stays_one_until_it_has_runs() -> None:
    state = swept(draft=True)
    assert state.status == "draft"
    assert turned(state, None, Status.READY).status == "pending"


def after(state: Sweep, *events: SweepEvent, seq: int = 100) -> Sweep:
    for event in events:
        state = sweeps.evolve(state, record(event, stream=SWEEP, seq=seq), event)
    return state


def kinds(state: Sweep, command: SweepCommand, **more: Any) -> list[str]:
    return [fact.event.type for fact in sweep_decisions.decide(state, command, **more)]


def code_of(state: Sweep, command: SweepCommand) -> str:
    with pytest.raises(ConflictError) as refusal:
        sweep_decisions.decide(state, command)
    assert refusal.value.next_actions
    return refusal.value.code


START_IT, STOP_IT, RESUME_IT = (
    StartSweep(sweep=SWEEP),
    StopSweep(sweep=SWEEP),
    ResumeSweep(sweep=SWEEP),
)
GOING = after(swept(), PLANNED, sw.SweepStarted())


def filled(**counts: int) -> Sweep:
    return swept(runs=Tally(**counts))


def test_a_plan_is_kept_whole_and_its_points_are_owed_until_they_are_runs() -> None:
    state = after(swept(), PLANNED, seq=6)
    assert (state.plan, state.plan_seq, state.planned) == (PLANNED, 6, 6)
    assert (state.unregistered, state.unsettled, state.status) == (6, True, "pending")
    for point in range(6):
        state = sweeps.with_run(state, None, run_of(Status.READY, point=point), ts=1)
    assert (state.registered, state.unregistered, state.unsettled) == (6, 0, False)


def test_a_draft_owes_nothing_until_it_is_materialised() -> None:
    draft = after(swept(draft=True), PLANNED)
    assert (draft.unregistered, draft.status) == (0, "draft")
    assert after(draft, sw.SweepMaterialised()).unregistered == 6
    assert after(draft, sw.SweepStarted()).unregistered == 6


def points(first: int, count: int, *, of: Sweep) -> RegisterPoints:
    return RegisterPoints(
        sweep=SWEEP,
        first=first,
        plan_seq=of.plan_seq,
        runs=tuple(
            PlannedRun(
                run=RunId(f"run_{first + n:012x}"),
                name=text("n"),
                command=text("c"),
                params={"lr": "0.1"},
            )
            for n in range(count)
        ),
    )


def test_points_are_registered_once_whoever_asks_how_often() -> None:
    state = after(swept(), PLANNED)
    assert kinds(state, points(0, 4, of=state)) == ["run.registered"] * 4
    for fact in sweep_decisions.decide(state, points(0, 4, of=state)):
        assert isinstance(fact.event, ev.RunRegistered)
        made = runs.registered(record(fact.event, stream=fact.stream), fact.event)
        assert (made.sweep, made.demands, made.tags) == (SWEEP, PLANNED.demands, PLANNED.tags)
        state = sweeps.with_run(state, None, made, ts=1)
    for repeated in (
        points(0, 4, of=state),
        points(2, 2, of=state),
        points(5, 1, of=state),
        points(4, 3, of=state),
    ):
        assert kinds(state, repeated) == []
    assert kinds(state, points(4, 2, of=state)) == ["run.registered"] * 2


def test_points_of_a_started_sweep_are_queued_as_they_are_registered() -> None:
    assert kinds(GOING, points(0, 1, of=GOING)) == ["run.registered", "run.queued"]
    assert kinds(after(GOING, sw.SweepStopped()), points(0, 1, of=GOING)) == []


def test_points_of_a_plan_that_was_replaced_meanwhile_become_no_runs() -> None:
    state = after(swept(), PLANNED)
    asked = points(0, 4, of=state)
    replaced = after(state, replace(PLANNED, seed=8), seq=101)
    assert kinds(replaced, asked) == []
    assert kinds(replaced, points(0, 4, of=replaced)) == ["run.registered"] * 4


def test_more_than_a_group_of_points_is_refused() -> None:
    state = after(swept(), replace(PLANNED, count=1000, size=1000))
    with pytest.raises(InvalidError):
        sweep_decisions.decide(state, points(0, sweep_decisions.MOST_POINTS + 1, of=state))


def test_starting_queues_what_is_ready_and_nothing_else() -> None:
    state = filled(ready=3, queued=1, finished=2, failed=1)
    assert kinds(state, START_IT) == ["sweep.started"]
    started = after(state, sw.SweepStarted(parallel=2))
    assert (started.to_queue, started.to_requeue, started.parallel) == (3, 0, 2)
    assert kinds(filled(finished=2), START_IT) == ["sweep.started"]


def test_starting_again_changes_nothing_but_the_parallelism() -> None:
    idle = after(filled(finished=2), sw.SweepStarted(parallel=2))
    assert kinds(idle, START_IT) == []
    assert kinds(idle, StartSweep(sweep=SWEEP, parallel=2)) == []
    assert kinds(idle, StartSweep(sweep=SWEEP, parallel=3)) == ["sweep.started"]
    assert after(idle, sw.SweepStarted()).parallel == 2


def test_stopping_ends_what_moves_and_registers_nothing_more() -> None:
    state = after(replace(GOING, runs=Tally(ready=1, queued=2, running=1)), sw.SweepStopped())
    assert (state.to_stop, state.to_queue, state.unregistered) == (3, 0, 0)
    assert kinds(state, STOP_IT) == []  # they are on their way out
    assert kinds(replace(state, runs=Tally(queued=4)), STOP_IT) == ["sweep.stopped"]
    assert kinds(replace(state, runs=Tally(stopped=3, ready=1), to_stop=0), STOP_IT) == []
    assert kinds(filled(finished=1), STOP_IT) == []


def test_nothing_is_started_or_resumed_while_a_stop_is_under_way() -> None:
    stopping = after(filled(running=1), sw.SweepStopped())
    assert code_of(stopping, START_IT) == "sweep_stopping"
    assert code_of(stopping, RESUME_IT) == "sweep_stopping"


def test_resuming_takes_what_did_not_succeed_and_what_is_missing() -> None:
    state = after(replace(GOING, runs=Tally(finished=2, failed=1, stopped=1)), sw.SweepStopped())
    assert kinds(state, RESUME_IT) == ["sweep.resumed"]
    resumed = after(state, sw.SweepResumed(parallel=1))
    assert (resumed.to_requeue, resumed.unregistered, resumed.parallel) == (2, 6, 1)
    assert kinds(filled(finished=2), RESUME_IT) == []


def test_archived_runs_are_neither_started_nor_resumed() -> None:
    state = swept()
    for name in ("archived", "archived, ended"):
        state = sweeps.with_run(state, None, RUNS[name], ts=1)
    lost = replace(RUNS["failed"], archived=True)
    state = sweeps.with_run(state, None, lost, ts=1)
    resumed = after(state, sw.SweepResumed())
    assert (resumed.to_queue, resumed.to_requeue, resumed.unsettled) == (0, 0, False)
    assert kinds(state, RESUME_IT) == []


def test_a_run_that_joins_while_its_sweep_is_started_is_started_too() -> None:
    state = after(filled(ready=1), sw.SweepStarted())
    joined = sweeps.with_run(state, None, run_of(Status.READY), ts=1)
    assert joined.to_queue == 2
    for _ in range(2):
        joined = turned(joined, Status.READY, Status.QUEUED)
    assert (joined.to_queue, joined.unsettled) == (0, False)


def test_a_run_that_is_tried_again_while_its_sweep_stops_is_still_to_be_stopped() -> None:
    state = after(filled(running=1), sw.SweepStopped(), seq=100)
    running, again = RUNS["running"], RUNS["to be tried again"]
    assert sweeps.stopping(state, running)
    assert sweeps.with_run(state, running, again, ts=1).to_stop == 1
    later = replace(again, queued_seq=101)
    assert sweeps.with_run(state, running, later, ts=1).to_stop == 0


FAILED = ev.RunEnded(outcome=Outcome.FAILED, reason_code="exit_code", exit_code=3)
TRIED = ev.AttemptEnded(
    attempt=AttemptId("att_000000000001"),
    outcome=Outcome.FAILED,
    reason_code="exit_code",
    exit_code=3,
    retry_at=9,
)


def ending(state: Sweep, end: ev.RunEnded | ev.AttemptEnded = FAILED, **more: int | None) -> Sweep:
    return sweeps.with_end(state, end, **{"tries": 1, "gpu_ms": 0, "elapsed_ms": 500, **more})  # type: ignore[arg-type]


def test_the_breaker_looks_at_failures_of_one_kind_one_after_the_other() -> None:
    state = swept()
    for _ in range(3):
        state = ending(state)
    assert state.streak == 3
    pause = PauseSweep(sweep=SWEEP, failures=3)
    (fact,) = sweep_decisions.decide(state, pause)
    assert fact.event == sw.SweepPaused(
        reason_code="breaker", failures=3, outcome="failed", exit_code=3
    )
    paused = after(state, sw.SweepPaused(reason_code="breaker", failures=3, outcome="failed"))
    assert kinds(paused, pause) == []
    assert kinds(state, replace(pause, failures=4)) == []
    assert kinds(paused, RESUME_IT) == ["sweep.resumed"]
    resumed = after(paused, sw.SweepResumed())
    assert (resumed.paused, resumed.streak) == (None, 0)


@pytest.mark.parametrize("parallel", [None, 7])
def test_a_start_that_is_repeated_does_not_let_a_paused_sweep_burn_on(
    parallel: int | None,
) -> None:
    paused = after(
        filled(queued=3), sw.SweepPaused(reason_code="breaker", failures=3, outcome="failed")
    )
    assert kinds(paused, replace(START_IT, parallel=parallel)) == []


@pytest.mark.parametrize(
    ("end", "more", "streak"),
    [
        (replace(FAILED, outcome=Outcome.SUCCEEDED), {}, 0),
        (FAILED, {"elapsed_ms": sweeps.QUICK_MS + 1}, 0),
        (FAILED, {"elapsed_ms": sweeps.QUICK_MS}, 3),
        (FAILED, {"elapsed_ms": None}, 3),
        (TRIED, {}, 3),  # it will be tried again, and has told enough
        (FAILED, {"tries": 2}, 2),  # it counted by its first try
        (replace(FAILED, exit_code=4), {}, 1),
        (replace(FAILED, outcome=Outcome.CANCELLED), {}, 2),
        (replace(FAILED, outcome=Outcome.LOST), {}, 1),
    ],
)
def test_what_breaks_a_streak_and_what_does_not_count(
    end: ev.RunEnded | ev.AttemptEnded, more: dict[str, int | None], streak: int
) -> None:
    state = ending(ending(swept()))
    assert ending(state, end, **more).streak == streak


def test_gpu_time_is_counted_for_every_attempt() -> None:
    state = ending(swept(), TRIED, gpu_ms=7)
    assert ending(state, tries=2, gpu_ms=5).gpu_ms == 12


def test_a_resume_leaves_alone_what_nobody_has_started() -> None:
    wild = filled(ready=3, failed=1)
    assert (after(wild, sw.SweepResumed()).to_queue, after(wild, sw.SweepResumed()).to_requeue) == (
        0,
        1,
    )
    assert after(wild, sw.SweepStarted()).to_queue == 3
    assert kinds(filled(ready=3), RESUME_IT) == []
    assert after(replace(wild, plan=PLANNED), sw.SweepResumed()).to_queue == 3


def test_the_plan_can_be_replaced_while_there_are_no_runs() -> None:
    state = after(swept(draft=True), PLANNED)
    other, base = replace(PLANNED, count=3, size=3), state.plan_seq
    assert kinds(state, EditSweep(sweep=SWEEP, plan=PLANNED)) == []
    assert kinds(state, EditSweep(sweep=SWEEP, plan=other, plan_base=base)) == ["sweep.planned"]
    command = EditSweep(
        sweep=SWEEP, name=text("new"), plan=other, plan_base=base, materialise=True, start=True
    )
    assert kinds(state, command) == [
        "sweep.edited",
        "sweep.planned",
        "sweep.materialised",
        "sweep.started",
    ]
    assert code_of(state, EditSweep(sweep=SWEEP, plan=other, plan_base=1)) == "edited_meanwhile"
    used = replace(state, runs=Tally(finished=1))
    assert code_of(used, EditSweep(sweep=SWEEP, plan=other)) == "sweep_immutable"
    (fact,) = sweep_decisions.decide(used, EditSweep(sweep=SWEEP, name=text("new")))
    assert fact.event == sw.SweepEdited(name=text("new"), old_name=text("s"))


def test_only_a_sweep_at_rest_is_archived_and_an_archived_one_is_not_started() -> None:
    assert kinds(filled(ready=1, failed=1), ArchiveSweep(sweep=SWEEP)) == ["sweep.archived"]
    assert code_of(filled(queued=1), ArchiveSweep(sweep=SWEEP)) == "sweep_active"
    assert code_of(GOING, ArchiveSweep(sweep=SWEEP)) == "sweep_active"
    archived = after(filled(ready=1), sw.SweepArchived())
    assert kinds(archived, ArchiveSweep(sweep=SWEEP)) == []
    assert code_of(archived, START_IT) == code_of(archived, RESUME_IT) == "sweep_archived"
    assert kinds(archived, UnarchiveSweep(sweep=SWEEP)) == ["sweep.unarchived"]


@pytest.mark.parametrize(
    ("counts", "missing", "halted", "status"),
    [
        ({}, 0, False, "pending"),
        ({}, 4, False, "pending"),
        ({}, 4, True, "canceled"),
        ({"finished": 2}, 4, False, "pending"),
        ({"finished": 2, "queued": 1}, 4, False, "running"),
        ({"finished": 2}, 4, True, "canceled"),
        ({"failed": 2}, 4, True, "failed"),
        ({"finished": 2}, 0, True, "completed"),
    ],
)
def test_a_sweep_is_completed_only_when_all_its_points_are(
    counts: dict[str, int], missing: int, status: str, *, halted: bool
) -> None:
    found = sweep_status(Tally(**counts), draft=False, missing=missing, halted=halted)
    assert found == status


def test_a_sweep_that_was_just_started_or_resumed_is_not_archived() -> None:
    for state, event in (
        (filled(ready=1, finished=1), sw.SweepStarted()),
        (filled(failed=1, finished=1), sw.SweepResumed()),
    ):
        going = after(state, event)
        assert code_of(going, ArchiveSweep(sweep=SWEEP)) == "sweep_active"


def test_every_event_of_a_sweep_is_among_the_samples_and_evolves() -> None:
    for shape in get_args(SweepEvent):
        event = SAMPLES[shape.type]
        assert isinstance(event, SweepEvent)
        assert after(filled(ready=1, failed=2), event).id == SWEEP


def test_every_command_to_a_sweep_is_decided() -> None:
    asked = {
        type(command)
        for command in (
            START_IT,
            STOP_IT,
            RESUME_IT,
            points(0, 1, of=GOING),
            EditSweep(sweep=SWEEP),
            ArchiveSweep(sweep=SWEEP),
            UnarchiveSweep(sweep=SWEEP),
            PauseSweep(sweep=SWEEP, failures=1),
        )
    }
    assert asked == set(get_args(SweepCommand))
