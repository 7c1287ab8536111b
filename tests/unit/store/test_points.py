import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.store.points import (
    MOST_POINTS,
    Table,
    latest,
    number,
    read_lines,
    shown,
    step_of,
    thin,
)


def table_of(*lines: str) -> Table:
    table = Table()
    read_lines(table, [f"{line}\n".encode() for line in lines])
    return table


def test_numbers_are_neither_scaled_nor_rounded() -> None:
    table = table_of('{"step":1,"accuracy":1.4,"loss":0.123456789012345}')
    assert table.series == {"accuracy": [(1, 1.4)], "loss": [(1, 0.123456789012345)]}


@pytest.mark.parametrize("key", ["step", "_step", "global_step", "trainer/global_step"])
def test_every_name_of_the_step_is_known(key: str) -> None:
    assert step_of({key: 7, "loss": 1}) == (key, 7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ('"NaN"', "NaN"),
        ('"Infinity"', "Infinity"),
        ('"-Infinity"', "-Infinity"),
        ("1e999", "Infinity"),
    ],
)
def test_what_is_not_finite_stays_visible(text: str, told: str) -> None:
    assert latest(table_of(f'{{"loss":{text}}}')) == {"loss": told}


def test_steps_keep_their_order_and_repetitions() -> None:
    table = table_of('{"step":5,"a":1}', '{"step":2,"a":2}', '{"step":5,"a":3}')
    assert table.series["a"] == [(5, 1), (2, 2), (5, 3)]


def test_a_row_without_a_step_is_placed_by_its_position_and_counted() -> None:
    table = table_of('{"a":1}', '{"step":9,"a":2}', '{"a":3}')
    assert table.series["a"] == [(0, 1), (9, 2), (2, 3)]
    assert table.unstepped == 2


def test_lines_that_are_no_objects_are_counted() -> None:
    table = table_of('{"a":1}', '{"a":', "[1]", "", "null")
    assert (table.rows, table.unread) == (1, 3)


def test_keys_without_numbers_are_named() -> None:
    table = table_of('{"a":1,"note":"x","flag":true,"deep":{"b":1}}')
    assert list(table.other) == ["note", "flag", "deep"]


@given(st.integers() | st.floats())
def test_every_number_can_be_told_in_json(value: float) -> None:
    read = number(value)
    assert read is not None
    told = shown(read)
    assert isinstance(told, str) == (not math.isfinite(read))
    if isinstance(value, float):
        assert told == value or not math.isfinite(value)


LONG = 2 * MOST_POINTS


@settings(deadline=None)  # a busy machine is no fault
@given(st.dictionaries(st.integers(0, LONG - 1), st.floats(), max_size=30))
def test_thinning_keeps_ends_extremes_and_something_that_is_not_finite(
    changed: dict[int, float],
) -> None:
    values = [changed.get(index, 0.5) for index in range(LONG)]
    points = list(enumerate(values))
    kept, fewer = thin(points)
    assert fewer
    assert len(kept) <= MOST_POINTS
    assert [kept[0][0], kept[-1][0]] == [0, len(points) - 1]
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        told = [value for _, value in kept if math.isfinite(value)]
        assert (min(told), max(told)) == (min(finite), max(finite))
    if len(finite) < len(values):
        assert any(not math.isfinite(value) for _, value in kept)


def test_one_spike_among_many_survives() -> None:
    points = [(step, 1.0) for step in range(100_000)]
    points[54_321] = (54_321, 99.0)
    assert (54_321, 99.0) in thin(points)[0]


def test_a_short_series_is_given_whole() -> None:
    points = [(step, float(step)) for step in range(MOST_POINTS)]
    assert thin(points) == (points, False)
