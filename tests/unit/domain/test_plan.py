import hashlib
import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain import plan as plans
from tallystick.domain.axes import identity
from tallystick.domain.demands import Demands
from tallystick.domain.ids import Text
from tallystick.domain.params import decode, encode
from tallystick.domain.plan import Declaration, Space, declaration_of, declare, digest_of
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import InvalidError
from tallystick.ledger.canonical import canonical

NAMES = st.text("abcxyz_.-", min_size=1, max_size=5)
SCALARS = st.one_of(
    st.integers(-(2**62), 2**62),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6),
)
LISTS = st.lists(SCALARS, min_size=1, max_size=4, unique_by=identity)
GRIDS = st.dictionaries(NAMES, st.one_of(SCALARS, LISTS), min_size=1, max_size=4)


def space(**fields: Any) -> Space:
    return declare(Declaration(**fields))


def points(**fields: Any) -> list[dict[str, Any]]:
    return [dict(point) for point in space(**fields).points()]


def refusal(**fields: Any) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        space(**fields)
    return caught.value


def planned(found: Space, **changes: Any) -> SweepPlanned:
    text = Text("0" * 64, 1)
    known: dict[str, Any] = {
        "strategy": found.strategy, "axes": found.declared, "seeds": found.seeds,
        "seed": found.seed, "samples": found.samples, "generator": plans.GENERATOR,
        "count": found.count, "size": found.size, "digest": digest_of(found.points()),
        "command": text, "workdir": text, "placement": "flag", "demands": Demands(),
    }  # fmt: skip
    return SweepPlanned(**{**known, **changes})


@given(GRIDS, st.integers(1, 3) | st.none())
def test_a_grid_is_the_product_of_its_axes_in_the_order_of_itertools(
    parameters: dict[str, Any], seeds: int | None
) -> None:
    found = space(parameters=parameters, seeds=seeds)
    lists = [given if isinstance(given, list) else [given] for given in parameters.values()]
    names = list(parameters) + ([] if seeds is None else ["seed"])
    if seeds is not None:
        lists.append(list(range(seeds)))
    expected = [dict(zip(names, row, strict=True)) for row in itertools.product(*lists)]
    assert list(found.points()) == expected
    assert [list(point) for point in found.points()] == [names] * len(expected)
    assert found.count == found.size == len(expected)
    assert found.point(len(expected) - 1) == expected[-1]


@given(GRIDS)
def test_the_digest_is_sha256_over_canonical_lines_that_anybody_can_make(
    parameters: dict[str, Any],
) -> None:
    found = space(parameters=parameters)
    lines = [canonical(encode(point)) + b"\n" for point in found.points()]
    assert digest_of(found.points()) == hashlib.sha256(b"".join(lines)).hexdigest()
    assert [decode(json.loads(line)) for line in lines] == list(found.points())


def test_a_known_grid_has_a_known_digest() -> None:
    found = space(parameters={"lr": [0.1, 0.01], "layers": 2, "opt": ["adam"]}, seeds=2)
    assert list(found.points())[1] == {"lr": 0.1, "layers": 2, "opt": "adam", "seed": 1}
    assert digest_of(found.points()) == (
        hashlib.sha256(
            b'{"layers":2,"lr":"0.1","opt":"adam","seed":0}\n'
            b'{"layers":2,"lr":"0.1","opt":"adam","seed":1}\n'
            b'{"layers":2,"lr":"0.01","opt":"adam","seed":0}\n'
            b'{"layers":2,"lr":"0.01","opt":"adam","seed":1}\n'
        ).hexdigest()
    )


