"""What the scheduler does with the policy's word: leases, limits, dependencies, drain, retries."""

import itertools
import threading
from dataclasses import replace
from typing import Any

import pytest

from tallystick.control.scheduler import room_of
from tallystick.domain import commands as cm
from tallystick.domain.capacity import Capacity
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId, SweepId
from tallystick.domain.status import Outcome
from tallystick.projections.line import Queue, Waiting
from tallystick.testing.backend import gpus
from tallystick.testing.spine import PERSON
from tests.unit.control.rig import DyingBackend, Rig
from tests.unit.control.road import Road


def host(road: Road, *, slots: int = 4, count: int = 0, **changes: Any) -> Rig:
    """A server on a host with so many slots and GPUs."""
    room = Capacity(slots=slots, cpus=8, memory_mb=32_000, devices=gpus(count))
    return Rig(road, DyingBackend(capacity=room), **{"max_concurrent": slots, **changes})


def waiting(rig: Rig, *runs: RunId) -> list[Waiting]:
    """Why each of them waits, and where."""
    room = room_of(rig.backend, rig.execution, now=rig.road.clock.now())
    states = [rig.road.state(run) for run in runs]
    with rig.road.database.read() as tx:
        told = Queue(tx, room).waiting(states)
    return [told[run] for run in runs]


def words(rig: Rig, run: RunId) -> str:
    (told,) = waiting(rig, run)
    return told.reason.words(now=rig.road.clock.now())


def positions(rig: Rig, *runs: RunId) -> list[int | None]:
    return [told.position for told in waiting(rig, *runs)]


def asking(**asks: Any) -> dict[str, Any]:
    return {"demands": Demands(**asks), "start": True}


def queue(rig: Rig, count: int = 1, **asks: Any) -> list[RunId]:
    return rig.queue(count, demands=Demands(**asks))


def leases(rig: Rig, runs: list[RunId]) -> list[tuple[str, ...]]:
    return [rig.attempt_of(run).gpus for run in runs if rig.road.state(run).attempt]


def test_runs_submitted_in_parallel_never_share_a_device(road: Road) -> None:
    """S4: fifty at once, four cards: each card has one run at a time, and each run one card."""
    rig = host(road, slots=50, count=4)
    sweep, made = road.sweep(), []
    guard = threading.Lock()

    def submit() -> None:
        run = road.run(sweep, **asking(gpus=1))
        with guard:
            made.append(run)

    threads = [threading.Thread(target=submit) for _ in range(50)]
    for thread in threads:
        thread.start()

    def tick() -> None:
        for _ in range(5):
            rig.scheduler.tick()

    ticking = threading.Thread(target=tick)
    ticking.start()
    for thread in [*threads, ticking]:
        thread.join()
    done: set[RunId] = set()
    while len(done) < 50:
        rig.scheduler.tick()
        active = [run for run in made if road.state(run).status == "launching"]
        held = [device for lease in leases(rig, active) for device in lease]
        assert len(held) == len(set(held)) == len(active) == min(4, 50 - len(done))
        rig.end(active[0])
        done.add(active[0])


def test_the_lease_is_in_the_ledger_and_ends_with_the_attempt(road: Road) -> None:
    rig = host(road, count=1)
    sweep = road.sweep()
    first, second = road.run(sweep, **asking(gpus=1)), road.run(sweep, **asking(gpus=1))
    rig.scheduler.tick()
    assert rig.statuses([first, second]) == ["launching", "queued"]
    (assigned,) = [entry for entry in road.entries() if entry.type == "attempt.assigned"]
    assert assigned.data["gpus"] == [gpus(1)[0].id]
    assert words(rig, second) == f"waits for 1 GPU; {first} holds GPU 0 since 22:13 UTC"
    rig.end(first)
    rig.scheduler.tick()
    assert rig.statuses([first, second]) == ["finished", "launching"]


