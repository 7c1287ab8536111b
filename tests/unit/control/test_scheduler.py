"""Queued runs are started in order, and never more of them than there is room for: P3.2."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tallystick.config import ExecutionSettings
from tallystick.control.scheduler import Scheduler
from tallystick.domain import commands as cm
from tallystick.domain.ids import RunId
from tallystick.domain.queue import Start
from tallystick.errors import ConflictError
from tallystick.projections import queue, tables
from tallystick.testing.clock import ManualClock
from tallystick.testing.spine import PERSON
from tests.unit.control.rig import MINT, CrashError, Rig
from tests.unit.control.road import Road


def test_runs_start_in_the_order_in_which_they_were_queued(rig: Rig) -> None:
    sweep = rig.road.sweep()
    made = [rig.road.run(sweep) for _ in range(4)]
    for run in reversed(made):
        rig.road.handle(cm.QueueRun(run=run))
    rig.scheduler.tick()
    assert rig.statuses(made) == ["queued", "queued", "launching", "launching"]
    order = [rig.backend.bundle(attempt).run for attempt in rig.backend.submissions]
    assert order == [made[3], made[2]]


def test_there_are_never_more_than_fit_and_a_place_is_used_again(rig: Rig) -> None:
    made = rig.queue(5)
    for _ in range(3):
        rig.scheduler.tick()
    assert rig.statuses(made) == ["launching"] * 2 + ["queued"] * 3
    rig.start(made[0], rig.attempt_of(made[0]))
    rig.scheduler.tick()
    assert rig.statuses(made) == ["running", "launching"] + ["queued"] * 3
    rig.end(made[0])
    rig.scheduler.tick()
    assert rig.statuses(made) == ["finished", "launching", "launching", "queued", "queued"]
    assert rig.backend.submit_count == 3


def test_a_run_that_is_being_stopped_holds_its_place_until_it_is_dead(rig: Rig) -> None:
    made = rig.queue(3)
    rig.scheduler.tick()
    rig.road.handle(cm.StopRun(run=made[0]))
    rig.scheduler.tick()
    assert rig.statuses(made) == ["launching", "launching", "queued"]


def test_an_archived_run_takes_no_place_because_it_cannot_be_queued(rig: Rig) -> None:
    run = rig.road.run(rig.road.sweep())
    rig.road.handle(cm.ArchiveRun(run=run))
    with pytest.raises(ConflictError) as refusal:
        rig.road.handle(cm.QueueRun(run=run))
    assert refusal.value.code == "run_archived"
    rig.scheduler.tick()
    assert rig.backend.submissions == {}
    rig.road.handle(cm.UnarchiveRun(run=run))
    rig.road.handle(cm.QueueRun(run=run))
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["launching"]


def test_what_was_stopped_while_it_waited_is_never_started(rig: Rig) -> None:
    made = rig.queue(3)
    rig.road.handle(cm.StopRun(run=made[0]))
    rig.scheduler.tick()
    assert rig.statuses(made) == ["stopped", "launching", "launching"]


def test_an_empty_queue_starts_nothing_and_writes_nothing(rig: Rig) -> None:
    before = rig.road.types()
    rig.scheduler.tick()
    assert rig.road.types() == before


class Interrupting(ManualClock):
    """Lets something happen between the choice of a run and its assignment."""

    def __init__(self, road: Road, meanwhile: Callable[[], object]) -> None:
        super().__init__(road.clock.now())
        self._meanwhile = meanwhile

    def new_id(self, prefix: str) -> str:
        if prefix == "att":
            self._meanwhile()
        return f"{prefix}_{'e' * 12}"


def interrupted(rig: Rig, meanwhile: Callable[[], object]) -> Scheduler:
    return Scheduler(
        rig.road.database,
        rig.road.handler,
        rig.launcher,
        rig.backend,
        clock=Interrupting(rig.road, meanwhile),
        mint=MINT,
        settings=ExecutionSettings(max_concurrent=1),
    )


def test_a_run_that_is_edited_in_the_last_moment_is_executed_as_it_was_edited(rig: Rig) -> None:
    (run,) = rig.queue(command="old")
    texts = rig.road.texts()
    edit = cm.EditRun(run=run, command=texts.add("new"))
    interrupted(rig, lambda: rig.road.handle(edit, texts=texts)).tick()
    assert rig.backend.bundle(rig.attempt_of(run).id).command == "new"


def test_a_run_that_is_stopped_in_the_last_moment_is_not_started(rig: Rig) -> None:
    (run,) = rig.queue()
    interrupted(rig, lambda: rig.road.handle(cm.StopRun(run=run))).tick()
    assert rig.statuses([run]) == ["stopped"]
    assert rig.backend.submissions == {}


def test_a_drain_in_the_last_moment_holds(rig: Rig) -> None:
    (run,) = rig.queue()
    interrupted(rig, lambda: rig.road.handle(cm.Drain(), by=PERSON)).tick()
    assert rig.statuses([run]) == ["queued"]


def test_one_launch_that_fails_holds_up_no_other_and_is_repeated(rig: Rig) -> None:
    made = rig.queue(2)
    rig.backend.refuse(1)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["launching", "launching"]
    assert len(rig.backend.submissions) == 1
    rig.reconciler.tick()
    assert len(rig.backend.submissions) == 1  # the scheduler may still be at it
    rig.road.clock.advance(10_000)
    rig.reconciler.tick()
    assert len(rig.backend.submissions) == 2
    assert all(rig.attempt_of(run).native is not None for run in made)


def test_a_run_directory_that_cannot_be_written_holds_up_no_other(rig: Rig) -> None:
    made = rig.queue(2)
    rig.runs_dir.mkdir()
    (rig.runs_dir / made[0]).write_text("in the way")
    rig.scheduler.tick()
    rig.road.clock.advance(10_000)
    rig.reconciler.tick()
    assert len(rig.backend.submissions) == 1
    (rig.runs_dir / made[0]).unlink()
    rig.reconciler.tick()
    assert len(rig.backend.submissions) == 2


def crash_while_launching(rig: Rig, step: str) -> RunId:
    (run,) = rig.queue()
    rig.backend.dying.at = step
    if step == "assigned":
        rig.scheduler._assign(Start(run, ())).result()
        return run
    with pytest.raises(CrashError):
        rig.scheduler.tick()
    return run


@pytest.mark.parametrize("step", ["assigned", "bundle written", "submitted"])
def test_a_launch_that_was_cut_short_is_completed_by_the_next_server_once(
    rig: Rig, step: str
) -> None:
    run = crash_while_launching(rig, step)
    attempt = rig.attempt_of(run)
    assert attempt.native is None
    later = rig.restarted()
    later.scheduler.tick()
    later.reconciler.tick()
    later.reconciler.tick()
    assert list(rig.backend.submissions) == [attempt.id]
    assert later.attempt_of(run).number == 1
    assert rig.road.types().count("attempt.assigned") == 1
    assert rig.backend.bundle(attempt.id).environment["TALLY_TOKEN"].startswith("tally_run_")
    assert later.statuses([run]) == ["launching"]


@pytest.mark.parametrize("step", ["assigned", "bundle written", "submitted"])
def test_a_stop_after_a_launch_that_was_cut_short_reaches_the_backend(rig: Rig, step: str) -> None:
    run = crash_while_launching(rig, step)
    rig.road.handle(cm.StopRun(run=run))
    later = rig.restarted()
    later.reconciler.tick()
    assert [asked.attempt for asked in rig.backend.cancelled] == [rig.attempt_of(run).id]
    assert later.road.state(run).stop_requested


@pytest.mark.parametrize("word", ["stop", "drain"])
def test_a_run_that_was_chosen_before_its_sweep_was_stopped_or_the_server_drained_is_not_started(
    rig: Rig, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word comes after the scheduler looked, and before it asks."""
    (run,) = rig.queue()
    sweep = rig.road.state(run).sweep
    assert sweep is not None
    look = rig.scheduler._load

    def look_and_speak() -> Any:
        line = look()
        if word == "drain":
            rig.road.handle(cm.Drain(), by=PERSON)
        else:
            rig.road.handle(cm.StopSweep(sweep=sweep))
        return line

    monkeypatch.setattr(rig.scheduler, "_load", look_and_speak)
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["queued"]
    assert rig.backend.submit_count == 0