DECLARATIONS = st.one_of(
    st.builds(
        lambda parameters, seeds, most: Declaration(
            parameters=parameters, seeds=seeds, max_runs=most
        ),
        GRIDS, st.one_of(st.none(), st.integers(1, 3), LISTS), st.none() | st.integers(1, 9),
    ),
    st.builds(
        lambda samples, seed, choices: Declaration(
            parameters={"lr": {"min": 1e-5, "max": 1, "scale": "log"}, "c": choices, "k": "v"},
            samples=samples, seed=seed, seeds=2,
        ),
        st.integers(1, 20), st.integers(0, 9), LISTS,
    ),
    st.builds(
        lambda names, found: Declaration(
            parameters={"constant": 1}, points=[dict.fromkeys(names, one) for one in found]
        ),
        st.sets(NAMES, min_size=1, max_size=3), LISTS,
    ),
)  # fmt: skip


@given(DECLARATIONS)
def test_the_plan_in_the_ledger_gives_the_same_points_again(asked: Declaration) -> None:
    found = declare(asked)
    text = None if asked.points is None else json.dumps(asked.points)
    plan = planned(found)
    canonical({"axes": list(plan.axes)})
    again = declare(declaration_of(plan, text))
    assert list(again.points()) == list(found.points())
    assert (again.count, again.size) == (found.count, found.size)
    assert digest_of(again.points()) == plan.digest
    identities = [
        frozenset((name, identity(value)) for name, value in point.items())
        for point in found.points()
    ]
    assert len(set(identities)) == len(identities)


def test_random_search_is_the_same_for_the_same_seed_and_distinct_otherwise() -> None:
    asked: dict[str, Any] = {
        "parameters": {"lr": {"min": 1e-5, "max": 1e-1, "scale": "log"}, "bs": [16, 32]},
        "samples": 50,
    }
    first = points(**asked, seed=3)
    assert first == points(**asked, seed=3)
    other = points(**asked, seed=4)
    assert not {point["lr"] for point in first} & {point["lr"] for point in other}
    assert points(**asked) == points(**asked, seed=0)
    assert points(**{**asked, "samples": 20}, seed=3) == first[:20]


def test_a_parameter_more_changes_nothing_that_is_drawn_for_the_others() -> None:
    lr = {"min": 0.0, "max": 1.0}
    alone = points(parameters={"lr": lr}, samples=10, seed=1)
    more = points(parameters={"wd": lr, "lr": lr}, samples=10, seed=1)
    assert [point["lr"] for point in more] == [point["lr"] for point in alone]
    assert all(point["lr"] != point["wd"] for point in more)


