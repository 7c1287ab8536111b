"""A run that prints nothing any more is told of once, and goes on."""

import os
from typing import Any

import pytest

from tallystick.control.vigil import Vigil
from tallystick.domain.alert import Alert
from tallystick.domain.ids import RunId
from tallystick.projections import alerts
from tests.unit.control.executing import end, executing
from tests.unit.control.road import Road

MINUTE = 60_000


class Watch:
    """A vigil that asks after half an hour, over one run."""

    def __init__(self, road: Road, *, minutes: float = 30) -> None:
        self.road = road
        self.run: RunId = executing(road)
        self.minutes = minutes
        self.vigil = self.another()

    def another(self) -> Vigil:
        """The vigil of the next start."""
        road = self.road
        return Vigil(
            road.database,
            road.handler,
            road.directory / "runs",
            clock=road.clock,
            silence_minutes=self.minutes,
        )

    def print_something(self) -> None:
        attempt = self.road.state(self.run).attempt
        assert attempt is not None
        path = self.road.directory / "runs" / self.run / attempt / "output.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        now = self.road.clock.now() * 1_000_000
        os.utime(path, ns=(now, now))

    def later(self, minutes: float) -> None:
        self.road.clock.advance(round(minutes * MINUTE))
        self.vigil.tick()

    def alerts(self) -> list[Alert]:
        with self.road.database.read() as tx:
            return alerts.page(tx, alerts.AlertFilter(), limit=100)


@pytest.fixture
def watch(road: Road) -> Watch:
    return Watch(road)


def test_silence_is_told_once_with_the_time_of_the_last_output(watch: Watch) -> None:
    watch.later(10)
    watch.print_something()
    watch.later(29.9)
    assert watch.alerts() == []
    watch.later(0.2)
    (alert,) = watch.alerts()
    assert (alert.run, alert.source, alert.severity) == (watch.run, "rule", "warning")
    for _ in range(10):
        watch.later(20)
    assert len(watch.alerts()) == 1


def test_a_run_that_never_printed_is_silent_since_its_start(watch: Watch) -> None:
    watch.later(30)
    assert len(watch.alerts()) == 1


def test_output_ends_a_silence_and_another_one_is_told_again(watch: Watch) -> None:
    watch.later(30)
    watch.later(5)
    watch.print_something()
    watch.later(29)
    assert len(watch.alerts()) == 1
    for _ in range(3):
        watch.later(30)
    assert len(watch.alerts()) == 2


def test_a_restart_tells_of_no_silence_twice(watch: Watch) -> None:
    watch.later(30)
    watch.vigil = watch.another()
    watch.later(1)
    watch.later(60)
    assert len(watch.alerts()) == 1


def test_the_run_goes_on_while_nobody_answers_and_ends_as_it_ends(watch: Watch) -> None:
    watch.later(30)
    assert watch.road.state(watch.run).status.value == "running"
    end(watch.road, watch.run)
    assert watch.road.state(watch.run).status.value == "finished"
    assert watch.alerts()[0].action is None
    watch.later(120)
    assert len(watch.alerts()) == 1


def test_a_run_that_waits_or_has_ended_is_never_silent(watch: Watch) -> None:
    watch.road.run(watch.road.sweep(), start=True)
    end(watch.road, watch.run)
    watch.later(600)
    assert watch.alerts() == []


def test_nothing_is_looked_at_when_it_is_off(road: Road) -> None:
    watch = Watch(road, minutes=0)
    watch.later(10_000)
    assert watch.alerts() == []


def test_a_thousand_ticks_look_at_a_quiet_file_only_when_it_may_be_silent(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Any] = []
    original = Vigil._last_output

    def counted(self: Vigil, one: Any) -> Any:
        looked.append(one.attempt)
        return original(self, one)

    monkeypatch.setattr(Vigil, "_last_output", counted)
    for _ in range(1_000):
        watch.later(0.25)
    assert 0 < len(looked) <= 1_000 * 0.25 / 30 + 1