def test_a_run_that_is_being_stopped_keeps_its_device_until_it_is_dead(road: Road) -> None:
    rig = host(road, count=1)
    first, second = queue(rig, gpus=1) + queue(rig, gpus=1)
    rig.scheduler.tick()
    road.handle(cm.StopRun(run=first))
    rig.scheduler.tick()
    assert rig.statuses([second]) == ["queued"]


def test_without_a_gpu_a_run_that_asks_for_one_says_so_and_others_start(road: Road) -> None:
    """S5."""
    rig = host(road, count=0)
    large, plain = queue(rig, gpus=1) + queue(rig)
    rig.scheduler.tick()
    assert rig.statuses([large, plain]) == ["queued", "launching"]
    assert words(rig, large) == "asks for 1 GPU, this host has none: it can never start here"
    assert positions(rig, large) == [None]


def test_a_device_that_appears_is_used_and_one_that_a_stranger_takes_is_not(road: Road) -> None:
    rig = host(road, count=0)
    first, second = queue(rig, 2, gpus=1)
    rig.scheduler.tick()
    rig.backend.room = replace(rig.backend.room, devices=gpus(1))
    rig.scheduler.tick()
    assert rig.statuses([first, second]) == ["launching", "queued"]
    rig.end(first)
    (card,) = gpus(1)
    held = replace(card, held_by="pid 4211 (python, alice)")
    rig.backend.room = replace(rig.backend.room, devices=(held,))
    rig.scheduler.tick()
    assert rig.statuses([second]) == ["queued"]
    assert words(rig, second) == "waits for 1 GPU; GPU 0 is held by pid 4211 (python, alice)"


def test_people_limit_how_many_devices_are_handed_out(road: Road) -> None:
    rig = host(road, count=2)
    road.handle(cm.SetCluster(gpu_count=1), by=PERSON)
    made = queue(rig, 2, gpus=1)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["launching", "queued"]
    road.handle(cm.SetCluster(gpu_count=2), by=PERSON)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["launching", "launching"]


def planned(road: Road, count: int, *, parallel: int | None = None, **changes: Any) -> SweepId:
    """A sweep whose runs are all queued."""
    sweep = road.sweep()
    for _ in range(count):
        road.run(sweep, start=True, **changes)
    road.handle(cm.StartSweep(sweep=sweep, parallel=parallel))
    return sweep


def runs_of(rig: Rig, sweep: SweepId) -> list[RunId]:
    entries = [entry for entry in rig.road.entries() if entry.type == "run.registered"]
    return [RunId(entry.stream) for entry in entries if entry.data.get("sweep") == sweep]


def test_a_sweep_keeps_its_parallelism_to_the_end_and_leaves_the_rest_to_others(
    road: Road,
) -> None:
    """S7: what runs counts, whoever started it, and the next follows without being asked."""
    rig = host(road, slots=8)
    sweep = planned(road, 7, parallel=3)
    (other,) = rig.queue(1)
    made = runs_of(rig, sweep)
    seen = []
    for _ in range(7):
        rig.scheduler.tick()
        active = [run for run in made if road.state(run).status == "launching"]
        seen.append(len(active))
        queued = [run for run in made if road.state(run).status == "queued"]
        if queued:
            assert words(rig, queued[-1]) == f"sweep {sweep} runs at most 3 at a time"
        rig.end(active[0])
    assert seen == [3, 3, 3, 3, 3, 2, 1]
    assert rig.statuses([other]) == ["launching"]


def test_a_session_is_not_delayed_by_the_queue_of_another(road: Road) -> None:
    rig = host(road, slots=1)
    crowd = rig.queue(30)
    rig.scheduler.tick()
    (guest,) = [road.run(road.sweep(session="chat-2"), session="chat-2", start=True)]
    assert positions(rig, guest, crowd[1]) == [1, 2]
    rig.end(crowd[0])
    rig.scheduler.tick()
    assert rig.statuses([guest]) == ["launching"]


