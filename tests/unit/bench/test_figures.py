import math

import pytest

from bench.figures import Figure, Row, at_least, at_most, number, over, percentile, table


def test_a_figure_shows_its_median_and_its_range() -> None:
    assert str(Figure((3.0, 1.0, 2.0), "ms")) == "2.00 ms [1.00..3.00]"


def test_a_figure_of_one_repeat_says_so() -> None:
    assert str(Figure((1234.4,), "/s")) == "1,234 /s (n=1)"


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    slow_then_quick = Figure((2.0, 20.0, 2.0), "ms")
    floor = Figure((1.0, 10.0, 1.0), "ms")

    assert over(slow_then_quick, floor).values == (2.0, 2.0, 2.0)


def test_figures_with_other_numbers_of_repeats_are_compared_by_their_medians() -> None:
    assert over(Figure((6.0, 2.0, 4.0), "ms"), Figure((2.0,), "ms")).values == (2.0,)


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (at_least(0.45), "met"),
        (at_least(0.55), "**missed**"),
        (at_most(0.5), "met"),
        (at_most(0.4), "**missed**"),
    ],
)
def test_a_target_is_judged_by_the_ratio(target: object, verdict: str) -> None:
    row = Row(
        what="creates",
        figure=Figure((50.0,), "/s"),
        floor="echo",
        floor_figure=Figure((100.0,), "/s"),
        target=target,  # type: ignore[arg-type]
    )

    assert row.verdict == verdict


def test_what_was_not_measured_is_said_and_neither_met_nor_missed() -> None:
    row = Row(what="creates", figure=None, target=at_least(1), note="MLflow is not installed")

    assert row.verdict == "not measured"
    assert "creates (MLflow is not installed) | not measured |" in table([row])


def test_a_table_shows_the_worst_foreign_cpu_of_a_row() -> None:
    row = Row(
        what="x",
        figure=Figure((1.0,), "s", 0.1),
        floor="y",
        floor_figure=Figure((1.0,), "s", 0.75),
    )

    assert table([row]).endswith("| 0.75 |\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (99_999.4, "99,999"), (math.nan, "?")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_99th_percentile_of_a_hundred_values_is_the_last_but_one() -> None:
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99.0
    assert percentile([7.0], 0.99) == 7.0
