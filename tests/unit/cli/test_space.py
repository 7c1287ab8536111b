from typing import Any

import pytest

from tallystick.cli.output import UsageError
from tallystick.cli.space import parameters_of, points_of, seeds_of
from tallystick.domain.plan import Declaration, declare


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=0.1", 0.1),
        ("x=adam", "adam"),
        ("x=", ""),
        ("x=true", True),
        ("x=0.1,0.01", [0.1, 0.01]),
        ("x=a,", ["a"]),
        ("x=a,b c,3", ["a", "b c", 3]),
        ("x=32:128:32", {"min": 32, "max": 128, "step": 32}),
        ("x=-1:1:0.5", {"min": -1, "max": 1, "step": 0.5}),
        ("x=log:1e-5:1e-1:5", {"min": 1e-5, "max": 0.1, "num": 5, "scale": "log"}),
        ("x=lin:0:1:5", {"min": 0, "max": 1, "num": 5}),
        ("x=0:1", {"min": 0, "max": 1}),
        ("x=log:1e-5:1e-1", {"min": 1e-5, "max": 0.1, "scale": "log"}),
        ("x=int:1:8", {"min": 1, "max": 8, "type": "int"}),
        ("x=int:log:1:64", {"min": 1, "max": 64, "scale": "log", "type": "int"}),
        ("x=http://host:80/a", "http://host:80/a"),
        ("x=12:30 today", "12:30 today"),
        ('x=["a,b", 1]', ["a,b", 1]),
        ('x="0.1"', "0.1"),
        ('x={"min": 0, "max": 1, "num": 3}', {"min": 0, "max": 1, "num": 3}),
        ("x=a=b", "a=b"),
    ],
)
def test_an_option_is_read_as_what_it_looks_like(text: str, expected: Any) -> None:
    (found,) = parameters_of([text]).values()
    assert found == expected
    assert type(found) is type(expected)


def test_options_keep_their_order_and_make_a_space() -> None:
    found = parameters_of(["b=1,2", "a=0.1:0.3:0.1"])
    points = list(declare(Declaration(parameters=found)).points())
    assert [tuple(point.items()) for point in points[:2]] == [
        (("b", 1), ("a", 0.1)),
        (("b", 1), ("a", 0.2)),
    ]


@pytest.mark.parametrize("pair", ["x", "=1", "x=[1", "x=log:a:b:3"])
def test_what_is_no_parameter_is_refused_with_the_forms(pair: str) -> None:
    with pytest.raises(UsageError) as caught:
        parameters_of([pair])
    assert "MIN:MAX:STEP" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="once"):
        parameters_of(["a=1", "a=2"])


def test_seeds_are_a_number_or_a_list() -> None:
    assert (seeds_of(None), seeds_of("3"), seeds_of("1,7"), seeds_of("4,")) == (
        None,
        3,
        [1, 7],
        [4],
    )
    with pytest.raises(UsageError):
        seeds_of("many")


def test_points_are_one_object_a_line() -> None:
    assert points_of(['{"a": 1}\n', "\n", '{"b": 2}']) == [{"a": 1}, {"b": 2}]
    for line in ("{", "[1]", "3"):
        with pytest.raises(UsageError, match="line 2"):
            points_of(["{}", line])
