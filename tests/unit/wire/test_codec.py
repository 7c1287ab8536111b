"""Dataclass to JSON and back, strict on the way in."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tallystick.errors import InvalidError
from tallystick.wire import codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    word: Literal["a", "b"] = "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    count: int
    share: float = 0.0
    flag: bool = False
    name: str | None = None
    mixed: int | str = 0
    parts: tuple[Inner, ...] = ()
    table: dict[str, int] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    anything: Any = None


FULL = Outer(
    count=2,
    share=0.5,
    flag=True,
    name="ü☂",
    mixed="x",
    parts=(Inner(), Inner(word="b")),
    table={"k": 1},
    inner=Inner(word="b"),
    anything=[1, {"x": None}],
)


@pytest.mark.parametrize("value", [FULL, Outer(count=0)])
def test_a_value_comes_back_as_it_was(value: Outer) -> None:
    raw = codec.dumps(value)
    assert b"\n" not in raw
    assert codec.from_json(Outer, json.loads(raw)) == value


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "body: expected an object, found []"),
        ({}, "body.count: required, but missing"),
        ({"count": 1, "cuont": 2}, "body.cuont: unknown field; known: count"),
        ({"count": "1"}, 'body.count: expected int, found "1"'),
        ({"count": True}, "body.count: expected int, found true"),
        ({"count": 1.0}, "body.count: expected int, found 1.0"),
        ({"count": None}, "body.count: expected int, found null"),
        ({"count": 1, "share": "x"}, "body.share: expected float"),
        ({"count": 1, "share": True}, "body.share: expected float"),
        ({"count": 1, "share": 10**400}, "body.share: expected a number"),
        ({"count": 1, "flag": 1}, "body.flag: expected bool"),
        ({"count": 1, "name": 5}, "body.name: expected str, found 5"),
        ({"count": 1, "mixed": True}, "body.mixed: expected"),
        ({"count": 1, "parts": {}}, "body.parts: expected an array"),
        ({"count": 1, "parts": [{"word": "c"}]}, "body.parts[0].word: expected one of a, b"),
        ({"count": 1, "parts": [{}, 5]}, "body.parts[1]: expected an object"),
        ({"count": 1, "table": {"k": "v"}}, "body.table.k: expected int"),
        ({"count": 1, "table": []}, "body.table: expected an object"),
        ({"count": 1, "inner": {"x": 1}}, "body.inner.x: unknown field"),
        ({"count": "x" * 500}, "..."),
        ({"count": "\ud800"}, "body.count: expected int"),
    ],
)
def test_the_first_wrong_field_is_named(document: Any, words: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        codec.from_json(Outer, document)
    assert words in refusal.value.detail
    assert len(refusal.value.detail.encode()) < 400


def test_a_whole_number_is_welcome_where_a_fraction_is_meant() -> None:
    share = codec.from_json(Outer, {"count": 1, "share": 2}).share
    assert (share, type(share)) == (2.0, float)
