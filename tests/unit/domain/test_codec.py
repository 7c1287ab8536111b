"""Events to entry data and back: any event survives, nothing else is let in."""

import dataclasses
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.domain.codec import EVENT_TYPES, decode, encode
from tallystick.domain.events import Event, RunRegistered
from tallystick.domain.ids import Text
from tallystick.domain.sweep_events import SweepCreated
from tallystick.errors import CorruptLedgerError
from tallystick.ledger.canonical import canonical
from tallystick.ledger.entry import MAX_DATA_BYTES
from tests.unit.domain.states import SAMPLES, text

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
KEYS = st.from_regex(r"[a-z0-9_.]{1,12}", fullmatch=True)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Everything that a field of this type can hold in the ledger."""
    hint = getattr(hint, "__supertype__", hint)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(values(arg) for arg in get_args(hint)))
    if hint is Text:
        return st.builds(Text, DIGESTS, st.integers(0, 2**40))
    if dataclasses.is_dataclass(hint):
        return built(hint)
    if get_origin(hint) is tuple:
        return st.lists(WORDS, max_size=4).map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(KEYS, st.one_of(WORDS, NUMBERS, st.booleans()), max_size=5)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: WORDS,
        int: NUMBERS,
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[hint]


def built(shape: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(shape)
    return st.builds(
        shape, **{item.name: values(hints[item.name]) for item in dataclasses.fields(shape)}
    )


@pytest.mark.parametrize("name", EVENT_TYPES)
@settings(max_examples=30)
@given(data=st.data())
def test_any_event_survives_the_ledger(name: str, data: st.DataObject) -> None:
    event: Event = data.draw(built(EVENT_TYPES[name]))
    written = encode(event)
    raw = orjson.dumps(written, option=orjson.OPT_SORT_KEYS)
    assert raw == canonical(written)
    again = decode(name, orjson.loads(raw))
    assert again == event
    assert type(again) is type(event)
    assert encode(again) == written


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_sample_of_every_type_fits_into_an_entry_and_says_nothing_empty(name: str) -> None:
    written = encode(SAMPLES[name])
    assert len(canonical(written)) <= MAX_DATA_BYTES
    assert None not in written.values()
    assert decode(name, written) == SAMPLES[name]


def test_what_is_absent_is_left_out_and_what_is_required_is_not() -> None:
    event = SweepCreated(name=text("s"), wild=False)
    assert encode(event) == {"name": {"c": text("s").c, "n": 1}, "wild": False}


def test_true_and_one_stay_apart() -> None:
    event = RunRegistered(
        name=text("n"), command=text("c"), workdir=text("w"), params={"a": True, "b": 1}
    )
    again = decode("run.registered", orjson.loads(orjson.dumps(encode(event))))
    assert isinstance(again, RunRegistered)
    assert [type(value) for value in again.params.values()] == [bool, int]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("run.dreamt", {}),
        ("run.queued", {"extra": 1}),
        ("policy.set", {"session": "enforce"}),
        ("policy.set", {"session": "perhaps", "sweep": "warn"}),
        ("sweep.created", {"name": "not a commitment", "wild": True}),
        ("sweep.created", {"name": {"c": "aa"}, "wild": True}),
        ("attempt.assigned", {"attempt": "a", "number": 1, "backend": "b", "run_token": 5}),
        ("run.queued", ["a", "list"]),
        ("run.queued", "text"),
        ("run.queued", None),
    ],
)
def test_what_no_release_ever_wrote_is_corruption(name: str, data: Any) -> None:
    with pytest.raises(CorruptLedgerError) as corrupt:
        decode(name, data)
    assert repr(name) in corrupt.value.detail


def test_an_unknown_type_asks_for_an_upgrade() -> None:
    with pytest.raises(CorruptLedgerError) as corrupt:
        decode("run.dreamt", {})
    assert corrupt.value.hint is not None
    assert "upgrade" in corrupt.value.hint


def test_type_names_are_unique_and_of_the_form_noun_verb() -> None:
    assert len(EVENT_TYPES) == len(get_args(Event))
    for name in EVENT_TYPES:
        noun, verb = name.split(".")
        assert noun.islower()
        assert verb.islower()
