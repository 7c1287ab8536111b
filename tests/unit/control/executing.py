"""Runs that execute, said by hand: no scheduler, no backend."""

from dataclasses import replace
from typing import Any

from tallystick.domain import commands as cm
from tallystick.domain.ids import SYSTEM, AttemptId, RunId, SweepId
from tests.unit.control.road import Road, assignment


def executing(road: Road, sweep: SweepId | None = None, *, gpus: int = 0, **changes: Any) -> RunId:
    """A run whose command was just executed, with so many devices."""
    run = road.run(sweep or road.sweep(), start=True, **changes)
    attempt = AttemptId(road.clock.new_id("att"))
    devices = tuple(f"GPU-{attempt[-4:]}-{number}" for number in range(gpus))
    road.handle(replace(assignment(run, attempt), gpus=devices), by=SYSTEM)
    road.handle(cm.ReportStarted(run=run, attempt=attempt, n=2, at=road.clock.now()), by=SYSTEM)
    return run


def end(road: Road, run: RunId, *, exit_code: int = 0) -> None:
    """The supervisor's word that it is over."""
    attempt = road.state(run).attempt
    assert attempt is not None
    now = road.clock.now()
    road.handle(
        cm.ReportEnded(run=run, attempt=attempt, n=9, at=now, cause="exited", exit_code=exit_code),
        by=SYSTEM,
    )