def test_what_is_drawn_twice_is_drawn_again_until_all_are_distinct() -> None:
    found = points(parameters={"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, samples=15, seed=0,
                   strategy="random")  # fmt: skip
    assert len({tuple(point.values()) for point in found}) == 15


def test_a_space_that_is_too_small_for_the_samples_is_refused() -> None:
    error = refusal(parameters={"a": [1, 2], "b": [1, 2]}, samples=5)
    assert error.code == "space_too_small"
    assert "found 5" in error.detail
    assert "of 4 there are" in error.detail
    assert "grid" in (error.hint or "")


def test_seeds_come_with_every_point_of_every_strategy() -> None:
    assert points(parameters={"a": [1, 2]}, seeds=2) == [
        {"a": 1, "seed": 0}, {"a": 1, "seed": 1}, {"a": 2, "seed": 0}, {"a": 2, "seed": 1},
    ]  # fmt: skip
    listed = points(points=[{"a": 5}, {"a": 7, "b": 1}], seeds=[41, 42])
    assert listed == [
        {"a": 5, "seed": 41}, {"a": 5, "seed": 42},
        {"a": 7, "b": 1, "seed": 41}, {"a": 7, "b": 1, "seed": 42},
    ]  # fmt: skip
    random = points(parameters={"lr": {"min": 0, "max": 1}}, samples=4, seeds=3)
    assert len(random) == 12
    assert [point["seed"] for point in random] == [0, 1, 2] * 4
    assert len({point["lr"] for point in random}) == 4
    assert points(seeds=2) == [{"seed": 0}, {"seed": 1}]


def test_max_runs_takes_the_first_points_and_the_size_stays_known() -> None:
    found = space(parameters={"a": {"min": 1, "max": 13_020, "step": 1}}, max_runs=10)
    assert (found.count, found.size) == (10, 13_020)
    assert [point["a"] for point in found.points()] == list(range(1, 11))
    assert space(parameters={"a": [1, 2]}, max_runs=9).count == 2


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({}, "space_empty", "found none"),
        ({"points": []}, "space_empty", "found none"),
        ({"parameters": {"a": [1, 1.0]}}, "duplicate_value", "parameters.a"),
        ({"points": [{"a": 1}, {"a": 2}, {"a": "1"}]}, "duplicate_point", "points[2]"),
        ({"points": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, "duplicate_point", "points[1]"),
        ({"points": [{"a": [1]}]}, "parameters_invalid", "points[0].a"),
        ({"points": [{"a": 1}], "parameters": {"a": 2}}, "parameters_invalid", "in both"),
        ({"points": [{"a": 1}], "parameters": {"b": [2, 3]}}, "strategy_invalid", "an axis"),
        ({"points": [{"seed": 1}], "seeds": 2}, "parameters_invalid", "seed"),
        ({"parameters": {"seed": 1}, "seeds": 2}, "parameters_invalid", "seed"),
        ({"parameters": {"a": 1}, "seeds": 0}, "parameters_invalid", "seeds"),
        ({"parameters": {"a": 1}, "seeds": [1, 1]}, "duplicate_value", "seed"),
        ({"parameters": {"a": 1}, "max_runs": 0}, "parameters_invalid", "max_runs"),
        ({"parameters": {"a": [1]}, "strategy": "bayes"}, "strategy_invalid", "grid, random, list"),
        ({"parameters": {"a": {"min": 0, "max": 1}}}, "samples_missing", "samples"),
        (
            {"parameters": {"a": {"min": 0, "max": 1}}, "strategy": "grid"},
            "strategy_invalid", "parameters.a",
        ),
        ({"parameters": {"a": [1]}, "samples": 1, "strategy": "grid"}, "strategy_invalid", "only"),
        ({"parameters": {"a": [1, 2]}, "seed": 3}, "strategy_invalid", "seed"),
        ({"parameters": {"a": [1]}, "samples": 1, "seed": -1}, "parameters_invalid", "seed"),
        ({"parameters": {"a": {"min": 1, "max": 400, "step": 1}, "b": {"min": 1, "max": 400,
          "step": 1}}}, "space_too_large", "160,000"),
        ({"parameters": {"a": ["x" * 40 + str(i) for i in range(80)]}}, "space_too_large", "bytes"),
        ({"points": [{"a": "x" * 2_400}]}, "space_too_large", "one point"),
        ({"parameters": {"ä": 1}}, "params_invalid", "names"),
        ({"points": [{"ä": 1}]}, "params_invalid", "names"),
    ],
)  # fmt: skip
def test_what_is_not_one_exact_space_is_refused(
    fields: dict[str, Any], code: str, said: str
) -> None:
    error = refusal(**fields)
    assert error.code == code, error.detail
    assert said in error.detail


def test_thousands_of_explicit_points_are_no_burden_for_the_entry() -> None:
    found = space(points=[{"a": index, "b": "x" * 50} for index in range(20_000)])
    assert (found.count, found.declared) == (20_000, ())
    assert found.point(19_999)["a"] == 19_999


def test_point_100_000_of_a_grid_does_not_wait_for_those_before_it() -> None:
    axis = {"min": 1, "max": 1_000, "step": 1}
    found = space(parameters={"a": axis, "b": axis, "c": axis}, max_runs=100_000)
    began = time.perf_counter()
    assert found.point(99_999) == {"a": 1, "b": 100, "c": 1_000}
    assert time.perf_counter() - began < 0.01