@contextmanager
def counting() -> Iterator[list[int]]:
    """How many steps of ten instructions each SQLite's machine takes: the same on every host."""
    steps = [0]

    def step() -> int:
        steps[0] += 1
        return 0

    def watch(connection: Any, *_: object) -> None:
        connection.connection.dbapi_connection.set_progress_handler(step, 10)

    event.listen(Engine, "before_cursor_execute", watch)
    try:
        yield steps
    finally:
        event.remove(Engine, "before_cursor_execute", watch)


@pytest.mark.parametrize("used", ["every place is used", "every place is free"])
def test_a_decision_costs_the_same_however_long_the_queue_is(rig: Rig, used: str) -> None:
    like = [rig.road.state(run) for run in rig.queue(3)]
    rig.scheduler.tick()
    room = queue.Room(capacity=rig.backend.capacity(), now=rig.road.clock.now())
    if used == "every place is used":
        room = replace(room, capacity=replace(room.capacity, slots=2))
    else:
        room = replace(room, capacity=replace(room.capacity, slots=10))

    def cost() -> int:
        with rig.road.database.read() as tx, counting() as steps:
            queue.load(tx, room)
        return steps[0]

    costs = []
    for count in (100, 4_000):
        with rig.road.database.write() as tx:
            more = (
                replace(like[2], id=RunId(f"run_{n:012x}"), queued_seq=1_000 + n, created_seq=n)
                for n in range(1_000, 1_000 + count)
            )
            tx.upsert(tables.runs.table, [tables.runs.dump(run) for run in more])
        costs.append(cost())
    assert costs[0] > 0
    assert costs[1] <= 1.2 * costs[0]
