import pytest

from tallystick.api.queries import Query, read_all
from tallystick.errors import InvalidError

DECLARED = (
    Query(name="limit", kind=int, default=100, minimum=1, maximum=1000, description=""),
    Query(name="wait", kind=bool, default=False, description=""),
    Query(name="status", choices=("ready", "running"), description=""),
    Query(name="q", description=""),
)


def test_values_are_read_and_defaults_filled_in() -> None:
    values, unknown = read_all(DECLARED, [("limit", "5"), ("wait", "True"), ("x", "1")])
    assert values == {"limit": 5, "wait": True, "status": None, "q": None}
    assert unknown == ["x"]


@pytest.mark.parametrize(
    "pair",
    [
        ("limit", "-1"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "1.5"),
        ("limit", ""),
        ("limit", "٣"),
        ("limit", "9" * 30),
        ("wait", "perhaps"),
        ("status", "banana"),
        ("q", "\x00"),
        ("q", "x" * 513),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidError) as caught:
        read_all(DECLARED, [pair])
    assert caught.value.facts["parameter"] == pair[0]
    assert "expected" in caught.value.detail


def test_a_parameter_that_comes_twice_is_refused() -> None:
    with pytest.raises(InvalidError) as caught:
        read_all(DECLARED, [("limit", "1"), ("limit", "2")])
    assert caught.value.code == "parameter_repeated"


def test_a_required_parameter_is_asked_for() -> None:
    with pytest.raises(InvalidError) as caught:
        read_all((Query(name="offset", kind=int, required=True, description=""),), [])
    assert caught.value.code == "parameter_missing"
