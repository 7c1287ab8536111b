"""JSON as text: a value is put in or taken out, and every other byte stays as it was.

Settings files belong to people. Parsing and dumping one again would lose its indentation, its line
ends and its short lists on one line; here only the characters of the changed entry move. Pure.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import InvalidError

Path = tuple[str, ...]
"""Keys from the top of the document to a container."""

DEEPEST: Final = 200
"""Nesting beyond this is no settings file."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_INDENT: Final = re.compile(r"\n([ \t]+)\S")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: from `start` up to, not including, `end`."""

    start: int
    end: int
    value: Any
    """As `json.loads` gives it."""
    items: "tuple[Node, ...]" = ()
    """Of a list or an object: its values, in order."""
    keys: tuple[str, ...] = ()
    """Of an object: the key of each item."""
    firsts: tuple[int, ...] = ()
    """Where each item begins, its key included."""


def parse(text: str) -> Node:
    """A document with the place of every value; raises `InvalidError` where it is no plain JSON.

    Comments, trailing commas, a byte order mark and a key that stands twice are no plain JSON.
    """
    try:
        json.loads(text, parse_constant=_no_constant)
        node, end = _value(text, _skip(text, 0), 0)
    except (ValueError, RecursionError) as error:
        raise InvalidError(
            f"expected JSON without comments; found {error}", code="settings_not_json"
        ) from error
    if _skip(text, end) != len(text):
        raise InvalidError(
            "expected one JSON value; found more behind it", code="settings_not_json"
        )
    return node


def at(node: Node, path: Path) -> Node | None:
    """The value below a path; None where there is none. Raises `InvalidError` inside a non-object.

    A list or a text where an object should be belongs to somebody, and is not replaced.
    """
    for depth, key in enumerate(path):
        _require(node, dict, path[:depth])
        if key not in node.keys:
            return None
        node = node.items[node.keys.index(key)]
    return node


def put_member(text: str, where: Path, key: str, value: Any) -> str:
    """With `key: value` in the object at a path, which is made when it is missing."""
    holder = at(parse(text), where)
    if holder is None:
        return put_member(put_member(text, where[:-1], where[-1], {}), where, key, value)
    _require(holder, dict, where)
    if key in holder.keys:
        old = holder.items[holder.keys.index(key)]
        shown = _dumped(text, value, _depth_of(text, old.start))
        return text[: old.start] + shown + text[old.end :]
    return _put(text, holder, f"{json.dumps(key, ensure_ascii=False)}: ", value)


def put_item(text: str, where: Path, value: Any) -> str:
    """With a value at the end of the list at a path, which is made when it is missing."""
    holder = at(parse(text), where)
    if holder is None:
        return put_item(put_member(text, where[:-1], where[-1], []), where, value)
    _require(holder, list, where)
    return _put(text, holder, "", value)


def drop(text: str, where: Path, which: int | str) -> str:
    """Without one item of the list, or one key of the object, at a path."""
    holder = at(parse(text), where)
    if holder is None:
        return text
    index = holder.keys.index(which) if isinstance(which, str) else which
    return _dropped(text, holder, index)


def drop_below(text: str, holder: Node, index: int) -> str:
    """Without one item of a container whose place is known."""
    return _dropped(text, holder, index)


def _dropped(text: str, holder: Node, index: int) -> str:
    """The item, its comma, and the space that stood between."""
    if len(holder.items) == 1:
        return text[: holder.start + 1] + text[holder.end - 1 :]
    if index == 0:
        return text[: holder.firsts[0]] + text[holder.firsts[1] :]
    return text[: holder.items[index - 1].end] + text[holder.items[index].end :]


def _put(text: str, holder: Node, label: str, value: Any) -> str:
    """The text with one more entry in a container, laid out as its neighbours are."""
    newline = "\r\n" if "\r\n" in text else "\n"
    inside = text[holder.start : holder.end]
    if holder.items and "\n" not in inside:
        last = holder.items[-1].end
        return f"{text[:last]}, {label}{json.dumps(value, ensure_ascii=False)}{text[last:]}"
    outer = _depth_of(text, holder.start)
    inner = _depth_of(text, holder.firsts[-1]) if holder.items else outer + _unit(text)
    entry = f"{newline}{inner}{label}{_dumped(text, value, inner)}"
    if holder.items:
        last = holder.items[-1].end
        return f"{text[:last]},{entry}{text[last:]}"
    return f"{text[: holder.start + 1]}{entry}{newline}{outer}{text[holder.end - 1 :]}"


def _dumped(text: str, value: Any, indent: str) -> str:
    """A value over several lines, all but the first behind an indent."""
    newline = "\r\n" if "\r\n" in text else "\n"
    return _laid_out(value, f"{newline}{indent}", _unit(text))


def _laid_out(value: Any, line: str, unit: str) -> str:
    """A value as people lay it out: a list of words stays on its line."""
    if isinstance(value, dict) and value:
        inside = (
            f"{line}{unit}{json.dumps(key, ensure_ascii=False)}: "
            f"{_laid_out(item, line + unit, unit)}"
            for key, item in value.items()
        )
        return f"{{{','.join(inside)}{line}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        inside = (f"{line}{unit}{_laid_out(item, line + unit, unit)}" for item in value)
        return f"[{','.join(inside)}{line}]"
    return json.dumps(value, ensure_ascii=False)


def _unit(text: str) -> str:
    """What this file indents by: its first indented line's own; two spaces where none is."""
    found = _INDENT.search(text)
    return found[1] if found else "  "


def _depth_of(text: str, place: int) -> str:
    """The white space at the beginning of the line that a place is in."""
    line = text[text.rfind("\n", 0, place) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _require(node: Node, shape: type, path: Path) -> None:
    if not isinstance(node.value, shape):
        wanted = "an object" if shape is dict else "a list"
        raise InvalidError(
            f"expected {wanted} at {'.'.join(path) or 'the top'}; "
            f"found {json.dumps(node.value, ensure_ascii=False)[:40]}",
            code="settings_not_json",
        )


def _value(text: str, start: int, depth: int) -> tuple[Node, int]:
    """The value that begins at `start`, and where it ends. The text is known to be JSON."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels")
    if text[start] in "{[":
        return _container(text, start, depth)
    pattern = _STRING if text[start] == '"' else _NUMBER
    found = pattern.match(text, start)
    end = found.end() if found else start + (5 if text[start] == "f" else 4)
    return Node(start, end, json.loads(text[start:end])), end


def _container(text: str, start: int, depth: int) -> tuple[Node, int]:
    """A list, or an object."""
    is_object = text[start] == "{"
    items, keys, firsts = list[Node](), list[str](), list[int]()
    place = _skip(text, start + 1)
    while text[place] not in "}]":
        place = _skip(text, place + 1) if text[place] == "," else place
        firsts.append(place)
        if is_object:
            name = _STRING.match(text, place)
            assert name is not None  # noqa: S101 - json.loads has accepted the text
            keys.append(json.loads(name[0]))
            place = _skip(text, _skip(text, name.end()) + 1)
        item, place = _value(text, place, depth + 1)
        items.append(item)
        place = _skip(text, place)
    if len(set(keys)) != len(keys):
        raise ValueError("a key that stands twice")
    values = [item.value for item in items]
    value = dict(zip(keys, values, strict=True)) if is_object else values
    return Node(start, place + 1, value, tuple(items), tuple(keys), tuple(firsts)), place + 1


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no JSON")
