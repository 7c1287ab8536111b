import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.store.thinning import BUCKETS, MOST_POINTS, chosen

LONG = 2 * MOST_POINTS


@settings(deadline=None)  # a busy machine is no fault
@given(st.dictionaries(st.integers(0, LONG - 1), st.floats(), max_size=30))
def test_thinning_keeps_ends_extremes_and_something_that_is_not_finite(
    changed: dict[int, float],
) -> None:
    values = np.full(LONG, 0.5)
    for place, value in changed.items():
        values[place] = value
    places = chosen(values)
    assert len(places) <= MOST_POINTS
    assert [places[0], places[-1]] == [0, LONG - 1]
    assert (np.diff(places) > 0).all()
    finite = values[np.isfinite(values)]
    told = values[places]
    if len(finite):
        seen = told[np.isfinite(told)]
        assert (seen.min(), seen.max()) == (finite.min(), finite.max())
    if len(finite) < LONG:
        assert not np.isfinite(told).all()


def test_one_spike_among_many_survives() -> None:
    values = np.ones(100_000)
    values[54_321] = 99.0
    assert 54_321 in chosen(values)


def test_a_series_of_nothing_but_nan_is_told() -> None:
    assert len(chosen(np.full(10_000, math.nan))) == BUCKETS + 1


def test_whole_numbers_are_thinned_like_others() -> None:
    values = np.zeros(10_000, dtype=np.int64)
    values[4_444] = -(2**60)
    assert 4_444 in chosen(values)
