import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake.batch import UNTIMED, Column
from tallystick.store.columns import blocks_of, joined, pack, unpack

NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats()
TIMES = st.just(UNTIMED) | st.integers(0, 2**50)


def same(first: float, second: float) -> bool:
    """Equal, NaN like NaN, and a whole number never rounded."""
    return first == second or (math.isnan(first) and math.isnan(second))


def column_of(points: list[tuple[float, float, int]]) -> Column:
    steps, values, times = zip(*points, strict=True)
    return Column(list(steps), list(values), list(times))


POINTS = st.lists(st.tuples(NUMBERS, NUMBERS, TIMES), min_size=1, max_size=30)


@given(POINTS)
def test_every_number_comes_back_as_it_was_logged(points: list[tuple[float, float, int]]) -> None:
    blocks = [unpack(pack(block)) for block in blocks_of(column_of(points))]
    back = [
        point
        for block in blocks
        for point in zip(
            block.steps.tolist(), block.values.tolist(), block.times.tolist(), strict=True
        )
    ]
    assert len(back) == len(points)
    for found, logged in zip(back, points, strict=True):
        assert all(same(one, other) for one, other in zip(found, logged, strict=True))


@given(POINTS, POINTS)
def test_blocks_are_joined_only_where_no_number_changes(
    first: list[tuple[float, float, int]], second: list[tuple[float, float, int]]
) -> None:
    one, other = list(blocks_of(column_of(first)))[-1], next(iter(blocks_of(column_of(second))))
    whole = joined(one, other)
    if whole is not None:
        expected = one.values.tolist() + other.values.tolist()
        assert all(same(a, b) for a, b in zip(whole.values.tolist(), expected, strict=True))


def test_ordinary_numbers_make_one_block() -> None:
    column = Column([1, 2, 3], [1, 2.5, math.nan], [UNTIMED] * 3)
    assert len(list(blocks_of(column))) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\x00\x01\x00\x00\x00", b"\x07\x02\x00\x00\x00" + b"\x00" * 40]
)
def test_bytes_that_are_no_segment_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="a segment"):
        unpack(content)
