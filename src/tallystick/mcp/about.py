"""Answers about one run or one sweep, and the call to make after them."""

from collections.abc import Sequence
from typing import Any

from tallystick.errors import InvalidError
from tallystick.mcp import arguments
from tallystick.mcp.answers import (
    ENDED,
    NextCall,
    RunAnswer,
    Said,
    SweepAnswer,
    notices_of,
    receipt_of,
    run_line,
    run_of,
    sweep_line,
    sweep_of,
)
from tallystick.mcp.asked import Asked
from tallystick.wire.views import Receipt, RunView, SweepView

READ_BYTES = 2000
"""How much of the output of a failed run is worth reading first."""


def about_run(asked: Asked, view: RunView, *, said: str = "", output: str | None = None) -> Said:
    """The answer about one run."""
    run = run_of(view)
    answer = RunAnswer(
        session_source=asked.source,
        run=run,
        output=output,
        receipt=receipt_of(view.receipt),
        warnings=notices_of([*asked.warnings, *view.warnings]),
        next=after_run(view, shown=output is not None),
    )
    lines = [f"{said} {run_line(run)}".strip(), *_entry(view.receipt)]
    return Said(answer=answer, lines=[*lines, *([] if output is None else ["output:", output])])


def about_sweep(
    asked: Asked, view: SweepView, *, said: str = "", calls: Sequence[NextCall] = ()
) -> Said:
    """The answer about one sweep."""
    sweep = sweep_of(view)
    answer = SweepAnswer(
        session_source=asked.source,
        sweep=sweep,
        receipt=receipt_of(view.receipt),
        warnings=notices_of([*asked.warnings, *view.warnings]),
        next=list(calls),
    )
    return Said(answer=answer, lines=[f"{said} {sweep_line(sweep)}".strip(), *_entry(view.receipt)])


def after_run(view: RunView, *, shown: bool = False) -> list[NextCall]:
    """What is worth calling after a run was seen."""
    if view.status == "ready":
        return [call("start_run", run_id=view.id)]
    if view.status not in ENDED:
        return [call("wait_run", run_id=view.id)]
    if view.status == "failed" and not shown:
        return [call("get_run", run_id=view.id, output_bytes=READ_BYTES)]
    return []


def wait_for(view: SweepView) -> NextCall:
    """The call that waits for all runs of a sweep."""
    return call("wait_run", sweep_id=view.id)


def call(tool: str, **given: Any) -> NextCall:
    """A call of one of the tools."""
    return NextCall(tool=tool, arguments=given)


def which(given: arguments.Which, *, tool: str) -> str:
    """The run or the sweep that is meant; raises `InvalidError` unless it is exactly one."""
    named = [text for text in (given.run_id, given.sweep_id) if text]
    if len(named) != 1:
        raise InvalidError(
            f"expected run_id or sweep_id, one of the two; found {len(named)}",
            code="arguments_invalid",
            hint=f'{tool}(run_id="run_…"), or {tool}(sweep_id="swp_…") for all its runs',
        )
    return named[0]


def _entry(receipt: Receipt | None) -> list[str]:
    """The line that anchors the entry in the agent's own transcript (P6.3)."""
    return [] if receipt is None else [f"entry {receipt.seq}, leaf {receipt.leaf_hash}"]
