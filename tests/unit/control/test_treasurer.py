"""Budgets pass 80 % and 100 % by themselves, and what is to stop is stopped."""

from typing import Any

import pytest

from tallystick.control.treasurer import Treasurer
from tallystick.domain import commands as cm
from tallystick.domain.budget import Budget, scope_of
from tallystick.domain.ids import SessionId, SweepId
from tallystick.errors import PolicyError
from tallystick.projections import activity, totals
from tallystick.testing.spine import PERSON
from tests.unit.control.executing import end, executing
from tests.unit.control.road import Road

HOUR = 3_600_000


class Till:
    """A treasurer over one road, and the budgets of a sweep."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self.sweep: SweepId = road.sweep()
        self.treasurer = Treasurer(road.database, road.handler, clock=road.clock)

    def set(self, scope: str | None = None, **limits: Any) -> None:
        self.road.handle(cm.SetBudget(scope=scope or self.sweep, **limits), by=PERSON)

    def budget(self, scope: str | None = None) -> Budget:
        with self.road.database.read() as tx:
            found = totals.budget(tx, scope or self.sweep)
        assert found is not None
        return found

    def used(self, kind: str, scope: str | None = None) -> int:
        wanted = scope or self.sweep
        with self.road.database.read() as tx:
            return activity.uses(tx, [wanted], now=self.road.clock.now())[wanted].of(kind)

    def later(self, milliseconds: int) -> None:
        self.road.clock.advance(milliseconds)
        self.treasurer.tick()

    def said(self) -> list[str]:
        """What was written about budgets since they were set."""
        return [
            f"{entry.type.removeprefix('budget.')} {entry.data['kind']}"
            for entry in self.road.entries()
            if entry.type in {"budget.warned", "budget.reached"}
        ]


@pytest.fixture
def till(road: Road) -> Till:
    return Till(road)


def test_gpu_time_of_what_is_active_now_counts(till: Till) -> None:
    till.set(gpu_ms=10 * HOUR)
    executing(till.road, till.sweep, gpus=4)
    till.later(2 * HOUR - 1)
    assert (till.said(), till.used("gpu")) == ([], 4 * (2 * HOUR - 1))
    till.later(1)
    assert till.said() == ["warned gpu"]
    till.later(HOUR // 2)
    till.later(HOUR)
    assert till.said() == ["warned gpu", "reached gpu"], "each mark is passed once"
    assert till.budget().reached == ("gpu",)


def test_gpu_time_is_counted_once_when_an_attempt_ends(till: Till) -> None:
    run = executing(till.road, till.sweep, gpus=2)
    till.road.clock.advance(HOUR)
    before = till.used("gpu")
    end(till.road, run)
    assert (before, till.used("gpu")) == (2 * HOUR, 2 * HOUR)
    till.road.clock.advance(HOUR)
    assert till.used("gpu") == 2 * HOUR


def test_wall_clock_time_begins_with_the_first_run_and_not_with_the_sweep(till: Till) -> None:
    till.set(wall_ms=HOUR)
    till.later(5 * HOUR)
    assert (till.said(), till.used("wall")) == ([], 0)
    executing(till.road, till.sweep)
    till.later(HOUR)
    assert till.said() == ["reached wall"]


def test_a_sweep_that_is_done_uses_no_more_time(till: Till) -> None:
    till.set(wall_ms=10 * HOUR)
    run = executing(till.road, till.sweep)
    till.later(HOUR)
    end(till.road, run)
    till.later(100 * HOUR)
    assert (till.said(), till.used("wall")) == ([], HOUR)


def test_with_refuse_what_is_active_goes_on_and_nothing_more_is_registered(till: Till) -> None:
    till.set(gpu_ms=HOUR)
    run = executing(till.road, till.sweep, gpus=1)
    till.later(HOUR)
    assert not till.road.state(run).stop_requested
    with pytest.raises(PolicyError) as caught:
        till.road.run(till.sweep)
    assert caught.value.code == "budget_exceeded"


def test_with_stop_everything_active_is_stopped_also_what_starts_a_moment_later(till: Till) -> None:
    other = executing(till.road, gpus=1)
    till.set(gpu_ms=HOUR, action="stop")
    run, late = (executing(till.road, till.sweep, gpus=1) for _ in range(2))
    till.later(HOUR // 2)
    assert till.said() == ["reached gpu"]
    assert [till.road.state(one).stop_requested for one in (run, late, other)] == [
        True,
        True,
        False,
    ]
    before = len(till.road.entries())
    till.later(1_000)
    assert len(till.road.entries()) == before, "a stop is asked for once"


def test_the_number_of_runs_is_used_up_without_stopping_those_it_allowed(till: Till) -> None:
    till.set(runs=2, action="stop")
    runs = [executing(till.road, till.sweep) for _ in range(2)]
    till.later(0)
    assert "reached runs" in till.said()
    assert not any(till.road.state(one).stop_requested for one in runs)


def test_the_run_with_which_four_fifths_are_registered_is_warned_of_and_the_last_fits(
    till: Till,
) -> None:
    till.set(runs=5)
    for number in range(1, 6):
        till.road.run(till.sweep)
        assert till.said() == (["warned runs"] if number > 3 else []), number
    with pytest.raises(PolicyError):
        till.road.run(till.sweep)


def test_a_session_has_a_budget_of_its_own_over_all_its_sweeps(till: Till) -> None:
    scope = scope_of(SessionId("chat-1"))
    till.set(scope, gpu_ms=3 * HOUR, action="stop")
    first, second = executing(till.road, till.sweep, gpus=1), executing(till.road, gpus=2)
    stranger = executing(till.road, till.road.sweep(session="chat-2"), gpus=1, session="chat-2")
    till.later(HOUR)
    assert till.used("gpu", scope) == 3 * HOUR
    stopped = [till.road.state(one).stop_requested for one in (first, second, stranger)]
    assert stopped == [True, True, False]


def test_raising_a_budget_lets_work_go_on_and_it_is_warned_of_again(till: Till) -> None:
    till.set(gpu_ms=HOUR)
    executing(till.road, till.sweep, gpus=1)
    till.later(HOUR)
    till.set(gpu_ms=2 * HOUR)
    assert till.budget().reached == ()
    till.road.run(till.sweep)
    till.later(HOUR * 6 // 10)
    assert till.said() == ["reached gpu", "warned gpu"]


def test_a_budget_without_limits_costs_nothing_and_says_nothing(till: Till) -> None:
    till.set(gpu_ms=HOUR)
    till.set()
    executing(till.road, till.sweep, gpus=8)
    till.later(100 * HOUR)
    assert till.said() == []


def test_time_in_which_a_session_does_nothing_is_said_only_when_it_goes_on(till: Till) -> None:
    scope = scope_of(SessionId("chat-1"))
    till.set(scope, wall_ms=10 * HOUR)
    end(till.road, executing(till.road, till.sweep))
    till.later(100 * HOUR)
    assert till.said() == []
    executing(till.road, till.sweep)
    till.later(0)
    assert till.said() == ["reached wall"]


def test_a_budget_that_is_raised_while_it_is_looked_at_is_not_used_up(till: Till) -> None:
    till.set(gpu_ms=HOUR)
    old = till.budget()
    till.set(gpu_ms=100 * HOUR)
    till.treasurer._say(old, "gpu", reached=True)
    assert (till.said(), till.budget().reached) == ([], ())


def test_time_in_which_a_sweep_has_nothing_to_do_never_counts_also_when_it_goes_on(
    till: Till,
) -> None:
    till.set(wall_ms=10 * HOUR)
    for done in (1, 2, 3):
        run = executing(till.road, till.sweep)
        till.later(HOUR)
        assert till.used("wall") == done * HOUR
        end(till.road, run)
        till.later(100 * HOUR)
        assert till.used("wall") == done * HOUR
    assert till.said() == []


def test_limits_that_two_people_set_at_once_both_count(till: Till) -> None:
    till.set(runs=5, kept=("gpu_ms", "wall_ms"))
    till.set(gpu_ms=HOUR, kept=("runs", "wall_ms"))
    found = till.budget()
    assert (found.runs, found.gpu_ms, found.wall_ms) == (5, HOUR, None)
