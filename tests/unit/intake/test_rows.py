import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake.batch import UNTIMED, Batch, number, shown
from tallystick.intake.rows import read, step_of


def batch_of(*lines: str, rows: int = 0) -> Batch:
    return read("".join(f"{line}\n" for line in lines).encode(), rows=rows, final=False)


def points(batch: Batch, name: str) -> list[tuple[float, float]]:
    column = batch.columns[name]
    return list(zip(column.steps, column.values, strict=True))


def last(batch: Batch) -> dict[str, object]:
    return {name: shown(column.values[-1]) for name, column in batch.columns.items()}


def test_numbers_are_neither_scaled_nor_rounded() -> None:
    batch = batch_of('{"step":1,"accuracy":1.4,"loss":0.123456789012345}')
    assert points(batch, "accuracy") == [(1, 1.4)]
    assert points(batch, "loss") == [(1, 0.123456789012345)]


@pytest.mark.parametrize("key", ["step", "_step", "global_step", "trainer/global_step"])
def test_every_name_of_the_step_is_known(key: str) -> None:
    assert step_of({key: 7, "loss": 1}) == (key, 7)


def test_beside_a_step_of_ours_a_metric_may_be_called_step() -> None:
    batch = batch_of('{"step":100,"_step":7,"loss":1}')
    assert points(batch, "step") == [(7, 100)]
    assert points(batch, "loss") == [(7, 1)]


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
    assert last(batch_of(f'{{"loss":{text}}}')) == {"loss": told}


def test_steps_keep_their_order_and_repetitions() -> None:
    batch = batch_of('{"step":5,"a":1}', '{"step":2,"a":2}', '{"step":5,"a":3}')
    assert points(batch, "a") == [(5, 1), (2, 2), (5, 3)]


def test_a_row_without_a_step_is_placed_by_its_position_and_counted() -> None:
    batch = batch_of('{"a":1}', '{"step":9,"a":2}', '{"a":3}', rows=100)
    assert points(batch, "a") == [(100, 1), (9, 2), (102, 3)]
    assert batch.unstepped == 2


def test_the_time_of_a_row_is_no_metric() -> None:
    batch = batch_of('{"_timestamp":1700000000.25,"a":1}', '{"a":2}', '{"_timestamp":"x","a":3}')
    assert batch.columns["a"].times == [1_700_000_000_250, UNTIMED, UNTIMED]
    assert (list(batch.columns), list(batch.other)) == (["a"], ["_timestamp"])


def test_a_summary_is_noted_and_is_no_point() -> None:
    batch = batch_of('{"_summary":{"best":0.9,"note":"x"}}', '{"_summary":{"best":0.8}}')
    assert batch.notes == {("summary", "best"): 0.8, ("summary", "note"): "x"}
    assert not batch.columns


def test_lines_that_are_no_objects_are_counted() -> None:
    batch = batch_of('{"a":1}', '{"a":', "[1]", "", "null")
    assert (batch.rows, batch.unread) == (1, 3)


def test_keys_without_numbers_are_named() -> None:
    batch = batch_of('{"a":1,"note":"x","flag":true,"deep":{"b":1}}')
    assert list(batch.other) == ["note", "flag", "deep"]


def test_a_line_that_is_still_written_is_left_for_later() -> None:
    content = b'{"a":1}\n{"a":2'
    for final in (False, True):  # a writer may be seen in the middle of a line after the end, too
        batch = read(content, rows=0, final=final)
        assert (batch.used, batch.rows, batch.unread) == (8, 1, 0)
    assert read(content + b"}", rows=0, final=False).used == 8
    assert read(content + b"}", rows=0, final=True).rows == 2


@given(st.integers() | st.floats())
def test_every_number_can_be_told_in_json(value: float) -> None:
    found = number(value)
    assert found is not None
    told = shown(found)
    assert isinstance(told, str) == (not math.isfinite(found))
    if isinstance(value, float):
        assert told == value or not math.isfinite(value)


@given(st.binary(max_size=300), st.booleans())
def test_noise_is_counted_and_never_a_fault(content: bytes, final: bool) -> None:
    batch = read(content, rows=0, final=final)
    assert 0 <= batch.used <= len(content)
    assert batch.rows + batch.unread <= content.count(b"\n") + 1
