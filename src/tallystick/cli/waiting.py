"""Waiting for something to happen, with a line of progress at a terminal and silence elsewhere."""

import sys
from collections.abc import Callable
from typing import TypeVar

from tallystick.cli import output
from tallystick.client.waiting import wait_until
from tallystick.clock import SystemClock

T = TypeVar("T")

REFRESH_SECONDS = 2.0
"""How old a shown count may get; the server itself only tells when a status changes."""


def wait_shown(
    look: Callable[[float], T],
    done: Callable[[T], bool],
    words: Callable[[T], str],
    *,
    timeout_seconds: float | None,
) -> T:
    """`look(wait_seconds)` until `done`, or until the time is up; `words` is what is shown."""
    if not sys.stderr.isatty():
        return wait_until(done, look, timeout_seconds=timeout_seconds, clock=SystemClock())
    from rich.text import Text

    with output.console(stderr=True).status("waiting") as line:

        def look_and_show(wait_seconds: float) -> T:
            seen = look(min(wait_seconds, REFRESH_SECONDS))
            line.update(Text(output.plain(output.first_line(words(seen)))))
            return seen

        return wait_until(done, look_and_show, timeout_seconds=timeout_seconds, clock=SystemClock())
