"""A stored fact never makes an answer fail, whatever it is."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.api.answers import encode
from tallystick.api.problems import answer
from tallystick.errors import InvalidError

ANY_TEXT = st.text(st.characters(codec=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_everything_that_can_be_stored_can_be_answered(value: Any) -> None:
    json.loads(encode({"value": value}))


@dataclass
class View:
    name: str
    number: int


@pytest.mark.parametrize("digits", [30, 5_000])
def test_what_json_cannot_carry_is_told_as_text(digits: int) -> None:
    number = -(10**digits)
    told = json.loads(encode([View("a\ud800b", number)]))
    assert told == [{"name": "a?b", "number": hex(number)}]


def test_a_problem_with_odd_facts_is_told_too() -> None:
    problem = answer(InvalidError("no", found=2**70, name="\udc00"))
    assert json.loads(bytes(problem.body))["name"] == "?"
