"""What every loop has in common: start, stop, wake, back off."""

import logging
import threading

import pytest

from tallystick.control.service import Service
from tallystick.errors import UnavailableError

NEVER = 3600.0
SOON = 30.0


def test_the_first_tick_comes_at_once_and_another_with_each_wake() -> None:
    seen: list[int] = []
    service = Service("s", lambda: seen.append(1), poll_seconds=NEVER)
    service.start()
    assert service.wait_tick(after=0, timeout_seconds=SOON) == 1
    service.wake()
    assert service.wait_tick(after=1, timeout_seconds=SOON) == 2
    service.stop()
    assert len(seen) == 2


def test_lost_wake_ups_only_cost_the_poll_interval() -> None:
    service = Service("s", lambda: None, poll_seconds=0.001)
    service.start()
    assert service.wait_tick(after=3, timeout_seconds=SOON) > 3
    service.stop()


def test_starting_and_stopping_twice_is_harmless() -> None:
    service = Service("s", lambda: None, poll_seconds=NEVER)
    service.start()
    service.start()
    assert service.wait_tick(after=0, timeout_seconds=SOON) == 1
    service.stop()
    service.stop()
    service.start()
    service.wake()
    assert service.wait_tick(after=1, timeout_seconds=0) == 1


def test_stopping_before_the_start_keeps_it_from_starting() -> None:
    seen: list[int] = []
    service = Service("s", lambda: seen.append(1), poll_seconds=NEVER)
    service.stop()
    service.start()
    assert service.wait_tick(after=0, timeout_seconds=0) == 0
    assert seen == []


def test_stop_waits_for_the_tick_that_runs() -> None:
    begun, done = threading.Event(), threading.Event()

    def tick() -> None:
        begun.set()
        assert release.wait(SOON)
        done.set()

    release = threading.Event()
    service = Service("s", tick, poll_seconds=NEVER)
    service.start()
    assert begun.wait(SOON)
    threading.Timer(0.01, release.set).start()
    service.stop()
    assert done.is_set()


def test_a_tick_may_stop_its_own_service() -> None:
    def tick() -> None:
        service.stop()

    service = Service("s", tick, poll_seconds=NEVER)
    service.start()
    assert service.wait_tick(after=0, timeout_seconds=SOON) == 1


@pytest.mark.parametrize("error", [UnavailableError("no"), ValueError("a bug")])
def test_a_tick_that_fails_is_logged_and_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def tick() -> None:
        seen.append(1)
        if len(seen) < 3:
            raise error

    with caplog.at_level(logging.WARNING):
        service = Service("s", tick, poll_seconds=0.0001)
        service.start()
        service.wait_tick(after=2, timeout_seconds=SOON)
        service.stop()
    assert len(seen) >= 3
    tracebacks = [record.exc_info is not None for record in caplog.records]
    assert tracebacks[:2] == [isinstance(error, ValueError)] * 2


def test_an_outage_of_any_length_does_not_end_the_loop() -> None:
    """2 to the power of the failures would not fit into a float after 1,024 of them."""
    seen: list[int] = []

    def tick() -> None:
        seen.append(1)
        service.wake()
        raise UnavailableError("still")

    service = Service("s", tick, poll_seconds=1.0)
    service.start()
    assert service.wait_tick(after=1_100, timeout_seconds=SOON) > 1_100
    service.stop()


def test_a_burst_of_wake_ups_is_one_tick_and_does_not_hold_up_the_end() -> None:
    seen: list[int] = []
    service = Service("s", lambda: seen.append(1), poll_seconds=0.0, spacing_seconds=NEVER)
    service.start()
    assert service.wait_tick(after=0, timeout_seconds=SOON) == 1
    for _ in range(3):
        service.wake()
    service.stop()
    assert len(seen) == 1
