"""Sweeps with a plan, made without HTTP, and the runs that came of them."""

import json
from typing import Any

from tallystick.control.planner import Planner
from tallystick.domain import commands as cm
from tallystick.domain.demands import Demands
from tallystick.domain.ids import SweepId
from tallystick.domain.plan import GENERATOR, Declaration, declare, digest_of
from tallystick.domain.run import Run
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.ledger.ledger import Ledger
from tallystick.projections import runs, sweeps
from tests.unit.control.road import Road


def planned_sweep(road: Road, asked: Declaration, **changes: Any) -> SweepId:
    """A sweep of session chat-1 that is not started; `changes` are fields of plan or command."""
    texts, space = road.texts(), declare(asked)
    environment: dict[str, str] | None = changes.pop("environment", None)
    plan = SweepPlanned(
        strategy=space.strategy,
        axes=space.declared,
        seeds=space.seeds,
        seed=space.seed,
        samples=space.samples,
        points=None if asked.points is None else texts.add(json.dumps(asked.points)),
        generator=GENERATOR,
        count=space.count,
        size=space.size,
        digest=changes.pop("digest", None) or digest_of(space.points()),
        command=texts.add(changes.pop("command", "python train.py")),
        workdir=texts.add("/tmp"),
        environment=texts.add_environment(environment) if environment else None,
        placement=changes.pop("placement", "flag"),
        demands=Demands(retries=2),
        tags=("grid",),
    )
    command = cm.CreateSweep(
        sweep=SweepId(road.clock.new_id("swp")),
        name=texts.add("a sweep"),
        session="chat-1",
        wild=False,
        plan=plan,
        **changes,
    )
    return SweepId(road.handle(command, texts=texts).subject)


def sweep_of(road: Road, sweep: str) -> Sweep:
    with road.database.read() as tx:
        found = sweeps.get(tx, sweep)
    assert found is not None
    return found


def runs_of(road: Road, sweep: str) -> list[Run]:
    """Its runs, oldest first."""
    with road.database.read() as tx:
        found = runs.page(tx, runs.RunFilter(sweep=SweepId(sweep), archived=None), limit=100_000)
    return found[::-1]


def texts_of(road: Road, found: list[Run], field: str) -> list[str]:
    """One text of each run."""
    keys = [getattr(run, field).c for run in found]
    with road.database.read() as tx:
        known = Ledger.texts(tx, keys)
    return [known[key].decode() for key in keys]


def planner_of(road: Road, **more: Any) -> Planner:
    return Planner(road.database, road.handler, clock=road.clock, **more)
