"""The words that are shown: P2.3, P3.3."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain.status import Outcome, Phase, Status, Tally, flatten, sweep_status


@pytest.mark.parametrize(
    ("phase", "outcome", "started", "word"),
    [
        (Phase.READY, None, False, "ready"),
        (Phase.QUEUED, None, False, "queued"),
        (Phase.ACTIVE, None, False, "launching"),
        (Phase.ACTIVE, None, True, "running"),
        (Phase.ENDED, Outcome.SUCCEEDED, True, "finished"),
        (Phase.ENDED, Outcome.FAILED, True, "failed"),
        (Phase.ENDED, Outcome.TIMED_OUT, True, "failed"),
        (Phase.ENDED, Outcome.OUT_OF_MEMORY, True, "failed"),
        (Phase.ENDED, Outcome.LOST, True, "failed"),
        (Phase.ENDED, Outcome.LOST, False, "failed"),
        (Phase.ENDED, Outcome.CANCELLED, True, "stopped"),
        (Phase.ENDED, Outcome.CANCELLED, False, "stopped"),
    ],
)
def test_phase_and_outcome_flatten_to_the_words_agents_know(
    phase: Phase, outcome: Outcome | None, word: str, *, started: bool
) -> None:
    assert flatten(phase, outcome, started=started) == word


def test_every_outcome_has_a_word() -> None:
    words = {flatten(Phase.ENDED, outcome, started=True) for outcome in Outcome}
    assert words == {Status.FINISHED, Status.FAILED, Status.STOPPED}


@pytest.mark.parametrize(
    ("counts", "draft", "word"),
    [
        ({}, False, "pending"),
        ({}, True, "draft"),
        ({"ready": 1}, True, "pending"),
        ({"ready": 2}, False, "pending"),
        ({"queued": 2}, False, "pending"),
        ({"ready": 1, "finished": 1}, False, "pending"),
        ({"queued": 1, "finished": 1}, False, "running"),
        ({"queued": 1, "stopped": 1}, False, "running"),
        ({"launching": 1, "failed": 5}, False, "running"),
        ({"running": 1, "ready": 1}, False, "running"),
        ({"finished": 1, "failed": 1}, False, "failed"),
        ({"stopped": 1, "failed": 1}, False, "failed"),
        ({"finished": 1, "stopped": 1}, False, "completed"),
        ({"finished": 3}, False, "completed"),
        ({"stopped": 3}, False, "canceled"),
    ],
)
def test_a_sweeps_status_follows_from_its_runs(
    counts: dict[str, int], word: str, *, draft: bool
) -> None:
    assert sweep_status(Tally(**counts), draft=draft) == word


STATUSES = st.one_of(st.none(), st.sampled_from(Status))


@given(st.lists(STATUSES, min_size=1, max_size=12))
def test_moving_a_run_through_any_words_leaves_one_run_or_none(path: list[Status | None]) -> None:
    tally, before = Tally(finished=2), None
    for after in path:
        tally, before = tally.moved(before, after), after
    assert tally.total == 2 + (before is not None)
    assert tally.total == tally.active + tally.waiting + tally.ended
    assert all(getattr(tally, field.name) >= 0 for field in fields(Tally))


def test_there_is_a_counter_for_every_word() -> None:
    assert [field.name for field in fields(Tally)] == [status.value for status in Status]
