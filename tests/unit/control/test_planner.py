"""Planned points become runs, each once, and runs move as their sweep was told to (P2.2)."""

import json
import threading
from pathlib import Path

import pytest

from tallystick.domain import commands as cm
from tallystick.domain.params import decode
from tallystick.domain.plan import Declaration, declare, digest_of
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import UnavailableError
from tallystick.testing.faults import Fault
from tests.unit.control.planning import planned_sweep, planner_of, runs_of, sweep_of, texts_of
from tests.unit.control.rig import Rig
from tests.unit.control.road import Road, open_road

GRID = Declaration(parameters={"lr": [0.1, 0.01], "bs": {"min": 8, "max": 32, "step": 8}})
MANY = Declaration(parameters={"x": {"min": 1, "max": 53, "step": 1}})


def test_every_planned_point_becomes_one_run_in_its_place(road: Road) -> None:
    sweep = planned_sweep(road, GRID)
    assert runs_of(road, sweep) == []
    planner_of(road, group=3).tick()
    made = runs_of(road, sweep)
    assert [decode(run.params) for run in made] == list(declare(GRID).points())
    assert [run.point for run in made] == list(range(8))
    assert texts_of(road, made, "name") == [f"a sweep #{i}" for i in range(1, 9)]
    assert texts_of(road, made, "command")[1] == "python train.py --lr=0.1 --bs=16"
    assert {run.status.value for run in made} == {"ready"}
    assert {(run.session, run.demands.retries, run.tags) for run in made} == {
        ("chat-1", 2, ("grid",))
    }


def test_the_plan_stands_in_the_ledger_before_the_first_run_and_its_digest_is_theirs(
    road: Road,
) -> None:
    sweep = planned_sweep(road, GRID)
    planner_of(road).tick()
    types = road.types()
    assert types.index("sweep.planned") < types.index("run.registered")
    plan = sweep_of(road, sweep).plan
    assert plan is not None
    assert digest_of(decode(run.params) for run in runs_of(road, sweep)) == plan.digest


