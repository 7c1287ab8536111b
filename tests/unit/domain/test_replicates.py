"""Means and intervals, against the tables of Student's t that textbooks print."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain.replicates import estimate, quantile, within

PRINTED = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 10: 2.228, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize(("freedom", "printed"), PRINTED.items())
def test_quantiles_are_those_of_the_printed_tables(freedom: int, printed: float) -> None:
    assert quantile(freedom) == pytest.approx(printed, abs=5e-4)


def test_one_degree_of_freedom_is_the_cauchy_distribution() -> None:
    for t in (0.1, 1.0, 5.0):
        assert within(t, 1) == pytest.approx(2 / math.pi * math.atan(t))


def test_one_number_has_a_mean_and_no_spread() -> None:
    found = estimate([0.5])
    assert found is not None
    assert (found.n, found.mean, found.sd, found.interval) == (1, 0.5, None, None)


def test_what_is_not_finite_is_left_out_and_counted_in_no_n() -> None:
    found = estimate([1.0, math.nan, 3.0, math.inf])
    assert found is not None
    assert (found.n, found.mean) == (2, 2.0)
    assert estimate([math.nan]) is None
    assert estimate([]) is None


def test_numbers_too_large_to_be_added_have_no_estimate() -> None:
    assert estimate([1e308, 1e308, -1e308]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_the_interval_is_around_the_mean_and_as_wide_as_the_formula_says(
    values: list[float],
) -> None:
    found = estimate(values)
    assert found is not None
    assert found.interval is not None
    low, high = found.interval
    half = quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    assert low <= found.mean <= high
    assert high - low == pytest.approx(2 * half, rel=1e-6, abs=1e-6)
