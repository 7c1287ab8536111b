"""Events to entry data and back, by type and version.

`encode` leaves out what is None or empty by default; `decode` is total over every (type, v) ever
released. An entry of another version is first brought up to date by an upcaster (none yet).
"""

import dataclasses
import types
from collections.abc import Hashable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tallystick.domain.events import Event
from tallystick.domain.ids import Text
from tallystick.errors import CorruptLedgerError

S = TypeVar("S")

EVENT_TYPES: Mapping[str, type[Event]] = {shape.type: shape for shape in get_args(Event)}
"""Every entry type, by name."""


def encode(event: Event) -> dict[str, Any]:
    """The entry's `data`."""
    return _encode_fields(event)


def decode(type_name: str, data: Mapping[str, Any]) -> Event:
    """The event of an entry; raises `CorruptLedgerError` for what no release ever wrote."""
    shape = EVENT_TYPES.get(type_name)
    if shape is None:
        raise CorruptLedgerError(
            f"entry type {type_name!r} is unknown to this version",
            hint="the ledger was written by a newer Tallystick: upgrade to read it",
        )
    try:
        return shape(**_decode_fields(shape, data))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptLedgerError(f"entry data of {type_name!r} cannot be read: {error}") from error


def to_fields(value: Any) -> dict[str, Any]:
    """Any such dataclass as a JSON object; what is at its default is left out."""
    return _encode_fields(value)


def from_fields(shape: type[S], data: Mapping[str, Any]) -> S:
    """The dataclass again."""
    return shape(**_decode_fields(shape, data))


def _encode_fields(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    out = {}
    for field, default in _defaults(cast("Hashable", type(value))):
        item = getattr(value, field)
        if item is None or item is default or item == default:
            continue
        kind = type(item)
        out[field] = item if kind is str or kind is int or kind is bool else _encode(item)
    return out


def _encode(item: Any) -> Any:
    """One value."""
    if type(item) is Text:  # by far the most
        return {"c": item.c, "n": item.n}
    if isinstance(item, str | int):
        return item.value if isinstance(item, StrEnum) else item
    if isinstance(item, Mapping):
        return {key: _encode(inner) for key, inner in item.items()}
    if dataclasses.is_dataclass(item):
        return _encode_fields(item)
    return [_encode(inner) for inner in item]


@cache
def _defaults(shape: Hashable) -> tuple[tuple[str, Any], ...]:
    """Field names with the value that is left out."""
    return tuple(
        (
            field.name,
            field.default
            if field.default_factory is dataclasses.MISSING
            else field.default_factory(),
        )
        for field in dataclasses.fields(cast("Any", shape))
    )


@cache
def _hints(shape: Hashable) -> dict[str, Any]:
    """Resolved annotations, without Optional."""
    hints = get_type_hints(cast("Any", shape))
    return {
        field.name: _plain(hints[field.name]) for field in dataclasses.fields(cast("Any", shape))
    }


def _plain(hint: Any) -> Any:
    """`X | None` is read as X."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        return rest[0] if len(rest) == 1 else Any
    return hint


def _decode_fields(shape: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `shape`."""
    hints = _hints(cast("Hashable", shape))
    return {key: _decode(hints[key], item) for key, item in data.items()}


def _decode(hint: Any, item: Any) -> Any:
    """One value."""
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return hint(**_decode_fields(hint, item))
        if issubclass(hint, StrEnum):
            return hint(item)
    if get_origin(hint) is tuple:
        return tuple(item)
    return item
