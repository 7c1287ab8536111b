"""Answers to views: strict about what is known, deaf to what a newer server adds."""

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tallystick.errors import InvalidError

T = TypeVar("T")


def view(shape: type[T], document: Any, *, where: str = "answer") -> T:
    """Build a wire view, leaving out unknown fields; raises `InvalidError` for a wrong one."""
    if not isinstance(document, Mapping):
        raise _wrong(where, "an object", document)
    values = {}
    hashable: Any = shape
    for name, (hint, required) in _fields(hashable).items():
        if name in document:
            values[name] = _read(hint, document[name], f"{where}.{name}")
        elif required:
            raise InvalidError(f"{where}.{name}: expected, but missing", code="answer_invalid")
    return shape(**values)


def views(shape: type[T], documents: Any, *, where: str = "answer") -> list[T]:
    """Build a list of wire views."""
    if not isinstance(documents, list):
        raise _wrong(where, "an array", documents)
    return [view(shape, item, where=f"{where}[{n}]") for n, item in enumerate(documents)]


@cache
def _fields(shape: Any) -> dict[str, tuple[Any, bool]]:
    """Field names with their type, and whether they must be there."""
    hints = get_type_hints(shape)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(shape)
    }


def _read(hint: Any, value: Any, where: str) -> Any:
    """One value, checked against its type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = next(arg for arg in args if arg is not type(None))
        return None if value is None else _read(inner, value, where)
    if origin is list:
        if not isinstance(value, list):
            raise _wrong(where, "an array", value)
        return [_read(args[0], item, f"{where}[{n}]") for n, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object", value)
        return dict(value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return view(hint, value, where=where)
    return _read_scalar(hint, value, where)


def _read_scalar(hint: Any, value: Any, where: str) -> Any:
    """Text, numbers and truth; a whole number is welcome where a float is meant, a bool never."""
    if hint is Any:
        return value
    if isinstance(value, bool) is (hint is bool):
        if hint is float and isinstance(value, int):
            return float(value)
        if isinstance(value, hint):
            return value
    raise _wrong(where, hint.__name__, value)


def _wrong(where: str, expected: str, found: Any) -> InvalidError:
    """The error for one field of an answer."""
    shown = repr(found)
    return InvalidError(
        f"{where}: expected {expected}, found {shown if len(shown) < 80 else shown[:77] + '...'}",
        code="answer_invalid",
        hint="client and server are of versions that do not fit together",
    )
