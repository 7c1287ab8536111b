"""The filter grammar: what it reads, and what it says to whoever writes something else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import InvalidError
from tallystick.projections.filters import LONGEST_FILTER, SortKey, Term, parse, parse_sort


def test_terms_stand_side_by_side() -> None:
    assert parse(
        'status:failed param.lr>=1e-3 -tag:best,"x" metric.val/loss<0.2 "two words" w'
    ) == (
        Term(field="status", op=":", values=("failed",)),
        Term(field="param", op=">=", values=(0.001,), name="lr"),
        Term(field="tag", op=":", values=("best", "x"), negated=True),
        Term(field="metric", op="<", values=(0.2,), name="val/loss"),
        Term(field="text", op="~", values=("two words",)),
        Term(field="text", op="~", values=("w",)),
    )
    assert parse("  ") == ()


def test_an_equals_sign_is_a_colon_and_names_may_be_quoted() -> None:
    (term,) = parse('metric."a b:c"=3')
    assert term == Term(field="metric", op=":", values=("3",), name="a b:c")


def test_times_are_utc_unless_they_say_otherwise_and_spans_have_units() -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1000
    assert parse("created>=2026-05-01")[0].values == (day,)
    assert parse('created>="2026-05-01T02:00:00+02:00"')[0].values == (day,)
    spans = {"90": 90_000, "250ms": 250, "1.5h": 5_400_000, "2d": 172_800_000, "1w": 604_800_000}
    for text, milliseconds in spans.items():
        assert parse(f"age<{text}")[0].values == (milliseconds,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stauts:failed", "did you mean status?"),
        ("lr>=0.1", "param.lr"),
        ("status:faild", "one of ready, queued"),
        ("status>failed", "status with one of"),
        ("metric.loss<low", "a number after metric<"),
        ("metric.loss<nan", "a number after metric<"),
        ("metric<3", "a name after metric"),
        ("status.x:failed", "expected one of"),
        ("created>yesterday", "2026-05-01"),
        ("age<soon", "90s"),
        ("starred:maybe", "starred:true"),
        ("has:luck", "has:metric.loss"),
        ("exit>1,2", "one value after >"),
        ('"open', "double quotes"),
        ("status:", "terms like"),
        ('param."a\\b":1', "without quotes and backslashes"),
        ("x " * 33, "at most 32 terms"),
        ("x" * (LONGEST_FILTER + 1), "characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_way_out(text: str, says: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        parse(text)
    assert refusal.value.code == "filter_invalid"
    assert says in f"{refusal.value.detail} {refusal.value.hint}"


@given(st.text(alphabet=st.sampled_from("abst:.<>=!~\"- ,\\1e'%{}\n"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidError as refusal:
        assert refusal.code == "filter_invalid"  # noqa: PT017 - either way is fine, no third is


def test_orders() -> None:
    assert parse_sort("-metric.val/loss") == SortKey(
        field="metric", name="val/loss", descending=True
    )
    assert parse_sort('param."a b"') == SortKey(field="param", name="a b")
    assert parse_sort("ended") == SortKey(field="ended")
    for wrong in ("", "name", "metric", "ended.x", "--ended", "luck"):
        with pytest.raises(InvalidError) as refusal:
            parse_sort(wrong)
        assert refusal.value.code == "sort_invalid"
