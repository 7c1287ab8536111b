"""Why a run waits, in words that say what would have to change."""

import pytest

from tallystick.domain import reasons as why
from tallystick.domain.ids import RunId, SweepId

NOW = 1_700_000_000_000  # 22:13:20 UTC
HOUR = 3_600_000
RUN, OTHER = RunId("run_00000000000a"), RunId("run_00000000000b")
SWEEP = SweepId("swp_00000000000c")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (why.NotStarted(RUN), f"not started yet: POST /runs/{RUN}/start"),
        (why.Next(), "is being started"),
        (why.Turn(12), "waits for its turn: 12 runs are before it"),
        (why.Turn(1), "waits for its turn: 1 run is before it"),
        (why.Turn(0), "waits for its turn: what is free is kept for runs before it"),
        (why.ForSlot(4), "waits for a free slot: all 4 are used"),
        (why.ForSlot(1), "waits for a free slot: the one there is is used"),
        (why.SweepLimit(SWEEP, 2), f"sweep {SWEEP} runs at most 2 at a time"),
        (why.Dependencies(RUN), f"waits for {RUN} to finish"),
        (why.Dependencies(RUN, 2), f"waits for {RUN} and 2 more to finish"),
        (
            why.Dependencies(RUN, 0, "ready"),
            f"waits for {RUN} to finish; it is not started: POST /runs/{RUN}/start",
        ),
        (why.RetryLater(NOW + 50_000), "retries after 22:14:10 UTC"),
        (why.RetryLater(NOW + 30 * HOUR), "retries after 2023-11-16 04:13:20 UTC"),
        (why.Drained("maintenance"), "the server is drained: maintenance"),
        (why.Drained(), "the server is drained"),
        (
            why.SweepPaused(sweep=SWEEP, failures=5, how="exit code 1"),
            (
                "sweep is paused: the last 5 runs failed the same way (exit code 1); "
                f"POST /sweeps/{SWEEP}/resume goes on"
            ),
        ),
        (why.SweepStopping(SWEEP), f"sweep {SWEEP} is being stopped"),
        (
            why.BudgetSpent(whose="session", kind="runs", limit=20),
            "session's budget of 20 runs is used up; only a person can raise it",
        ),
        (
            why.BudgetSpent(whose="sweep", kind="gpu", limit=int(3.5 * HOUR)),
            "sweep's budget of 3.5 GPU-hours is used up; only a person can raise it",
        ),
        (
            why.BudgetSpent(whose="sweep", kind="wall", limit=2 * HOUR),
            "sweep's budget of 2 hours is used up; only a person can raise it",
        ),
        (
            why.Impossible("2 GPUs", "1"),
            "asks for 2 GPUs, this host has 1: it can never start here",
        ),
    ],
)
def test_every_reason_says_what_would_have_to_change(reason: why.Reason, words: str) -> None:
    assert reason.words(now=NOW) == words


def test_many_holders_are_counted_and_the_first_are_named() -> None:
    holds = tuple(
        why.Hold(index=index, run=OTHER, since=NOW - index * 24 * HOUR) for index in range(5)
    )
    said = why.ForDevices(count=2, memory_mb=40_000, holds=holds).words(now=NOW)
    assert said == (
        f"waits for 2 GPUs with 40000 MB; {OTHER} holds GPU 0 since 22:13 UTC; "
        f"{OTHER} holds GPU 1 since 2023-11-13 22:13 UTC; "
        f"{OTHER} holds GPU 2 since 2023-11-12 22:13 UTC; 2 more are in use"
    )


def test_several_pinned_devices_are_listed_with_their_holders() -> None:
    holds = (why.Hold(index=3, stranger="pid 4211 (python, alice)"),)
    said = why.ForDevices(count=2, pinned=(0, 3), holds=holds).words(now=NOW)
    assert said == "waits for GPUs 0, 3; GPU 3 is held by pid 4211 (python, alice)"
