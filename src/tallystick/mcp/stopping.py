"""Stopping, in two steps: what would be stopped is said first, and `confirm` does it (P3.6).

An agent's client may show the first answer to a person; nothing here asks one by itself, because
not every connection has a way back to the agent.
"""

from tallystick.mcp.about import call, which
from tallystick.mcp.answers import (
    ENDED,
    Said,
    Stopped,
    notices_of,
    run_line,
    run_of,
    sweep_line,
    sweep_of,
)
from tallystick.mcp.arguments import StopRun
from tallystick.mcp.asked import Asked
from tallystick.wire.views import RunView, SweepView


def stop_run(asked: Asked, given: StopRun) -> Said:
    """End a run or a whole sweep, or say what would be ended."""
    one = which(given, tool="stop_run")
    return _stop_sweep(asked, given, one) if given.sweep_id else _stop_one(asked, given, one)


def _stop_one(asked: Asked, given: StopRun, run_id: str) -> Said:
    """One run; a ready one has nothing to stop."""
    view = asked.client.run(run_id)
    moving = int(view.status not in {*ENDED, "ready"})
    if given.confirm and moving:
        view = asked.client.stop_run(run_id)
    return _answer(asked, given, moving, run=view)


def _stop_sweep(asked: Asked, given: StopRun, sweep_id: str) -> Said:
    """All runs of a sweep, and what it would still start."""
    view = asked.client.sweep(sweep_id)
    progress = view.progress
    moving = progress.queued + progress.launching + progress.running
    more = max(0, view.planned - view.registered)
    if given.confirm:
        view = asked.client.stop_sweep(sweep_id).sweep
    return _answer(asked, given, moving + more, sweep=view)


def _answer(
    asked: Asked,
    given: StopRun,
    moving: int,
    *,
    run: RunView | None = None,
    sweep: SweepView | None = None,
) -> Said:
    """What was stopped, or would be, and the call that does it."""
    answer = Stopped(
        session_source=asked.source,
        stopped=given.confirm and moving > 0,
        would_stop=moving,
        already=moving == 0,
        run=None if run is None else run_of(run),
        sweep=None if sweep is None else sweep_of(sweep),
        warnings=notices_of(asked.warnings),
    )
    named = {"run_id": given.run_id} if given.run_id else {"sweep_id": given.sweep_id}
    if moving and not given.confirm:
        answer.next.append(call("stop_run", **named, confirm=True))
    elif moving:
        answer.next.append(call("wait_run", **named))
    lines = [_words(moving, confirmed=given.confirm)]
    lines += [] if answer.run is None else [run_line(answer.run)]
    lines += [] if answer.sweep is None else [sweep_line(answer.sweep)]
    return Said(answer=answer, lines=lines)


def _words(moving: int, *, confirmed: bool) -> str:
    """What the answer means."""
    if moving == 0:
        return "nothing to stop: nothing of it is queued or running"
    runs = f"{moving} run{'s' if moving > 1 else ''}"
    if confirmed:
        return f"stopping {runs}; stopped is said once every process is dead"
    return f"this would stop {runs}; nothing was stopped. To do it, call again with confirm=true"
