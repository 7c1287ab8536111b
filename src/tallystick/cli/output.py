"""What people see: tables, times, errors; and the one table of exit codes.

Standard output carries the answer (a table, or JSON with --json), standard error everything else.
Rich leaves colour out when it is not a terminal, and where NO_COLOR is set.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallystick.clock import SystemClock
from tallystick.errors import (
    CorruptLedgerError,
    InvalidError,
    Refusal,
    TallystickError,
    UnavailableError,
    VerificationError,
)
from tallystick.wire.codec import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from tallystick.wire.views import Progress

OK = 0
REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
UNVERIFIED = 4


class UsageError(InvalidError):
    """The command line itself is wrong."""

    default_code = "usage"


def require_change(*values: Any) -> None:
    """Raises `UsageError` when nothing was named to be changed."""
    if all(value is None for value in values):
        raise UsageError("expected something to change", code="nothing_to_change")


EXIT_OF: Mapping[type[TallystickError], int] = {
    UsageError: USAGE,
    Refusal: REFUSED,
    UnavailableError: UNAVAILABLE,
    VerificationError: UNVERIFIED,
    CorruptLedgerError: UNVERIFIED,
    TallystickError: REFUSED,
}
"""Error class to exit code; the first that fits."""

STYLE_OF: Mapping[str, str] = {
    "running": "cyan",
    "launching": "cyan",
    "queued": "blue",
    "pending": "blue",
    "finished": "green",
    "completed": "green",
    "failed": "red",
    "stopped": "yellow",
    "canceled": "yellow",
}


WHOLE = frozenset({"ID", "RUN", "STATUS"})
"""Columns that are never cut; where a terminal is too narrow, others are, with an ellipsis."""

FILE_WIDTH = 4_000
"""Columns where the output is no terminal: nothing is cut there."""


def exit_code_of(error: TallystickError) -> int:
    """The exit code of an error."""
    return next(code for shape, code in EXIT_OF.items() if isinstance(error, shape))


def console(*, stderr: bool = False) -> "Console":
    """A console; when it is not a terminal, wide enough that nothing is cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else FILE_WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def is_terminal() -> bool:
    """Whether somebody sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def emit(value: Any) -> None:
    """A view, or a list of them, as JSON on standard output."""
    sys.stdout.write(json.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")


def say(text: str = "") -> None:
    """One line of the answer, exactly as it is."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line beside the answer, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Text of others without control characters: a name must not be able to move the cursor."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def first_line(text: str | None) -> str:
    """The beginning of a longer text, for a table."""
    return (text or "").rstrip().partition("\n")[0]


def complain(error: TallystickError, *, as_json: bool = False) -> None:
    """An error: what was found, what helps, what to call next; or its document with --json."""
    if as_json:
        from tallystick.wire.problem import document

        emit(document(error))
        return
    note(plain(f"error: {error.detail}  [{error.code}]"))
    if error.hint:
        note(plain(f"  hint: {error.hint}"))
    for action in error.next_actions:
        note(plain(f"  next: {action}"))


def warn(warnings: Iterable[Any]) -> None:
    """Warnings that came with an answer; anything with a code and a detail, and perhaps a hint."""
    for warning in warnings:
        name = getattr(warning, "name", None)
        code = f"{warning.code} {name}" if name else warning.code
        note(plain(f"warning: {warning.detail}  [{code}]"))
        if hint := getattr(warning, "hint", None):
            note(plain(f"  hint: {hint}"))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A plain table; `empty` is said where there are no rows."""
    from rich.table import Table
    from rich.text import Text

    shown = [list(row) for row in rows]
    if not shown:
        note(empty)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = column.startswith(">")
        grid.add_column(
            column.removeprefix(">"),
            justify="right" if numeric else "left",
            no_wrap=numeric or column in WHOLE,
        )
    for row in shown:
        cells = [plain(first_line(cell)) for cell in row]
        grid.add_row(
            *(
                Text(cell, style=STYLE_OF.get(cell, ""), no_wrap=True, overflow="ellipsis")
                for cell in cells
            )
        )
    console().print(grid)


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Name and value, a line each; absent values are left out."""
    known = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _value in known), default=0)
    for name, value in known:
        lines = plain(str(value)).splitlines() or [""]
        say(f"{name:<{width}}  {lines[0]}")
        for line in lines[1:]:
            say(f"{'':<{width}}  {line}")


def now_seconds() -> float:
    """Unix time."""
    return SystemClock().now() / 1000


def ago(moment: float | None, *, now: float | None = None) -> str:
    """A past moment in words, for example `3m ago`; empty when absent."""
    if moment is None:
        return ""
    passed = (now_seconds() if now is None else now) - moment
    return "just now" if passed < 1 else f"{span(passed)} ago"


def span(seconds: float) -> str:
    """A duration in its largest unit, or two: `8s`, `3m`, `2h 5m`, `4d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        minutes = whole % 3600 // 60
        return f"{whole // 3600}h {minutes}m" if minutes else f"{whole // 3600}h"
    return f"{whole // 86_400}d"


def duration(start: float | None, end: float | None, *, now: float | None = None) -> str:
    """How long something took, or has taken so far; tenths below ten seconds."""
    if start is None:
        return ""
    until = end if end is not None else (now_seconds() if now is None else now)
    passed = max(0.0, until - start)
    return f"{passed:.1f}s" if passed < 10 else span(passed)


def moment_of(seconds: float | None) -> str | None:
    """A moment as local date and time with its distance, for a page about one thing."""
    if seconds is None:
        return None
    from datetime import UTC, datetime

    shown = datetime.fromtimestamp(seconds, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"{shown} ({ago(seconds)})"


def exit_words(exit_code: int | None, signal: int | None) -> str:
    """How a command ended: its exit code, or the name of the signal that ended it."""
    if signal is not None:
        from signal import Signals

        names = {int(known): known.name for known in Signals}
        return names.get(signal, f"signal {signal}")
    return "" if exit_code is None else str(exit_code)


def progress_words(progress: "Progress") -> str:
    """Counts that are not zero, for example `3 completed, 1 running`."""
    counts = (
        (progress.completed, "completed"),
        (progress.failed, "failed"),
        (progress.canceled, "canceled"),
        (progress.running, "running"),
        (progress.launching, "launching"),
        (progress.queued, "queued"),
        (progress.ready, "ready"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "no runs"
