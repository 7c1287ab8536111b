"""A run's rules: P3.1 to P3.7."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from tallystick.domain import commands as cm
from tallystick.domain import events as ev
from tallystick.domain import run as runs
from tallystick.domain import run_decisions
from tallystick.domain.demands import Demands
from tallystick.domain.ids import UNATTRIBUTED, AttemptId, RunId, SweepId
from tallystick.domain.policy import Attribution
from tallystick.domain.run import Run
from tallystick.domain.run_decisions import RunCommand
from tallystick.domain.status import Outcome, Phase, Status, flatten
from tallystick.errors import ConflictError, InvalidError
from tests.unit.domain.states import (
    ATTEMPT,
    FAILED,
    MARK,
    REGISTERED,
    RETRIED,
    RUN,
    RUNS,
    SAMPLES,
    SESSION,
    START,
    STOP,
    SWEEP,
    TO_RUNNING,
    UNSUPERVISED,
    ended,
    minted,
    record,
    register,
    run_after,
    text,
)

COMMANDS: dict[str, RunCommand] = {
    "edit": cm.EditRun(run=RUN, command=text("false")),
    "queue": cm.QueueRun(run=RUN),
    "stop": cm.StopRun(run=RUN),
    "archive": cm.ArchiveRun(run=RUN),
    "unarchive": cm.UnarchiveRun(run=RUN),
    "annotate": cm.AnnotateRun(run=RUN, add_tags=("best",), starred=True),
    "assign": cm.AssignAttempt(
        run=RUN,
        attempt=AttemptId("att_0000000000ff"),
        backend="local",
        run_token=minted(1),
        supervisor_token=minted(2),
    ),
    "requeue": cm.RequeueRun(run=RUN),
    "release": cm.ReleaseRun(run=RUN),
    "dependency": cm.FailDependency(run=RUN, reason=text("run_00000000000f failed")),
    "move": cm.MoveRun(run=RUN, sweep=SweepId("swp_0000000000ff")),
}

# What each command does in each state: the entry it leads to, "-" for none, "!" for a refusal.
TABLE = """
                    edit           queue          stop                archive        unarchive       annotate       assign            requeue       release       dependency   move
