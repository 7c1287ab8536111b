"""A projection's table and its rows, derived from the state that it shows.

A state is a frozen dataclass; every field is a column of the same name, so a fact is written down
once. Commitments are stored as `c:n`, mappings, tuples and nested dataclasses as JSON, a `Tally` as
seven columns.
"""

import dataclasses
import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from operator import attrgetter
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, RowMapping, String, Table

from tallystick.domain.codec import from_fields, to_fields
from tallystick.domain.ids import Text
from tallystick.domain.status import Tally

S = TypeVar("S")

_TALLY_FIELDS = tuple(field.name for field in dataclasses.fields(Tally))


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """How one field travels."""

    name: str
    columns: tuple[Column[Any], ...]
    dump: Callable[[Any], Any] | None
    load: Callable[[Any], Any] | None

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the value of each column is found in the state."""
        if len(self.columns) == 1:
            return (self.name,)
        return tuple(f"{self.name}.{part}" for part in _TALLY_FIELDS)


class Shape(Generic[S]):
    """One table for one kind of state, keyed by the state's `id`."""

    def __init__(
        self,
        state_type: type[S],
        name: str,
        metadata: MetaData,
        *,
        indexes: Iterable[Sequence[str]] = (),
    ) -> None:
        """Derive the table `name` from the fields of `state_type`."""
        self._state_type = state_type
        hints = get_type_hints(state_type)
        self._fields = tuple(
            _field(field.name, hints[field.name])
            for field in dataclasses.fields(state_type)  # type: ignore[arg-type]
        )
        self._values = attrgetter(*(path for field in self._fields for path in field.paths))
        self._columns = tuple(column.name for field in self._fields for column in field.columns)
        self._dumps = tuple((f.name, f.dump) for f in self._fields if f.dump is not None)
        self._loads = tuple((f.name, f.load) for f in self._fields if f.load is not None)
        self._tallies = tuple(f.name for f in self._fields if len(f.columns) > 1)
        columns = [column for field in self._fields for column in field.columns]
        self.table = Table(name, metadata, *columns)
        for columns_of_index in indexes:
            Index(
                f"ix_{name}_{'_'.join(columns_of_index)}",
                *(self.table.c[column] for column in columns_of_index),
            )

    def dump(self, state: S) -> dict[str, Any]:
        """The row of a state."""
        row = dict(zip(self._columns, self._values(state), strict=True))
        for name, dump in self._dumps:
            value = row[name]
            if value is not None:
                row[name] = dump(value)
        return row

    def load(self, row: RowMapping | Mapping[str, Any]) -> S:
        """The state of a row that has the table's columns, in their order."""
        values = dict(zip(self._columns, row.values(), strict=True))
        for name, load in self._loads:
            value = values[name]
            if value is not None:
                values[name] = load(value)
        for name in self._tallies:
            values[name] = Tally(*(values.pop(f"{name}_{part}") for part in _TALLY_FIELDS))
        return self._state_type(**values)


def _field(name: str, hint: Any) -> _Field:
    """Column and conversions of one field."""
    plain = _plain(hint)
    nullable = plain is not hint
    if plain is Tally:
        columns = tuple(
            Column(f"{name}_{part}", BigInteger, nullable=False) for part in _TALLY_FIELDS
        )
        return _Field(name, columns, None, None)
    kind, dump, load = _conversion(plain)
    column: Column[Any] = Column(name, kind, primary_key=name == "id", nullable=nullable)
    return _Field(name, (column,), dump, load)


def _conversion(
    hint: Any,
) -> tuple[Any, Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    """SQL type, state to column, column to state."""
    hint = getattr(hint, "__supertype__", hint)
    if hint is Text:
        return String, _dump_text, _load_text
    if hint is bool:
        return Boolean, None, None
    if hint is int:
        return BigInteger, None, None
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return String, str, hint
    if get_origin(hint) is tuple:
        return String, _dump_json, _load_tuple
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return String, _dump_nested, partial(_load_nested, hint)
    if hint is str:
        return String, None, None
    return String, _dump_json, _load_mapping


def _plain(hint: Any) -> Any:
    """`X | None` is X, in a column that may be null."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _dump_text(value: Text) -> str:
    return f"{value.c}:{value.n}"


def _load_text(value: str) -> Text:
    commitment, _, length = value.partition(":")
    return Text(commitment, int(length))


def _dump_json(value: Any) -> str:
    if not value:
        return "[]" if isinstance(value, tuple) else "{}"
    plain = list(value) if isinstance(value, tuple) else dict(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _dump_nested(value: Any) -> str:
    fields = to_fields(value)
    return json.dumps(fields, sort_keys=True, separators=(",", ":")) if fields else "{}"


def _load_nested(shape: type[Any], value: str) -> Any:
    return shape() if value == "{}" else from_fields(shape, json.loads(value))


def _load_tuple(value: str) -> tuple[Any, ...]:
    return () if value == "[]" else tuple(json.loads(value))


def _load_mapping(value: str) -> Any:
    return {} if value == "{}" else json.loads(value)
