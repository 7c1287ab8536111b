"""Metric rows: one JSON object a line, as agents post them and `tallystick.log` writes them.

The step of a row is the first of `STEP_KEYS` that holds a number, else its position among the rows
of its stream. `_timestamp` (Unix seconds) is the time of the row. Every other number is a point;
NaN and the infinities come as bare tokens or as text.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tallystick.intake.batch import UNTIMED, Batch, Number, milliseconds, number

STEP_KEYS: Final = ("_step", "step", "global_step", "trainer/global_step")
"""Ours first: whoever writes `_step` may call a metric `step`."""

TIME_KEY: Final = "_timestamp"
SUMMARY_KEY: Final = "_summary"
"""Holds an object of final values that are no point of a series."""


def read(content: bytes, *, rows: int, final: bool) -> Batch:
    """The rows of a piece that begins with a line, `rows` rows after the beginning of the stream.

    A last line without an end is left for the next piece, as `whole` says.
    """
    batch = Batch(used=whole(content, final=final))
    for line in content[: batch.used].split(b"\n"):
        if not line.strip():
            continue
        row = parse(line)
        if row is None:
            batch.unread += 1
        else:
            add(batch, row, position=rows + batch.rows)
    return batch


def whole(content: bytes, *, final: bool) -> int:
    """Bytes of the whole lines.

    When nothing follows (`final`), a last line without an end is one too, if it is an object; one
    that is not may have been seen while it was written, or a crash has torn it.
    """
    end = content.rfind(b"\n") + 1
    if final and end < len(content) and parse(content[end:]) is not None:
        return len(content)
    return end


def parse(line: bytes) -> dict[str, Any] | None:
    """One line as an object; None when it is none, or when a name in it cannot be told."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:  # a bare NaN is no JSON, but what Python writes
        row = _parse_lenient(line)
    return row if isinstance(row, dict) else None


def _parse_lenient(line: bytes) -> Any:
    try:
        row = json.loads(line)
        if isinstance(row, dict):
            "".join(row).encode()  # half a character (a lone surrogate) has no UTF-8 form
    except (ValueError, RecursionError):
        return None
    return row


def add(batch: Batch, row: Mapping[str, Any], *, position: int) -> None:
    """The points of one row, the `position`-th of its stream."""
    batch.rows += 1
    step_key, step = step_of(row)
    if step is None:
        step = position
        batch.unstepped += 1
    time = milliseconds(row[TIME_KEY]) if TIME_KEY in row else UNTIMED
    for key, raw in row.items():
        if key == step_key or (key == TIME_KEY and time != UNTIMED):
            continue
        value = number(raw)
        if value is not None:
            batch.add(key, step, value, time)
        elif key == SUMMARY_KEY and isinstance(raw, dict):
            batch.notes.update({("summary", name): held for name, held in raw.items()})
        else:
            batch.other[key] = None


def step_of(row: Mapping[str, Any]) -> tuple[str | None, Number | None]:
    """The key that names the step, and the step as it came."""
    for key in STEP_KEYS:
        step = number(row[key]) if key in row else None
        if step is not None:
            return key, step
    return None, None
