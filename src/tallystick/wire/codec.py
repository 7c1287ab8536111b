"""Dataclass to JSON and back, strict on the way in.

Used on both sides of a process boundary, so it imports nothing but Python. Unknown keys, missing
keys and wrong types raise `InvalidError` that names the field, what was expected, what was found.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tallystick.errors import InvalidError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A JSON-ready copy of a dataclass (or a container of them); tuples become arrays."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON of a dataclass or plain value, with no newline inside."""
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":")).encode()


def from_json(shape: type[T], document: Any, *, where: str = "body") -> T:
    """Build `shape` from a parsed JSON object; raises `InvalidError` naming the first bad field."""
    if not isinstance(document, Mapping):
        raise _wrong(where, "an object", document)
    hints = get_type_hints(shape)
    fields = {field.name: field for field in dataclasses.fields(shape)}  # type: ignore[arg-type]
    for key in document:
        if key not in fields:
            raise InvalidError(f"{where}.{key}: unknown field; known: {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in document:
            values[name] = _read(hints[name], document[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidError(f"{where}.{name}: required, but missing")
    return shape(**values)


def _read(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against one type hint and convert arrays to tuples."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _read_union(args, value, where)
    if origin is Literal:
        if value in args:
            return value
        raise _wrong(where, "one of " + ", ".join(map(str, args)), value)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, "an array", value)
        return tuple(_read(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        return {key: _read(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, value, where=where)
    return _read_scalar(hint, value, where)


def _read_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    """Optional values, and the rare union of scalars."""
    if value is None and type(None) in args:
        return None
    rest = [arg for arg in args if arg is not type(None)]
    for arg in rest[:-1]:
        try:
            return _read(arg, value, where)
        except InvalidError:
            continue
    return _read(rest[-1], value, where)


def _read_scalar(hint: Any, value: Any, where: str) -> Any:
    """Exact scalar types; a whole number is welcome where a float is meant, a bool never is."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _wrong(where, "a number that fits into 64 bits", value) from None
    if isinstance(value, bool) and hint is not bool:
        raise _wrong(where, hint.__name__, value)
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    raise _wrong(where, getattr(hint, "__name__", str(hint)), value)


def _wrong(where: str, expected: str, found: Any) -> InvalidError:
    """The refusal for one field."""
    shown = json.dumps(found, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
    if len(shown) > 80:  # an error message is no place for a megabyte of body
        shown = shown[:77] + "..."
    return InvalidError(f"{where}: expected {expected}, found {shown}")
