"""Long waits made of bounded ones: outlasts a restart of the server, never loops hot."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tallystick.client.calls import PATIENCE_SECONDS, RETRY_SECONDS, WAIT_SECONDS
from tallystick.clock import Clock
from tallystick.errors import UnavailableError

T = TypeVar("T")


def wait_until(
    done: Callable[[T], bool],
    look: Callable[[float], T],
    *,
    timeout_seconds: float | None,
    clock: Clock,
) -> T:
    """Ask `look(wait_seconds)` until `done`, or until the time is up; answers the last look.

    The first look does not wait, and raises at once when there is no server. One that goes away
    later is asked again for PATIENCE_SECONDS; then its `UnavailableError` is raised.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    answer = look(0)
    while not done(answer):
        left = WAIT_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return answer
        answer = patiently(partial(look, min(left, WAIT_SECONDS)), clock=clock)
    return answer


def patiently(attempt: Callable[[], T], *, clock: Clock) -> T:
    """Try again while the server does not answer; raises its `UnavailableError` in the end."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except UnavailableError:
            if time.monotonic() >= give_up:
                raise
        clock.sleep(RETRY_SECONDS)