def test_ticking_again_and_two_planners_at_once_double_nothing(road: Road) -> None:
    sweep = planned_sweep(road, MANY)
    planners = [planner_of(road, group=4) for _ in range(3)]
    threads = [threading.Thread(target=planner.tick) for planner in planners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    planners[0].tick()
    assert [run.point for run in runs_of(road, sweep)] == list(range(53))
    before = len(road.entries())
    planners[1].tick()
    assert len(road.entries()) == before


@pytest.mark.parametrize("fault", [Fault.APPLIED, Fault.NOT_APPLIED])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_server_that_dies_at_any_commit_loses_and_doubles_no_point(
    directory: Path, fault: Fault, at: int
) -> None:
    with open_road(directory) as road:
        sweep = planned_sweep(road, MANY, start=True)
        road.database.plan_writes(*[Fault.NONE] * at, *[fault] * 9)
        try:
            planner_of(road, group=10).tick()
        except UnavailableError:
            assert len(runs_of(road, sweep)) < 53
    with open_road(directory) as road:
        planner_of(road, group=10).tick()
        made = runs_of(road, sweep)
        assert [run.params["x"] for run in made] == list(range(1, 54))
        assert {run.status.value for run in made} == {"queued"}
        assert sweep_of(road, sweep).unsettled is False


def test_a_draft_becomes_no_runs_until_it_is_started(road: Road) -> None:
    sweep = planned_sweep(road, GRID, draft=True)
    planner_of(road).tick()
    assert runs_of(road, sweep) == []
    assert sweep_of(road, sweep).status == "draft"
    road.handle(cm.StartSweep(sweep=sweep))
    planner_of(road).tick()
    assert [run.status.value for run in runs_of(road, sweep)] == ["queued"] * 8


def test_a_start_queues_what_is_ready_and_what_is_still_to_come(road: Road) -> None:
    sweep = planned_sweep(road, MANY)
    planner = planner_of(road, group=20)
    planner._round()
    assert sweep_of(road, sweep).registered == 20
    road.handle(cm.StartSweep(sweep=sweep))
    planner.tick()
    assert [run.status.value for run in runs_of(road, sweep)] == ["queued"] * 53
    assert not road.handle(cm.StartSweep(sweep=sweep)).records


def test_a_stop_ends_what_waits_and_a_resume_brings_everything_back(road: Road) -> None:
    sweep = planned_sweep(road, MANY, start=True)
    planner = planner_of(road, group=20)
    planner._round()
    road.handle(cm.StopSweep(sweep=sweep))
    planner.tick()
    stopped = runs_of(road, sweep)
    assert [run.status.value for run in stopped] == ["stopped"] * 20
    assert sweep_of(road, sweep).status == "canceled"
    road.handle(cm.ResumeSweep(sweep=sweep))
    planner.tick()
    made = runs_of(road, sweep)
    assert [run.status.value for run in made] == ["queued"] * 53
    assert [run.id for run in made[:20]] == [run.id for run in stopped]
    assert [run.point for run in made] == list(range(53))


@pytest.mark.parametrize("resumed", [False, True])
def test_a_stop_that_comes_while_runs_are_being_queued_leaves_none_queued(
    road: Road, resumed: bool
) -> None:
    sweep = planned_sweep(road, MANY)
    planner = planner_of(road)
    planner.tick()
    if resumed:
        road.handle(cm.StartSweep(sweep=sweep))
        planner.tick()
        road.handle(cm.StopSweep(sweep=sweep))
        planner.tick()
        road.handle(cm.ResumeSweep(sweep=sweep))
    else:
        road.handle(cm.StartSweep(sweep=sweep))
    chosen = sweep_of(road, sweep)
    road.handle(cm.StopSweep(sweep=sweep))  # after the planner looked, before it asks
    planner._advance(chosen)
    planner.tick()
    assert {run.status.value for run in runs_of(road, sweep)} == (
        {"stopped"} if resumed else {"ready"}
    )


def test_a_resume_runs_what_failed_or_was_cancelled_and_leaves_what_succeeded(rig: Rig) -> None:
    road = rig.road
    sweep = planned_sweep(road, Declaration(seeds=4), start=True)
    planner = planner_of(road)
    planner.tick()
    made = [run.id for run in runs_of(road, sweep)]
    rig.scheduler.tick()
    for run, code in zip(made[:2], (0, 3), strict=True):
        rig.start(run, rig.attempt_of(run))
        rig.end(run, exit_code=code)
    for run in made:
        road.handle(cm.StopRun(run=run))
    assert rig.statuses(made)[0] == "finished"
    assert set(rig.statuses(made)[1:]) == {"stopped"}
    road.handle(cm.ResumeSweep(sweep=sweep))
    planner.tick()
    assert rig.statuses(made) == ["finished", "queued", "queued", "queued"]
    assert [run.id for run in runs_of(road, sweep)] == made


def test_values_reach_the_environment_beside_that_of_the_plan(road: Road) -> None:
    sweep = planned_sweep(
        road, GRID, placement="environment", environment={"MODE": "x"}, command='t "$lr"'
    )
    planner_of(road).tick()
    made = runs_of(road, sweep)
    assert set(texts_of(road, made, "command")) == {'t "$lr"'}
    variables = [json.loads(text) for text in texts_of(road, made, "environment")]
    assert variables[0] == {"MODE": "x", "lr": "0.1", "bs": "8"}


def test_points_that_are_not_those_that_were_planned_become_no_runs(
    road: Road, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = planned_sweep(road, GRID, digest="0" * 64)
    right = planned_sweep(road, GRID)
    planner = planner_of(road)
    planner.tick()
    planner.tick()
    assert (len(runs_of(road, wrong)), len(runs_of(road, right))) == (0, 8)
    (record,) = caplog.records
    assert "not those that were planned" in record.message


def test_explicit_points_and_drawn_ones_come_from_the_plan_alone(directory: Path) -> None:
    listed = Declaration(points=[{"a": 1}, {"b": "x y"}], seeds=2)
    drawn = Declaration(parameters={"lr": {"min": 1e-4, "max": 1, "scale": "log"}}, samples=7)
    with open_road(directory) as road:
        first, second = planned_sweep(road, listed), planned_sweep(road, drawn)
    with open_road(directory) as road:
        planner_of(road, group=3).tick()
        for sweep, asked in ((first, listed), (second, drawn)):
            assert [decode(run.params) for run in runs_of(road, sweep)] == list(
                declare(asked).points()
            )
        assert "--b='x y' --seed=1" in texts_of(road, runs_of(road, first), "command")[3]


def test_a_planner_that_is_closed_leaves_the_rest_to_the_next(road: Road) -> None:
    sweep = planned_sweep(road, MANY)
    planner = planner_of(road, group=20)
    planner.close()
    planner.tick()
    assert runs_of(road, sweep) == []
    planner_of(road).tick()
    assert len(runs_of(road, sweep)) == 53


def test_points_of_a_plan_that_was_replaced_while_they_were_made_become_no_runs(
    road: Road,
) -> None:
    sweep = planned_sweep(road, Declaration(parameters={"lr": [1, 2]}))
    old = sweep_of(road, sweep)
    other = sweep_of(road, planned_sweep(road, Declaration(parameters={"lr": [7, 8, 9]}))).plan
    road.handle(cm.EditSweep(sweep=sweep, plan=other, plan_base=old.plan_seq))
    planner = planner_of(road)
    planner._advance(old)
    planner.tick()
    assert [run.params["lr"] for run in runs_of(road, sweep)] == [7, 8, 9]


def test_what_is_repeated_is_queued_before_what_waits_for_it(rig: Rig) -> None:
    road, sweep = rig.road, rig.road.sweep()
    first = road.run(sweep, start=True)
    second = road.run(sweep, depends_on=(first,), start=True)
    rig.scheduler.tick()
    rig.end(first, exit_code=1)
    road.handle(cm.ResumeSweep(sweep=sweep))
    planner = planner_of(road)
    while planner._round():
        rig.scheduler.tick()
    assert rig.statuses([first, second]) == ["launching", "queued"]


def test_a_run_that_is_put_away_while_its_sweep_is_resumed_is_not_repeated(rig: Rig) -> None:
    road = rig.road
    sweep = road.sweep()
    run = road.run(sweep, start=True)
    road.handle(cm.StopRun(run=run))
    road.handle(cm.ArchiveRun(run=run))
    assert not road.handle(cm.RequeueRun(run=run)).records
    road.handle(cm.UnarchiveRun(run=run))
    assert road.handle(cm.RequeueRun(run=run)).records


def test_five_plans_at_a_time_are_prepared_once_each(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [planned_sweep(road, MANY) for _ in range(6)]
    planner = planner_of(road, group=10)
    prepared: list[int] = []
    real = planner._prepared

    def counted(plan: SweepPlanned) -> object:
        prepared.append(plan.count)
        return real(plan)

    monkeypatch.setattr(planner, "_prepared", counted)
    planner.tick()
    assert [len(runs_of(road, sweep)) for sweep in made] == [53] * 6
    assert len(prepared) == 6


def test_secret_and_environment_of_a_plan_reach_every_run_of_it(rig: Rig) -> None:
    secret = "sk-abcdefghijklmnopqrstuvwx0123456789"
    sweep = planned_sweep(
        rig.road,
        Declaration(seeds=2),
        command=f"python train.py --api-key={secret}",
        environment={"MODE": "x"},
        start=True,
    )
    planner_of(rig.road).tick()
    rig.scheduler.tick()
    for seed, run in enumerate(runs_of(rig.road, sweep)):
        bundle = rig.backend.bundle(rig.attempt_of(run.id).id)
        assert bundle.command == f"python train.py --api-key={secret} --seed={seed}"
        assert bundle.environment["MODE"] == "x"
