"""Tables derived from states: whatever a state holds comes back."""

import dataclasses
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy import select

from tallystick.db.sqlite import SqliteDatabase
from tallystick.domain.ids import Text
from tallystick.domain.status import Tally
from tallystick.projections import tables
from tallystick.projections.rows import Shape

SHAPES: list[Shape[Any]] = [shape for shape in vars(tables).values() if isinstance(shape, Shape)]
NAMES = [shape.table.name for shape in SHAPES]


def value(hint: Any, number: int, *, filled: bool) -> Any:
    """Something that a field of this type can hold."""
    hint = getattr(hint, "__supertype__", hint)
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not type(None))
        return value(inner, number, filled=True) if filled else None
    if hint is Text:
        return Text(f"{number:064x}", number if filled else 0)
    if hint is Tally:
        return Tally(**{word: n * filled for n, word in enumerate(words(), 1)})
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return built(hint, filled=filled)
    if get_origin(hint) is tuple and get_origin(get_args(hint)[0]) is Mapping:
        return ({"b": ["0.1", 2], "a": "ü"},) if filled else ()
    if get_origin(hint) is tuple:
        return ("ä", 'a"b,') if filled else ()
    if get_origin(hint) is Mapping:
        return {"b": "0.1", "a": True, "ü": 2**53 - 1, "z": False} if filled else {}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return list(hint)[-1 if filled else 0]
    plain = {str: f"ü☂ '{number}'" if filled else "", int: 2**53 + number if filled else 0}
    return filled if hint is bool else plain[hint]


def words() -> list[str]:
    return [field.name for field in dataclasses.fields(Tally)]


def state_of(shape: Shape[Any], *, filled: bool) -> Any:
    return built(shape._state_type, filled=filled)


def built(state_type: type[Any], *, filled: bool) -> Any:
    hints = get_type_hints(state_type)
    return state_type(
        **{
            field.name: value(hints[field.name], number, filled=filled)
            for number, field in enumerate(dataclasses.fields(state_type))
        }
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = SqliteDatabase(tmp_path_factory.mktemp("rows") / "rows.db")
    found.create(tables.metadata)
    yield found
    found.close()


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
@pytest.mark.parametrize("filled", [True, False], ids=["filled", "empty"])
def test_a_state_comes_back_as_it_was_stored(
    database: SqliteDatabase, shape: Shape[Any], *, filled: bool
) -> None:
    state = state_of(shape, filled=filled)
    with database.write() as tx:
        tx.upsert(shape.table, [shape.dump(state)])
        (row,) = tx.fetch(select(shape.table).where(shape.table.c.id == state.id))
    again = shape.load(row)
    assert again == state
    assert dataclasses.asdict(again) == dataclasses.asdict(state)
    assert [type(item) for item in dataclasses.astuple(again)] == [
        type(item) for item in dataclasses.astuple(state)
    ]
    assert dict(row) == shape.dump(state)


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_every_field_is_a_column_and_only_optional_ones_may_be_null(shape: Shape[Any]) -> None:
    hints = get_type_hints(shape._state_type)
    for name, hint in hints.items():
        if hint is Tally:
            assert all(not shape.table.c[f"{name}_{word}"].nullable for word in words())
        else:
            assert shape.table.c[name].nullable == (type(None) in get_args(hint)), name
    assert [column.name for column in shape.table.primary_key] == ["id"]


def test_every_table_of_facts_has_a_shape() -> None:
    facts = {name for name in tables.metadata.tables if not name.startswith("op_")}
    assert facts == set(NAMES)


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_equal_states_have_equal_rows_whatever_the_order_of_their_keys(shape: Shape[Any]) -> None:
    state = state_of(shape, filled=True)
    mappings = [
        field.name
        for field in dataclasses.fields(state)
        if isinstance(getattr(state, field.name), dict)
    ]
    for name in mappings:
        turned = dict(reversed(getattr(state, name).items()))
        assert shape.dump(dataclasses.replace(state, **{name: turned})) == shape.dump(state)