def test_every_waiting_run_says_how_many_are_before_it(road: Road) -> None:
    rig = host(road, slots=1)
    made = rig.queue(5)
    rig.scheduler.tick()
    assert [told.position for told in waiting(rig, *made[1:])] == [1, 2, 3, 4]
    assert words(rig, made[1]) == "waits for a free slot: the one there is is used"
    assert words(rig, made[4]) == "waits for its turn: 3 runs are before it"
    ready = road.run(road.sweep())
    assert words(rig, ready) == f"not started yet: POST /runs/{ready}/start"
    assert positions(rig, ready) == [None]


def test_positions_of_runs_with_priorities_follow_them(road: Road) -> None:
    rig = host(road, slots=1)
    sweep = road.sweep()
    low, high, plain = (
        road.run(sweep, **asking(priority=-1)),
        road.run(sweep, **asking(priority=9)),
        road.run(sweep, start=True),
    )
    assert positions(rig, low, high, plain) == [3, 1, 2]
    assert positions(rig, plain) == [2]


def test_a_page_of_the_queue_is_in_the_order_of_positions(road: Road) -> None:
    rig = host(road, slots=2)
    made = rig.queue(4) + [
        road.run(road.sweep(session=f"chat-{n}"), session=f"chat-{n}", **asking(priority=n))
        for n in range(3)
    ]
    impossible = queue(rig, gpus=9)
    room = room_of(rig.backend, rig.execution, now=road.clock.now())
    with road.database.read() as tx:
        asked = Queue(tx, room)
        whole = asked.page(first=1, limit=99)
        assert whole[-1:] == impossible
        assert sorted(whole) == sorted(made + impossible)
        pages = [asked.page(first=first, limit=3) for first in (1, 4, 7)]
        assert list(itertools.chain(*pages)) == whole
        told = asked.waiting([road.state(run) for run in whole])
    assert [told[run].position for run in whole] == [*range(1, 8), None]


def test_drained_nothing_starts_what_runs_goes_on_and_the_reason_says_so(road: Road) -> None:
    rig = host(road)
    (running,) = rig.queue(1)
    rig.scheduler.tick()
    texts = road.texts()
    road.handle(cm.Drain(reason=texts.add("maintenance")), by=PERSON, texts=texts)
    (run,) = rig.queue(1)
    rig.scheduler.tick()
    assert rig.statuses([running, run]) == ["launching", "queued"]
    assert words(rig, run) == "the server is drained: maintenance"
    road.handle(cm.Undrain(), by=PERSON)
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["launching"]


def test_a_run_is_released_when_all_that_it_depends_on_have_succeeded(road: Road) -> None:
    rig = host(road)
    first, second = rig.queue(2)
    (third,) = rig.queue(1, depends_on=(first, second))
    rig.scheduler.tick()
    assert rig.statuses([third]) == ["queued"]
    assert words(rig, third) == f"waits for {first} and 1 more to finish"
    rig.end(first)
    rig.scheduler.tick()
    assert words(rig, third) == f"waits for {second} to finish"
    rig.end(second)
    rig.scheduler.tick()
    assert rig.statuses([third]) == ["launching"]
    assert road.types().count("run.released") == 1


def test_a_run_ends_with_the_name_of_the_one_that_it_depended_on_in_vain(road: Road) -> None:
    rig = host(road)
    (first,) = rig.queue(1)
    (second,) = rig.queue(1, depends_on=(first,))
    (third,) = rig.queue(1, depends_on=(second,))
    rig.scheduler.tick()
    rig.end(first, exit_code=3)
    rig.scheduler.tick()
    rig.scheduler.tick()
    assert rig.statuses([second, third]) == ["stopped", "stopped"]
    state = road.state(second)
    assert (state.outcome, state.reason_code) == (Outcome.CANCELLED, "dependency_failed")
    assert state.reason is not None
    with road.database.read() as tx:
        said = road.ledger.texts(tx, [state.reason.c])[state.reason.c].decode()
    assert said == f"{first} ended as failed (exit code 3)"


def test_a_dependency_that_nobody_started_is_named_with_the_call_to_make(road: Road) -> None:
    rig = host(road)
    first = road.run(road.sweep())
    (second,) = rig.queue(1, depends_on=(first,))
    rig.scheduler.tick()
    assert words(rig, second) == (
        f"waits for {first} to finish; it is not started: POST /runs/{first}/start"
    )


