import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain.axes import Axis, as_sent, axis_of, draw_bytes, identity, read_axis, text_of
from tallystick.errors import InvalidError
from tallystick.ledger.canonical import canonical

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def values(given: Any) -> list[Any]:
    return list(read_axis("x", given).values)


def refusal(given: Any) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        read_axis("x", given)
    return caught.value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"min": 0.1, "max": 0.5, "step": 0.1}, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"min": 0, "max": 1, "step": 0.3}, [0.0, 0.3, 0.6, 0.9]),
        ({"min": 32, "max": 128, "step": 32}, [32, 64, 96, 128]),
        ({"min": 32, "max": 127, "step": 32}, [32, 64, 96]),
        ({"min": -1, "max": 1, "step": 1}, [-1, 0, 1]),
        ({"min": 5, "max": 5, "step": 1}, [5]),
        ({"min": 1e-3, "max": 1e-2, "step": 3e-3}, [0.001, 0.004, 0.007, 0.01]),
        ({"min": 1e-5, "max": 1e-1, "num": 5, "scale": "log"}, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        ({"min": 1, "max": 1000, "num": 4, "scale": "log", "type": "int"}, [1, 10, 100, 1000]),
        ({"min": 0, "max": 1, "num": 5}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"min": 0, "max": 10, "num": 6}, [0, 2, 4, 6, 8, 10]),
        ({"values": [3, "a", True]}, [3, "a", True]),
        ([0.1, "b", False, -2], [0.1, "b", False, -2]),
        ("one", ["one"]),
    ],
)
def test_the_values_are_exactly_those_that_people_expect(given: Any, expected: list[Any]) -> None:
    found = values(given)
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@given(
    low=st.integers(-10_000, 10_000), step=st.integers(1, 500), count=st.integers(1, 60),
    places=st.integers(0, 6),
)  # fmt: skip
def test_steps_are_decimal_and_the_last_is_included_when_it_is_hit(
    low: int, step: int, count: int, places: int
) -> None:
    unit = 10**places
    written = [float(Fraction(low + step * k, unit)) for k in range(count)]
    given = {"min": written[0], "max": written[-1], "step": float(Fraction(step, unit))}
    assert values(given) == written
    assert not any("00000000000" in repr(value) for value in written)


@given(low=st.floats(1e-12, 1e3), ratio=st.floats(1.5, 1e9), count=st.integers(2, 40))
def test_a_logarithmic_range_keeps_its_ends_and_one_ratio(
    low: float, ratio: float, count: int
) -> None:
    found = values({"min": low, "max": low * ratio, "num": count, "scale": "log"})
    assert (found[0], found[-1], len(found)) == (low, low * ratio, count)
    steps = [math.log(after / before) for before, after in pairwise(found)]
    assert all(math.isclose(step, math.log(ratio) / (count - 1), rel_tol=1e-9) for step in steps)


@pytest.mark.parametrize(
    ("same", "other"),
    [(1, 1.0), (1, "1"), (1.0, "1"), (1.0, "1.0"), (1e-5, "1e-05"), (True, "True"), (0, -0.0)],
)
def test_values_that_make_the_same_configuration_are_refused(same: Any, other: Any) -> None:
    for pair in ([same, other], [other, same], [same, "between", other]):
        error = refusal(pair)
        assert error.code == "duplicate_value"
        assert "seeds" in (error.hint or "")


@pytest.mark.parametrize(
    "distinct", [[1, "01"], [1, True], ["a", "A"], ["true", True], [0.1, ".1"], ["", " "]]
)
def test_values_that_are_told_apart_in_a_command_are_kept(distinct: list[Any]) -> None:
    assert values(distinct) == distinct


