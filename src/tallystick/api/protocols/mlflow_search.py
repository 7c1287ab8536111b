"""MLflow's own search expressions, over runs that were loaded: `metrics.loss < 0.3 and …`.

Comparisons joined by AND; keys may stand between backticks or double quotes, texts between single
or double quotes. As there, text compares by =, !=, LIKE and ILIKE, and a run without the key does
not match.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Final

from tallystick.api.protocols.mlflow_shapes import Tracked
from tallystick.errors import InvalidError

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMPARISON: Final = re.compile(
    r"""\s*(?:(?P<kind>metrics?|params?|parameters?|tags?|attributes?|attr|run)\s*\.\s*)?
    (?:`(?P<ticked>[^`]+)`|"(?P<quoted>[^"]+)"|(?P<key>[\w./:-]+))\s*
    (?P<op>!=|>=|<=|=|>|<|\bi?like\b|\bnot\s+in\b|\bin\b)\s*
    (?:'(?P<text>[^']*)'|"(?P<other>[^"]*)"|\((?P<list>[^)]*)\)|(?P<number>"""
    + _NUMBER
    + r"""))\s*(?P<more>and\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_ITEM: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_ORDER: Final = re.compile(
    r"""\s*(?:(?P<kind>metrics?|params?|parameters?|tags?|attributes?|attr|run)\s*\.\s*)?
    (?:`(?P<ticked>[^`]+)`|"(?P<quoted>[^"]+)"|(?P<key>[\w./:-]+))
    (?:\s+(?P<way>asc|desc))?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_KINDS: Final[Mapping[str, str]] = {"m": "metrics", "p": "params", "t": "tags"}
_SAME_NAMES: Final[Mapping[str, str]] = {"start_time": "start_time", "Run Name": "run_name"}

Matcher = Callable[[Tracked], bool]


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a comparison looks."""

    kind: str
    key: str

    def of(self, run: Tracked) -> Any:
        """The value in one run; None when it has none."""
        if self.kind == "metrics":
            point = run.metrics.get(self.key)
            return None if point is None else float(point[1])
        if self.kind == "params":
            return run.params.get(self.key)
        if self.kind == "tags":
            return run.tags.get(self.key)
        return run.info.get(_SAME_NAMES.get(self.key, self.key))


def matcher(text: str) -> Matcher:
    """Whether a run matches; raises `InvalidError` for what is no expression."""
    tests: list[Matcher] = []
    at = 0
    while text[at:].strip():
        found = _COMPARISON.match(text, at)
        if found is None or bool(found["more"]) != bool(text[found.end() :].strip()):
            raise _wrong(text[at : at + 80])
        tests.append(_test(found))
        at = found.end()
    return lambda run: all(test(run) for test in tests)


def ordered(runs: Sequence[Tracked], keys: Sequence[str]) -> list[Tracked]:
    """The runs in order; those without a value come last, the newest first among equals."""
    result = sorted(runs, key=lambda run: run.info["start_time"], reverse=True)
    for text in reversed(keys):
        found = _ORDER.fullmatch(text)
        if found is None:
            raise _wrong(text)
        place, down = _field(found), (found["way"] or "asc").lower() == "desc"
        known = [run for run in result if _sortable(place.of(run))]
        known.sort(key=lambda run, place=place: place.of(run), reverse=down)  # type: ignore[misc]
        result = known + [run for run in result if not _sortable(place.of(run))]
    return result


def _sortable(value: Any) -> bool:
    return value is not None and value == value  # noqa: PLR0124 - NaN is not equal to itself


def _test(found: re.Match[str]) -> Matcher:
    place, op = _field(found), found["op"].lower()
    if found["list"] is not None:
        items = {one or other for one, other in _ITEM.findall(found["list"])}
        inside = op == "in"
        return lambda run: (place.of(run) in items) is inside and place.of(run) is not None
    numeric = found["number"] is not None
    text = found["text"] if found["text"] is not None else found["other"]
    wanted: Any = float(found["number"]) if numeric else text
    if op in {"like", "ilike"}:
        flags = re.IGNORECASE if op == "ilike" else 0
        pattern = re.compile(translate(str(text).replace("%", "*").replace("_", "?")), flags)
        return lambda run: bool(pattern.match(str(place.of(run)))) and place.of(run) is not None
    return lambda run: _compare(place.of(run), op, wanted)


def _compare(value: Any, op: str, wanted: Any) -> bool:
    if value is None or isinstance(value, str) != isinstance(wanted, str):
        return False
    return bool(
        {
            "=": value == wanted,
            "!=": value != wanted,
            "<": value < wanted,
            "<=": value <= wanted,
            ">": value > wanted,
            ">=": value >= wanted,
        }.get(op, False)
    )


def _field(found: re.Match[str]) -> _Field:
    kind = (found["kind"] or "attributes").lower()
    key = found["ticked"] or found["quoted"] or found["key"]
    return _Field(_KINDS.get(kind[0], "attributes"), key)


def _wrong(text: str) -> InvalidError:
    return InvalidError(
        "filter: expected comparisons like metrics.loss < 0.3 and params.lr = '0.1'; "
        f"found {text[:80]!r}",
        code="parameter_invalid",
    )
