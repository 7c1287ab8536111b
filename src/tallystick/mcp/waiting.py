"""Waiting for the end of a run or a sweep, below the agents' own time-outs (P4.2).

The wait is made of short looks that the server answers when something changes, with a notification
of progress after each. While it waits it holds no worker thread, so that however many agents wait,
the others are served.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from tallystick.mcp.about import after_run, call, which
from tallystick.mcp.answers import (
    ENDED,
    Said,
    Waited,
    notices_of,
    run_line,
    run_of,
    sweep_line,
    sweep_of,
)
from tallystick.mcp.arguments import WaitRun
from tallystick.mcp.asked import Asked
from tallystick.wire.views import RunView, SweepView

T = TypeVar("T")

LOOK_SECONDS: Final = 10
"""Between two notifications of progress, and the longest that a forgotten wait goes on."""


class Threads(Protocol):
    """Runs what blocks on a worker thread."""

    async def __call__(self, function: Callable[[], T]) -> T:
        """The result of `function`; raises what it raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a wait is done where this server runs."""

    in_thread: Threads
    changed: Callable[[str, str, int], Awaitable[None]]
    """Takes `runs` or `sweeps`, an id and seconds; returns once its status is another, or they are
    over."""
    progress: Callable[[float, float, str], Awaitable[None]]
    """Tells the agent's program: seconds waited, seconds at most, and how it stands."""


async def wait_run(asked: Asked, given: WaitRun, pace: Pace) -> Said:
    """A run or a sweep once it has ended, or as it is when the time is up."""
    one = which(given, tool="wait_run")
    noun = "sweeps" if given.sweep_id else "runs"
    began = time.monotonic()
    deadline = began + given.timeout_s

    def look() -> RunView | SweepView:
        return asked.client.sweep(one) if given.sweep_id else asked.client.run(one)

    seen = await pace.in_thread(look)
    while seen.status not in ENDED and (left := deadline - time.monotonic()) > 0:
        slept = min(LOOK_SECONDS, max(1, round(left)))
        before = time.monotonic()
        await pace.changed(noun, one, slept)
        status, seen = seen.status, await pace.in_thread(look)
        early = time.monotonic() - before < slept / 2
        if early and seen.status == status:
            break  # the server no longer waits: it is stopping
        if seen.status not in ENDED:
            await pace.progress(time.monotonic() - began, given.timeout_s, _words(seen))
    return _answer(asked, seen, waited=time.monotonic() - began)


def _answer(asked: Asked, seen: RunView | SweepView, *, waited: float) -> Said:
    """How it stands, and what to call next."""
    ended = seen.status in ENDED
    answer = Waited(
        session_source=asked.source,
        ended=ended,
        waited_seconds=round(waited, 1),
        run=run_of(seen) if isinstance(seen, RunView) else None,
        sweep=sweep_of(seen) if isinstance(seen, SweepView) else None,
        warnings=notices_of(asked.warnings),
    )
    if isinstance(seen, RunView):
        answer.next += after_run(seen)
    elif not ended:
        answer.next.append(call("wait_run", sweep_id=seen.id))
    elif seen.progress.failed:
        answer.next.append(call("list_runs", sweep_id=seen.id, status="failed"))
    state = (
        "ended" if ended else f"not ended after {answer.waited_seconds:g} s; call again to go on"
    )
    return Said(answer=answer, lines=[state, _words(seen)])


def _words(seen: RunView | SweepView) -> str:
    """How it stands, in one line."""
    return run_line(run_of(seen)) if isinstance(seen, RunView) else sweep_line(sweep_of(seen))
