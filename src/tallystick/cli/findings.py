"""What a doctor found, for people or as JSON; the same for every doctor."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from tallystick.cli import output

if TYPE_CHECKING:
    from tallystick.doctor.finding import Finding

CHECK_WIDTH = 15
"""Of the longest name of a check, where none is longer."""


def report(found: "Sequence[Finding]", *, as_json: bool) -> None:
    """Every finding and its mend, and how many there are; leaves with exit code 1 for a failure."""
    from tallystick.doctor.finding import Verdict

    counts = {verdict: sum(item.verdict is verdict for item in found) for verdict in Verdict}
    if as_json:
        output.emit(list(found))
    else:
        width = max(CHECK_WIDTH, *(len(item.check) for item in found))
        for item in found:
            _tell(item, width)
        output.say()
        output.say(
            f"{counts[Verdict.OK]} ok, {counts[Verdict.WARN]} to know, "
            f"{counts[Verdict.FAIL]} to mend"
        )
    if counts[Verdict.FAIL]:
        raise typer.Exit(output.REFUSED)


def _tell(item: "Finding", width: int) -> None:
    """A finding in a line, and its mend in another."""
    mark = {"ok": "✓", "warn": "!", "fail": "✗"}[item.verdict]
    output.say(output.plain(f"{mark} {item.check:<{width}}  {item.found}"))
    if item.mend:
        output.say(output.plain(f"  {'':<{width}}  → {item.mend}"))
