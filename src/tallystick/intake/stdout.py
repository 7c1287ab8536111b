"""Metrics in what a command prints, for runs that ask for it: JSON objects and `name=number`.

A line that is a JSON object is a row, as `rows` reads it. In any other line each `name=number` is a
value of one row, and `step=` its step: `epoch 3: step=120, loss=0.25`. A number with a unit behind
it is none. Lines without any say nothing. Of a line that was drawn again and again, as progress
bars are, its last state counts.
"""

import re
from typing import Any, Final

from tallystick.intake import rows
from tallystick.intake.batch import Batch, Number, number

LONGEST_LINE: Final = 64 * 1024
"""Bytes; a longer one is no line of metrics."""

_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PAIR: Final = re.compile(
    r"""(?<![\w./=+?&-])(?P<name>[A-Za-z_][\w./-]{0,199})\ ?=\ ?
    (?P<value>[+-]?(?:\d+(?P<point>\.\d*)?|\.\d+)(?P<power>[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?))
    (?=[\s,;|)\]}]|\.?$|\.\s)""",
    re.VERBOSE | re.IGNORECASE,
)


def read(content: bytes, *, rows_before: int, final: bool) -> Batch:
    """The rows in the whole lines of a piece; `final` when nothing follows it."""
    batch = Batch(used=len(content) if final else content.rfind(b"\n") + 1)
    for line in content[: batch.used].split(b"\n"):
        row = _row(line)
        if row:
            rows.add(batch, row, position=rows_before + batch.rows)
    return batch


def _row(line: bytes) -> dict[str, Any] | None:
    """What a line says; None when it is no line of metrics."""
    if len(line) > LONGEST_LINE:
        return None
    line = line.rstrip(b"\r").rpartition(b"\r")[2].strip()
    if line.startswith(b"{"):
        row = rows.parse(line)
        return row if row and any(number(value) is not None for value in row.values()) else None
    if b"=" not in line:
        return None
    text = _ESCAPE.sub("", line.decode("utf-8", "replace"))
    return {found["name"]: _value(found) for found in _PAIR.finditer(text)}


def _value(found: re.Match[str]) -> Number:
    """A whole number as one."""
    text = found["value"]
    if text.lstrip("+-").isdecimal():
        return int(text) if len(text) < 300 else float(text)
    return float(text)
