import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.api.bodies import Body, parse
from tallystick.errors import InvalidError
from tallystick.wire.requests import AppendMetrics, CreateRun, CreateToken, CreateWildSweep

RUN = Body(CreateRun)


def refusal(body: Body[Any], raw: bytes) -> InvalidError:
    with pytest.raises(InvalidError) as caught:
        body.read(raw)
    assert caught.value.detail
    return caught.value


def test_a_whole_body_becomes_its_shape() -> None:
    raw = (
        b'{"name":"a","command":"b","params":{"lr":0.1,"n":3,"flag":true,"s":"x"},"env":{"A":"1"}}'
    )
    body, notices = RUN.read(raw)
    assert body == CreateRun(
        name="a", command="b", params={"lr": 0.1, "n": 3, "flag": True, "s": "x"}, env={"A": "1"}
    )
    assert notices == []


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "body_malformed"),
        (b"{", "body_malformed"),
        (b"name=a&command=b", "body_malformed"),
        (b"\xff{}", "body_malformed"),
        ("{}".encode("utf-16"), "body_malformed"),
        (b"\xef\xbb\xbf{}", "body_malformed"),
        (b"[" * 100_000, "body_malformed"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "body_malformed"),
        (b'{"name":' + b"9" * 5_000 + b"}", "body_malformed"),
        (b"[]", "body_invalid"),
        (b'"text"', "body_invalid"),
        (b"null", "body_invalid"),
        (b'{"name":"a","name":"b","command":"c"}', "duplicate_key"),
        (b'{"name":"a","command":"c","env":{"A":"1","A":"2"}}', "duplicate_key"),
        (b'{"name":"a","command":"c","params":{"x":NaN}}', "not_finite"),
        (b'{"name":"a","command":"c","params":{"x":-Infinity}}', "not_finite"),
        (b'{"name":"\\ud800","command":"c"}', "lone_surrogate"),
        (b'{"name":"a","command":"c","env":{"\\uDC00":"1"}}', "lone_surrogate"),
        (b'{"name":"a","command":1}', "body_invalid"),
        (b'{"name":"a","command":null}', "body_invalid"),
        (b'{"name":"a"}', "body_invalid"),
        (b'{"name":"a","command":"c","auto_start":"true"}', "body_invalid"),
        (b'{"name":"a","command":"c","auto_start":1}', "body_invalid"),
        (b'{"name":"a","command":"c","params":{"x":null}}', "body_invalid"),
        (b'{"name":"a","command":"c","params":{"x":[1]}}', "body_invalid"),
        (b'{"name":"a","command":"c","env":{"A":1}}', "body_invalid"),
        (b'{"name":"a","command":"c","gpuwrap_config":[]}', "body_invalid"),
    ],
)
def test_a_body_that_is_not_right_is_refused_with_a_code(raw: bytes, code: str) -> None:
    assert refusal(RUN, raw).code == code


def test_a_refusal_says_what_was_expected_and_what_was_found() -> None:
    error = refusal(RUN, b'{"name":7,"params":{"lr":null}}')
    assert error.detail == "name: expected a valid string; found 7"
    assert [item["field"] for item in error.facts["errors"]] == ["name", "command", "params.lr"]
    assert error.next_actions


def test_a_surrogate_pair_is_one_character() -> None:
    body, _ = RUN.read(b'{"name":"\\ud83e\\udeb5","command":"c"}')
    assert body.name == "\N{WOOD}"


def test_unknown_fields_come_back_as_warnings_also_inside() -> None:
    raw = b'{"name":"a","command":"b","colour":1,"gpuwrap_config":{"enabled":true,"x":1}}'
    _, notices = RUN.read(raw)
    assert [notice.code for notice in notices] == ["unknown_field"] * 2
    assert notices[0].detail.startswith("colour: ")
    assert notices[1].detail.startswith("gpuwrap_config.x: ")


def test_unknown_fields_are_refused_where_only_people_call() -> None:
    error = refusal(Body(CreateToken, refuse_unknown=True), b'{"role":"agent","rolle":"x"}')
    assert error.code == "unknown_field"


def test_an_empty_body_stands_for_no_fields_where_that_makes_sense() -> None:
    assert Body(CreateWildSweep, optional=True).read(b" ")[0] == CreateWildSweep()
    assert refusal(Body(CreateWildSweep), b" ").code == "body_malformed"


def test_metrics_may_hold_what_is_not_finite() -> None:
    body, _ = Body(AppendMetrics, not_finite=True).read(b'{"rows":[{"loss":NaN,"a":-Infinity}]}')
    assert str(body.rows) == "[{'loss': nan, 'a': -inf}]"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_what_is_json_is_read_exactly(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_noise_is_refused_and_never_a_fault(raw: bytes) -> None:
    with contextlib.suppress(InvalidError):
        RUN.read(raw)
