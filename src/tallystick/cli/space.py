"""From options of a command line to a space of configurations; pure."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tallystick.cli.command import value_of
from tallystick.cli.output import UsageError

_RANGE: Final = re.compile(r"(?P<words>(?:(?:log|lin|int):)*)(?P<numbers>[^:,]+(?::[^:,]+){1,2})")

FORMS: Final = (
    "NAME=VALUE (constant), NAME=A,B,C (each), NAME=MIN:MAX:STEP, NAME=log:MIN:MAX:NUM, "
    "NAME=lin:MIN:MAX:NUM; for random search NAME=MIN:MAX, log:MIN:MAX, int:MIN:MAX; or JSON"
)


def parameters_of(pairs: Sequence[str]) -> dict[str, Any]:
    """`--param` options, in their order; raises `UsageError`."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, given, text = pair.partition("=")
        if not given or not name:
            raise _wrong(pair, "NAME=VALUE")
        if name in found:
            raise _wrong(pair, f"{name} once")
        found[name] = _parameter(pair, text)
    return found


def _parameter(pair: str, text: str) -> Any:
    """A constant, a list, or a range."""
    if text[:1] in {"[", "{", '"'}:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise _wrong(pair, f"JSON ({error.msg} at character {error.pos + 1})") from None
    if "," in text:
        return [value_of(part) for part in text.removesuffix(",").split(",")]
    match = _RANGE.fullmatch(text)
    if match is None:
        return value_of(text)
    words = set(match["words"].split(":")) - {""}
    numbers = [value_of(part) for part in match["numbers"].split(":")]
    if any(isinstance(number, str | bool) for number in numbers):
        if words:
            raise _wrong(pair, "numbers in a range")
        return text  # a URL, a time, a path: colons are not always a range
    return _range(words, numbers)


def _range(words: set[str], numbers: Sequence[Any]) -> dict[str, Any]:
    """Numbers between colons, and the words before them."""
    found = {"min": numbers[0], "max": numbers[1]}
    if len(numbers) == 3:
        spread = words & {"log", "lin"} or "int" in words
        found["num" if spread else "step"] = numbers[2]
    if "log" in words:
        found["scale"] = "log"
    if "int" in words:
        found["type"] = "int"
    return found


def seeds_of(text: str | None) -> int | list[Any] | None:
    """`--seeds 3`, or `--seeds 1,2,5`."""
    if text is None:
        return None
    values = [value_of(part) for part in text.removesuffix(",").split(",")]
    if "," not in text and isinstance(values[0], int):
        return values[0]
    if "," in text:
        return values
    raise UsageError(f"--seeds {text!r}: expected a number, or a list", code="param_invalid")


def points_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Explicit points, one JSON object a line; empty lines are left out."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            point = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(
                f"--points, line {number}: expected a JSON object; {error.msg}",
                code="points_invalid",
            ) from None
        if not isinstance(point, dict):
            raise UsageError(
                f"--points, line {number}: expected a JSON object; found another value",
                code="points_invalid",
            )
        found.append(point)
    return found


def _wrong(pair: str, expected: str) -> UsageError:
    return UsageError(
        f"--param {pair!r}: expected {expected}", code="param_invalid", hint=f"forms: {FORMS}"
    )