def test_more_runs_with_open_dependencies_than_one_look_holds_are_all_settled(
    road: Road, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tallystick.control.scheduler.MOST_HELD", 2)
    rig = host(road, slots=9)
    (first,) = rig.queue(1)
    held = rig.queue(5, depends_on=(first,))
    rig.scheduler.tick()
    rig.end(first)
    for _ in range(6):
        rig.scheduler.tick()
    assert set(rig.statuses(held)) == {"launching"}


def test_a_sweep_that_goes_on_after_a_stop_costs_the_queue_no_more_than_another(road: Road) -> None:
    """A condition for each lane of it is more than a database takes when there are many."""
    rig = host(road)
    sweep = planned(road, 2)
    for command in (cm.StopSweep(sweep=sweep), cm.ResumeSweep(sweep=sweep)):
        road.handle(command)
        for run in runs_of(rig, sweep):
            stops = isinstance(command, cm.StopSweep)
            road.handle(cm.StopRun(run=run) if stops else cm.RequeueRun(run=run))
    with road.database.read() as tx:
        line = Queue(tx, room_of(rig.backend, rig.execution, now=road.clock.now())).line
    assert [lane.after for lane in line.lanes] == [0]


def test_runs_that_wait_for_ever_do_not_hide_those_that_can_be_released(
    road: Road, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tallystick.control.scheduler.MOST_HELD", 2)
    rig = host(road, slots=9)
    idle = road.run(road.sweep())
    rig.queue(3, depends_on=(idle,))
    (first,) = rig.queue(1)
    (second,) = rig.queue(1, depends_on=(first,))
    rig.scheduler.tick()
    rig.end(first)
    for _ in range(3):
        rig.scheduler.tick()
    assert rig.statuses([second]) == ["launching"]


def test_who_waits_for_a_run_that_is_repeated_just_now_goes_on_waiting(road: Road) -> None:
    rig = host(road)
    sweep = road.sweep()
    first = road.run(sweep, start=True)
    second = road.run(sweep, start=True, depends_on=(first,))
    rig.scheduler.tick()
    rig.end(first, exit_code=1)
    road.handle(cm.ResumeSweep(sweep=sweep))
    rig.scheduler.tick()  # before the planner has repeated the first
    road.handle(cm.RequeueRun(run=first))
    rig.scheduler.tick()
    rig.end(first)
    rig.scheduler.tick()
    assert rig.statuses([first, second]) == ["finished", "launching"]


def test_a_retry_waits_for_its_time_and_says_when(road: Road) -> None:
    rig = host(road)
    (run,) = rig.queue(1, demands=Demands(retries=1, backoff_ms=50_000))
    rig.scheduler.tick()
    rig.end(run, exit_code=1)
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["queued"]
    assert words(rig, run) == "retries after 22:14:10 UTC"
    assert positions(rig, run) == [None]
    road.clock.advance(50_000)
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["launching"]
    assert rig.attempt_of(run).number == 2


def test_what_fails_while_its_sweep_is_being_stopped_is_not_tried_again(road: Road) -> None:
    rig = host(road)
    sweep = road.sweep()
    demands = Demands(retries=1)
    run = road.run(sweep, start=True, demands=demands)
    rig.scheduler.tick()
    road.handle(cm.StopSweep(sweep=sweep))  # the planner has not asked the run to end yet
    later = road.run(sweep, start=True, demands=demands)
    rig.scheduler.tick()
    for one in (run, later):
        rig.end(one, exit_code=1)
    assert rig.statuses([run, later]) == ["failed", "queued"]


def test_a_sweep_whose_runs_fail_the_same_way_is_paused_before_the_grid_is_burnt(
    road: Road,
) -> None:
    rig = host(road, slots=1, breaker_failures=3)
    sweep = planned(road, 6)
    made = runs_of(rig, sweep)
    for run in made[:3]:
        rig.scheduler.tick()
        rig.end(run, exit_code=1)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["failed"] * 3 + ["queued"] * 3
    assert words(rig, made[3]) == (
        "sweep is paused: the last 3 runs failed the same way (exit code 1); "
        f"POST /sweeps/{sweep}/resume goes on"
    )
    assert road.types().count("sweep.paused") == 1
    (other,) = rig.queue(1)
    rig.scheduler.tick()
    assert rig.statuses([other]) == ["launching"]


def test_a_session_that_has_used_its_budget_of_runs_starts_no_more_and_says_so(
    road: Road,
) -> None:
    rig = host(road, slots=9)
    made = rig.queue(4)
    road.handle(cm.SetBudget(scope="session:chat-1", runs=2), by=PERSON)
    for _ in range(2):
        rig.scheduler.tick()
        assert rig.statuses(made) == ["launching"] * 2 + ["queued"] * 2
    said = "session's budget of 2 runs is used up; only a person can raise it"
    assert words(rig, made[2]) == words(rig, made[3]) == said
    road.handle(cm.SetBudget(scope="session:chat-1", runs=3), by=PERSON)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["launching"] * 3 + ["queued"]


def test_a_run_that_is_tried_again_leaves_its_place_in_the_budget_to_no_other(road: Road) -> None:
    rig = host(road, slots=1)
    made = rig.queue(4, demands=Demands(retries=1, backoff_ms=60_000))
    road.handle(cm.SetBudget(scope="session:chat-1", runs=2), by=PERSON)
    for run in made[:2]:
        rig.scheduler.tick()
        rig.end(run, exit_code=1)
    rig.scheduler.tick()
    assert [road.state(run).attempts for run in made] == [1, 1, 0, 0]
    road.clock.advance(60_000)
    for run in made[:2]:
        rig.scheduler.tick()
        rig.end(run)
    rig.scheduler.tick()
    assert rig.statuses(made) == ["finished"] * 2 + ["queued"] * 2


def test_a_sweep_whose_budget_of_time_is_reached_starts_no_more_and_says_so(road: Road) -> None:
    rig = host(road, slots=9)
    made = rig.queue(1) + rig.queue(1)
    sweep = road.state(made[0]).sweep
    assert sweep is not None
    road.handle(cm.SetBudget(scope=sweep, gpu_ms=3_600_000), by=PERSON)
    road.handle(cm.ReportBudget(scope=sweep, kind="gpu", reached=True))
    rig.scheduler.tick()
    assert rig.statuses(made) == ["queued", "launching"]
    assert words(rig, made[0]) == (
        "sweep's budget of 1 GPU-hour is used up; only a person can raise it"
    )


@pytest.mark.parametrize(
    ("kind", "unit"), [("gpu", "1 GPU-hour"), ("wall", "1 hour")], ids=["gpu", "wall"]
)
def test_a_budget_of_either_time_holds_back_whoever_it_is_for(
    road: Road, kind: str, unit: str
) -> None:
    rig = host(road, slots=9)
    (run,) = rig.queue(1)
    limits: dict[str, Any] = {f"{kind}_ms": 3_600_000}
    road.handle(cm.SetBudget(scope="session:chat-1", **limits), by=PERSON)
    road.handle(cm.ReportBudget(scope="session:chat-1", kind=kind, reached=True))
    rig.scheduler.tick()
    assert rig.statuses([run]) == ["queued"]
    assert words(rig, run) == f"session's budget of {unit} is used up; only a person can raise it"


def test_a_stop_of_the_sweep_holds_back_what_was_queued_before_it_and_nothing_later(
    road: Road,
) -> None:
    rig = host(road)
    sweep = planned(road, 2)
    road.handle(cm.StopSweep(sweep=sweep))
    later = road.run(sweep, start=True)
    rig.scheduler.tick()
    made = runs_of(rig, sweep)
    assert rig.statuses(made) == ["queued", "queued", "launching"]
    assert later == made[2]
    assert words(rig, made[0]) == f"sweep {sweep} is being stopped"