held                run.edited     -              run.ended           !run_active    -               run.annotated  !run_not_queued   -             run.released  run.ended    !run_active
ready               run.edited     run.queued     run.ended           run.archived   -               run.annotated  !run_not_queued   -             -             -            run.moved
queued              run.edited     -              run.ended           !run_active    -               run.annotated  attempt.assigned  -             -             -            !run_active
launching           !run_immutable -              run.stop_requested  !run_active    -               run.annotated  !run_not_queued   -             -             -            !run_active
running             !run_immutable -              run.stop_requested  !run_active    -               run.annotated  !run_not_queued   -             -             -            !run_active
stopping            !run_immutable -              -                   !run_active    -               run.annotated  !run_not_queued   -             -             -            !run_active
unsupervised        !run_immutable -              run.stop_requested  !run_active    -               run.annotated  !run_not_queued   -             -             -            !run_active
finished            !run_immutable !run_ended     -                   run.archived   -               run.annotated  !run_not_queued   -             -             -            run.moved
failed              !run_immutable !run_ended     -                   run.archived   -               run.annotated  !run_not_queued   run.requeued  -             -            run.moved
stopped             !run_immutable !run_ended     -                   run.archived   -               run.annotated  !run_not_queued   run.requeued  -             -            run.moved
to_be_tried_again   !run_immutable -              run.ended           !run_active    -               run.annotated  attempt.assigned  -             -             -            !run_active
launching_again     !run_immutable -              run.stop_requested  !run_active    -               run.annotated  !run_not_queued   -             -             -            !run_active
queued_again        !run_immutable -              run.ended           !run_active    -               run.annotated  attempt.assigned  -             -             -            !run_active
archived            run.edited     !run_archived  run.ended           -              run.unarchived  run.annotated  !run_not_queued   -             -             -            run.moved
archived,_ended     !run_immutable !run_ended     -                   -              run.unarchived  run.annotated  !run_not_queued   -             -             -            run.moved
"""  # noqa: E501 - a table reads as one


def cells() -> Iterator[tuple[str, str, str]]:
    header, *lines = TABLE.strip().splitlines()
    for line in lines:
        state, *expected = line.split()
        for command, what in zip(header.split(), expected, strict=True):
            yield state.replace("_", " "), command, what


def test_the_table_has_every_state_and_every_command() -> None:
    found = set(cells())
    assert {state for state, _, _ in found} == set(RUNS)
    assert {type(COMMANDS[command]) for _, command, _ in found} == set(get_args(RunCommand))
    assert len(found) == len(RUNS) * len(COMMANDS)


@pytest.mark.parametrize(("state", "command", "expected"), list(cells()))
def test_each_command_in_each_state(state: str, command: str, expected: str) -> None:
    run = RUNS[state]
    if expected.startswith("!"):
        with pytest.raises(ConflictError) as refusal:
            run_decisions.decide(run, COMMANDS[command])
        assert refusal.value.code == expected[1:]
        return
    facts = run_decisions.decide(run, COMMANDS[command])
    assert [fact.event.type for fact in facts] == [expected] * (expected != "-")
    assert all((fact.stream, fact.session) == (RUN, SESSION) for fact in facts)


@pytest.mark.parametrize(("state", "command", "expected"), list(cells()))
def test_what_was_done_once_is_not_done_again(state: str, command: str, expected: str) -> None:
    run = RUNS[state]
    if expected.startswith("!"):
        return
    for fact in run_decisions.decide(run, COMMANDS[command]):
        assert isinstance(fact.event, runs.RunEvent)
        run = runs.evolve(run, record(fact.event, seq=50), fact.event)
    assert run_decisions.decide(run, COMMANDS[command]) == []


@pytest.mark.parametrize(
    ("state", "command", "action"),
    [
        ("running", "edit", f"POST /runs/{RUN}/rerun"),
        ("finished", "queue", f"POST /runs/{RUN}/rerun"),
        ("archived", "queue", f"POST /runs/{RUN}/unarchive"),
        ("queued", "archive", f"POST /runs/{RUN}/stop"),
    ],
)
def test_a_refusal_names_the_call_to_make_instead(state: str, command: str, action: str) -> None:
    with pytest.raises(ConflictError) as refusal:
        run_decisions.decide(RUNS[state], COMMANDS[command])
    assert refusal.value.next_actions[0].startswith(action)
    assert refusal.value.facts["status"] == RUNS[state].status


def test_registering_keeps_everything_and_queues_on_request() -> None:
    command = register(
        sweep=SWEEP, params={"lr": "0.1", "seed": 3}, start=True, request=MARK, origin_alert="a1"
    )
    found = run_decisions.decide_register(command, Attribution(SESSION, ("x",)), marks=("y",))
    assert [fact.event.type for fact in found] == ["run.registered", "run.queued"]
    assert all((fact.stream, fact.session) == (RUN, SESSION) for fact in found)
    event = found[0].event
    assert isinstance(event, ev.RunRegistered)
    assert event.violations == ("x", "y")
    state = runs.registered(record(event, seq=8), event)
    assert (state.sweep, state.params, state.origin_alert) == (SWEEP, command.params, "a1")
    assert (state.created_at, state.created_seq, state.changed_seq) == (START, 8, 8)
    assert (state.phase, state.status, state.created_by) == (Phase.READY, Status.READY, "agent")


def test_without_start_it_stays_ready() -> None:
    found = run_decisions.decide_register(register(), Attribution(SESSION), marks=())
    assert [fact.event.type for fact in found] == ["run.registered"]


def test_an_entry_without_session_is_unattributed() -> None:
    assert runs.registered(record(REGISTERED, session=None), REGISTERED).session == UNATTRIBUTED


@pytest.mark.parametrize("field", ["name", "command", "workdir"])
def test_empty_text_is_refused_at_registration_and_in_an_edit(field: str) -> None:
    with pytest.raises(InvalidError):
        run_decisions.decide_register(register(**{field: text("")}), Attribution(SESSION), marks=())
    edit: dict[str, Any] = {field: text("")}
    with pytest.raises(InvalidError):
        run_decisions.decide(RUNS["ready"], cm.EditRun(run=RUN, **edit))


def test_an_edit_records_old_and_new_of_what_changes_only() -> None:
    command = cm.EditRun(run=RUN, name=text("n"), command=text("false"))
    (fact,) = run_decisions.decide(RUNS["queued"], command)
    assert fact.event == ev.RunEdited(command=text("false"), old_command=text("true"))
    assert isinstance(fact.event, ev.RunEdited)
    after = runs.evolve(RUNS["queued"], record(fact.event, seq=9), fact.event)
    expected = replace(RUNS["queued"], command=text("false"), changed_seq=9)
    assert after == expected


def test_an_edit_of_nothing_is_nothing() -> None:
    assert run_decisions.decide(RUNS["ready"], cm.EditRun(run=RUN)) == []


def test_a_waiting_run_that_is_stopped_ends_at_once_and_is_cancelled() -> None:
    (fact,) = run_decisions.decide(RUNS["queued"], cm.StopRun(run=RUN))
    assert isinstance(fact.event, ev.RunEnded)
    state = runs.evolve(RUNS["queued"], record(fact.event, seq=9, ts=START + 77), fact.event)
    assert (state.status, state.outcome) == (Status.STOPPED, Outcome.CANCELLED)
    assert (state.stopped_at, state.ended_at, state.attempt) == (START + 77, START + 77, None)
    assert runs.explain(state) == "stopped before it started"


def test_an_active_run_is_stopped_only_by_its_end() -> None:
    state = RUNS["stopping"]
    assert (state.status, state.stop_requested) == (Status.RUNNING, True)
    assert runs.explain(state) == "stopping: waiting for every process of the run to end"


def test_an_assignment_counts_the_attempts_and_can_be_repeated() -> None:
    (fact,) = run_decisions.decide(RUNS["queued"], COMMANDS["assign"])
    assert isinstance(fact.event, ev.AttemptAssigned)
    assert fact.event.number == 1
    state = runs.evolve(RUNS["queued"], record(fact.event, seq=9), fact.event)
    assert (state.phase, state.attempts, state.status) == (Phase.ACTIVE, 1, Status.LAUNCHING)
    assert run_decisions.decide(state, COMMANDS["assign"]) == []
    with pytest.raises(ConflictError):
        run_decisions.decide(state, replace(COMMANDS["assign"], attempt=ATTEMPT))  # type: ignore[arg-type]


@pytest.mark.parametrize("state", RUNS.values(), ids=RUNS.keys())
def test_evolve_is_total_and_keeps_the_status_true(state: Run) -> None:
    for event in SAMPLES.values():
        if not isinstance(event, runs.RunEvent):
            continue
        after = runs.evolve(state, record(event, seq=99), event)
        assert after.changed_seq == 99
        started = after.started_at is not None
        assert after.status is flatten(after.phase, after.outcome, started=started)
        assert (after.id, after.created_seq, after.created_at) == (RUN, 1, START)


def test_every_event_of_a_run_is_among_the_samples() -> None:
    assert {shape.type for shape in get_args(runs.RunEvent)} <= set(SAMPLES)


def test_the_supervisors_clock_counts_for_start_and_end() -> None:
    state = RUNS["finished"]
    assert (state.started_at, state.ended_at) == (START + 5_000, START + 9_000)
    silent = run_after(*TO_RUNNING[:2], ev.RunStarted(attempt=ATTEMPT))
    assert silent.started_at == START + 4_000


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RUNS["running"], None),
        (RUNS["finished"], None),
        (RUNS["unsupervised"], "supervisor lost, watched by the server"),
        (RUNS["failed"], "exit code 3"),
        (run_after(*TO_RUNNING, ended(Outcome.FAILED, signal=9, reason_code="signal")), "signal 9"),
        (run_after(*TO_RUNNING, STOP, ended(Outcome.CANCELLED, reason_code="stop_requested")),
         "stopped on request"),
        (run_after(*TO_RUNNING, ended(Outcome.LOST, reason_code="supervisor_killed")), "lost:"),
        (run_after(*TO_RUNNING, ended(Outcome.LOST, reason_code="host_rebooted")), "rebooted"),
        (run_after(*TO_RUNNING, ended(Outcome.LOST, reason_code="launch_failed")), "could not"),
        (run_after(*TO_RUNNING, ended(Outcome.FAILED, reason_code="workdir_missing")), "directory"),
        (run_after(*TO_RUNNING, ended(Outcome.FAILED, reason_code="exec_failed")), "executed"),
        (run_after(*TO_RUNNING, ended(Outcome.FAILED, reason_code="of_tomorrow")), "of_tomorrow"),
        (run_after(*TO_RUNNING, UNSUPERVISED, STOP), "supervisor lost"),
        (run_after(*TO_RUNNING, UNSUPERVISED, FAILED), "exit code 3"),
    ],
)  # fmt: skip
def test_the_reason_is_told_in_words(state: Run, words: str | None) -> None:
    found = runs.explain(state)
    assert (found is None) if words is None else (found is not None and words in found)


def queue_again(state: Run, event: ev.AttemptEnded | ev.RunRequeued) -> Run:
    return runs.evolve(state, record(event, seq=70, ts=START + 70_000), event)


@pytest.mark.parametrize(("event", "tries"), [(RETRIED, 1), (ev.RunRequeued(), 0)], ids=str)
def test_a_run_that_is_queued_again_shows_nothing_of_what_was_before(
    event: ev.AttemptEnded | ev.RunRequeued, tries: int
) -> None:
    before = RUNS["running"] if event is RETRIED else RUNS["failed"]
    state = queue_again(before, event)
    assert (state.status, state.phase, state.tries) == (Status.QUEUED, Phase.QUEUED, tries)
    assert (state.queued_seq, state.queued_at) == (70, START + 70_000)
    shown = ("outcome", "exit_code", "signal", "reason_code", "reason", "started_at", "ended_at")
    assert [getattr(state, name) for name in shown] == [None] * len(shown)
    assert (state.launched_at, state.stopped_at, state.ended_seq) == (None, None, None)
    assert (state.attempts, state.attempt) == (1, ATTEMPT)
    assert state.not_before == (START + 19_000 if event is RETRIED else None)
    assert state.lane is not None


def test_a_stop_between_two_attempts_says_so() -> None:
    (fact,) = run_decisions.decide(RUNS["to be tried again"], cm.StopRun(run=RUN))
    assert isinstance(fact.event, ev.RunEnded)
    state = runs.evolve(RUNS["to be tried again"], record(fact.event), fact.event)
    assert (state.status, state.not_before) == (Status.STOPPED, None)
    assert runs.explain(state) == "stopped while it waited for its next attempt"


def test_a_run_that_depends_on_others_is_in_no_lane_until_it_is_released() -> None:
    registered = replace(REGISTERED, depends_on=(RunId("run_00000000000f"),))
    state = runs.registered(record(registered), registered)
    queued = runs.evolve(state, record(ev.RunQueued(), seq=2), ev.RunQueued())
    assert (queued.held, queued.lane) == (True, None)
    released = runs.evolve(queued, record(ev.RunReleased(), seq=3), ev.RunReleased())
    assert (released.held, released.queued_seq) == (False, 2)
    assert released.lane is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"sweep": SweepId("swp_0000000000ff")},
        {"demands": Demands(priority=1)},
        {"demands": Demands(gpus=1)},
        {"demands": Demands(pins=("1",))},
        {"demands": Demands(memory_mb=1)},
    ],
    ids=str,
)
def test_runs_share_a_lane_only_when_they_wait_for_the_same(changes: dict[str, Any]) -> None:
    def lane(event: ev.RunRegistered, number: int) -> str | None:
        own: dict[str, Any] = {"stream": f"run_{number:012x}", "seq": number}
        state = runs.registered(record(event, **own), event)
        return runs.evolve(state, record(ev.RunQueued(), **own), ev.RunQueued()).lane

    assert lane(REGISTERED, 1) == lane(replace(REGISTERED, params={}), 2)
    assert lane(REGISTERED, 1) != lane(replace(REGISTERED, **changes), 3)


def test_priority_is_kept_as_what_sorts_first() -> None:
    event = replace(REGISTERED, demands=Demands(priority=7))
    state = runs.registered(record(event), event)
    edited = ev.RunEdited(demands=Demands(priority=-2), old_demands=event.demands)
    assert (state.urgency, runs.evolve(state, record(edited), edited).urgency) == (-7, 2)


def test_a_point_of_a_plan_stays_in_its_sweep() -> None:
    planned = replace(RUNS["ready"], point=3)
    with pytest.raises(ConflictError) as refusal:
        run_decisions.decide(planned, COMMANDS["move"])
    assert refusal.value.code == "run_planned"


@pytest.mark.parametrize(
    ("status", "age"), [("queued", 50), ("running", 50), ("ready", None), ("finished", 2)]
)
def test_no_earlier_stop_of_a_sweep_concerns_a_run_that_joins_it_on_its_way(
    status: str, age: int | None
) -> None:
    moved = ev.RunMoved(sweep=SweepId("swp_00000000000e"), old_sweep=None)
    assert runs.evolve(RUNS[status], record(moved, seq=50), moved).queued_seq == age


def test_demands_made_from_what_somebody_has_changed_meanwhile_are_refused() -> None:
    now, outdated = replace(RUNS["ready"], demands=Demands(cpus=2)), Demands()
    edit = cm.EditRun(run=RUN, demands=Demands(priority=5), demands_base=outdated)
    with pytest.raises(ConflictError) as refusal:
        run_decisions.decide(now, edit)
    assert refusal.value.code == "edited_meanwhile"
    assert refusal.value.next_actions[0] == f"GET /runs/{RUN}"
    whole = replace(edit, demands=Demands(cpus=2, priority=5), demands_base=Demands(cpus=2))
    assert [fact.event.type for fact in run_decisions.decide(now, whole)] == ["run.edited"]
