import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.api import answers
from tallystick.domain.params import LARGEST_WHOLE, decode, encode
from tallystick.errors import InvalidError
from tallystick.ledger.canonical import canonical

NUMBERS = r"-?[0-9]{1,40}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,4})?"
NAMES = st.text([chr(code) for code in range(0x20, 0x7F)], min_size=1, max_size=12)
VALUES = (
    st.text(max_size=20)
    | st.integers(-LARGEST_WHOLE, LARGEST_WHOLE)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["12", "-1.5", "1e5", "'x", "''", "'1", "1e999", "0x1", "nan", ".5", "5."])
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_parameters_come_back_as_they_were_sent(params: dict[str, object]) -> None:
    back = decode(encode(params))  # type: ignore[arg-type]
    assert back == params
    assert {name: type(value) for name, value in back.items()} == {
        name: type(value) for name, value in params.items()
    }


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_parameters_survive_the_ledger_and_the_answer(params: dict[str, object]) -> None:
    shown = json.loads(answers.encode(decode(encode(params))))  # type: ignore[arg-type]
    assert shown == params


STORED = (
    st.text(max_size=20) | st.integers() | st.booleans() | st.from_regex(NUMBERS, fullmatch=True)
)


@given(st.dictionaries(NAMES, STORED, max_size=6))
@example({"n": "1" + "0" * 30})
@example({"n": "-1" + "0" * 5_000})
@example({"n": "1e999"})
def test_whatever_an_entry_holds_can_be_answered(stored: dict[str, object]) -> None:
    decoded = decode(stored)
    assert json.loads(orjson.dumps(decoded)) == decoded


@pytest.mark.parametrize("number", [10**30, 2**63, -(2**63), -(10**30)])
def test_a_number_beyond_64_bits_is_refused_and_as_text_it_is_kept(number: int) -> None:
    with pytest.raises(InvalidError, match="64 bits") as caught:
        encode({"n": number})
    assert caught.value.code == "params_invalid"
    assert decode(encode({"n": str(number)})) == {"n": str(number)}


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_what_is_encoded_can_stand_in_an_entry(params: dict[str, object]) -> None:
    canonical(encode(params))  # type: ignore[arg-type]


def test_ordinary_parameters_are_readable_in_the_ledger() -> None:
    assert encode({"lr": 0.01, "seed": 3, "data.path": "mnist"}) == {
        "lr": "0.01",
        "seed": 3,
        "data.path": "mnist",
    }
    assert encode({"batch-size": 32, "Model/Depth": 2}) == {"batch-size": 32, "Model/Depth": 2}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"a": float("inf")}, "not_finite"),
        ({"a": float("nan")}, "not_finite"),
        ({"": 1}, "params_invalid"),
        ({"a\nb": 1}, "params_invalid"),
        ({"größe": 1}, "params_invalid"),
        ({"a" * 129: 1}, "params_invalid"),
        ({"a": "x" * 4_000}, "params_too_large"),
    ],
)
def test_what_cannot_be_a_parameter_is_refused(params: dict[str, float], code: str) -> None:
    with pytest.raises(InvalidError) as caught:
        encode(params)
    assert caught.value.code == code