@given(st.lists(st.one_of(st.text(max_size=3), st.integers(-3, 3), FINITE, st.booleans())))
def test_sameness_is_an_equivalence_that_equal_texts_and_equal_numbers_have(
    found: list[Any],
) -> None:
    for first in found:
        for second in found:
            numbers = all(type(value) in {int, float} for value in (first, second))
            alike = text_of(first) == text_of(second) or (numbers and first == second)
            if alike:
                assert identity(first) == identity(second)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "parameters_invalid"),
        (None, "parameters_invalid"),
        ([None], "parameters_invalid"),
        ([[1, 2]], "parameters_invalid"),
        ({"a": 1}, "parameters_invalid"),
        ({}, "parameters_invalid"),
        ("a\x00b", "parameters_invalid"),
        ({"min": 1, "max": 0, "step": 1}, "parameters_invalid"),
        ({"min": 0, "max": 1, "step": 0}, "parameters_invalid"),
        ({"min": 0, "max": 1, "step": -1}, "parameters_invalid"),
        ({"min": 0, "max": 1, "num": 1}, "parameters_invalid"),
        ({"min": 0, "max": 1, "num": 2.0}, "parameters_invalid"),
        ({"min": 0, "max": 1, "num": 3, "step": 1}, "parameters_invalid"),
        ({"min": 0, "max": 1, "num": 3, "scale": "log"}, "parameters_invalid"),
        ({"min": 0, "max": 1, "num": 3, "scale": "square"}, "parameters_invalid"),
        ({"min": "0", "max": 1, "step": 1}, "parameters_invalid"),
        ({"min": True, "max": 2, "step": 1}, "parameters_invalid"),
        ({"min": 0.5, "max": 2, "type": "int"}, "parameters_invalid"),
        ({"min": 1, "max": 3, "num": 9, "type": "int"}, "duplicate_value"),
        ({"min": 1.0, "max": 1.0000000000000004, "num": 10}, "duplicate_value"),
        ({"min": 0, "max": 1, "step": 1e-9}, "space_too_large"),
        ({"min": 0, "max": 1, "num": 10**9}, "space_too_large"),
        (float("nan"), "not_finite"),
        ({"min": 0, "max": float("inf"), "step": 1}, "not_finite"),
        ([2**70], "params_invalid"),
    ],
)
def test_what_is_no_parameter_is_refused_and_named(given: Any, code: str) -> None:
    error = refusal(given)
    assert error.code == code
    assert "x" in error.detail


DECLARED = st.one_of(
    st.integers(-(2**60), 2**60),
    FINITE,
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    st.lists(st.integers(), min_size=1, max_size=5, unique=True).filter(
        lambda found: all(abs(value) < 2**62 for value in found)
    ),
    st.builds(lambda low, n: {"min": low, "max": low + n, "step": 0.5}, FINITE, st.integers(0, 9))
    .filter(lambda found: found["max"] - found["min"] < 10 and abs(found["min"]) < 1e6),
    st.builds(lambda n: {"min": 1e-4, "max": 1, "num": n, "scale": "log"}, st.integers(2, 9)),
    st.just({"min": 1, "max": 9, "type": "int"}),
)  # fmt: skip


@given(DECLARED)
def test_a_parameter_comes_back_from_the_ledger_as_it_was_sent(sent: Any) -> None:
    axis = read_axis("x", sent)
    canonical(axis.declared)
    assert as_sent(axis.declared) == sent
    assert axis_of(axis.declared) == axis


def drawn(given: Any, count: int = 400) -> list[Any]:
    axis: Axis = read_axis("x", given)
    return [axis.draw(draw_bytes(7, draw, "x")) for draw in range(count)]


def test_what_is_drawn_lies_in_its_range_and_fills_it() -> None:
    linear = drawn({"min": -1, "max": 3})
    assert -1 <= min(linear) < -0.9
    assert 2.9 < max(linear) <= 3
    log = drawn({"min": 1e-5, "max": 1e-1, "scale": "log"})
    decades = {math.floor(math.log10(value)) for value in log}
    assert decades == {-5, -4, -3, -2}
    assert 60 < sum(value < 1e-4 for value in log) < 140
    whole = drawn({"min": 1, "max": 4, "type": "int"})
    assert set(whole) == {1, 2, 3, 4}
    both = drawn({"min": 1, "max": 64, "type": "int", "scale": "log"})
    assert {1, 64} < set(both) <= set(range(1, 65))
    assert 120 < sum(value < 8 for value in both) < 280
    assert set(drawn(["a", "b", 3])) == {"a", "b", 3}


def test_generator_1_draws_the_same_for_ever() -> None:
    assert draw_bytes(0, 0, "lr").hex().startswith(FIRST_BYTES)
    assert drawn({"min": 0, "max": 1}, 3) == LINEAR
    assert drawn({"min": 1e-5, "max": 1e-1, "scale": "log"}, 3) == LOGARITHMIC
    assert drawn({"min": 1, "max": 1000, "type": "int"}, 4) == WHOLE
    assert drawn({"min": 1, "max": 1000, "type": "int", "scale": "log"}, 4) == WHOLE_LOG
    assert drawn(["a", "b", "c"], 6) == CHOSEN


FIRST_BYTES = "2779b9a0cb23c5ea"
LINEAR = [0.32779547976198664, 0.1086643288580369, 0.09508013895239209]
LOGARITHMIC = [0.00020473020393834633, 2.72055377973203e-05, 2.4006041680626883e-05]
WHOLE = [937, 604, 552, 890]
WHOLE_LOG = [9, 2, 1, 721]
CHOSEN = ["c", "a", "c", "a", "b", "c"]
