import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake.batch import UNTIMED, Batch
from tallystick.intake.mlflow import read


def batch_of(*frames: dict[str, Any]) -> Batch:
    lines = [json.dumps({"attempt": "att_1", "at": 5, **frame}) for frame in frames]
    return read("".join(f"{line}\n" for line in lines).encode(), final=False)


def test_a_metric_keeps_step_value_and_time() -> None:
    body = {"key": "loss", "value": 0.1, "step": 3, "timestamp": 1_700_000_000_123}
    column = batch_of({"call": "runs/log-metric", "body": body}).columns["loss"]
    assert (column.steps, column.values, column.times) == ([3], [0.1], [1_700_000_000_123])


def test_numbers_may_come_as_text() -> None:
    body = {"key": "loss", "value": "NaN", "step": "-7", "timestamp": "12"}
    column = batch_of({"call": "runs/log-metric", "body": body}).columns["loss"]
    assert (column.steps, column.times) == ([-7], [12])
    assert str(column.values[0]) == "nan"


def test_a_metric_without_step_and_time_is_kept() -> None:
    column = batch_of({"call": "runs/log-metric", "body": {"key": "a", "value": 1}}).columns["a"]
    assert (column.steps, column.times) == ([0], [UNTIMED])


def test_a_batch_holds_metrics_parameters_and_tags() -> None:
    body = {
        "metrics": [{"key": "a", "value": 1, "step": 0}, {"key": "a", "value": "x"}, 7],
        "params": [{"key": "lr", "value": "0.1"}],
        "tags": [{"key": "t", "value": "v"}, {"key": 1}],
    }
    batch = batch_of({"call": "runs/log-batch", "body": body})
    assert batch.columns["a"].values == [1]
    assert batch.notes == {("param", "lr"): "0.1", ("tag", "t"): "v"}
    assert batch.unread == 2


def test_a_deleted_tag_is_noted_as_such() -> None:
    batch = batch_of(
        {"call": "runs/set-tag", "body": {"key": "t", "value": "v"}},
        {"call": "runs/delete-tag", "body": {"key": "t"}},
    )
    assert batch.notes == {("tag", "t"): None}


def test_a_nested_run_keeps_to_itself() -> None:
    child = "nested-0a1b2c3d"
    batch = batch_of(
        {"call": "runs/create", "child": child, "body": {"start_time": 9, "run_name": "in"}},
        {"call": "runs/log-metric", "child": child, "body": {"key": "a", "value": 1}},
        {"call": "runs/update", "child": child, "body": {"status": "FINISHED", "end_time": 10}},
    )
    assert list(batch.columns) == [f"{child}/a"]
    assert batch.notes["child", child] == {"start_time": 9}
    assert batch.notes["claim", f"{child}/status"]["status"] == "FINISHED"
    assert ("begun", "att_1") not in batch.notes


def test_a_claimed_status_is_noted_with_its_attempt() -> None:
    batch = batch_of({"call": "runs/update", "body": {"status": "RUNNING"}})
    assert batch.notes["claim", "status"] == {"status": "RUNNING", "at": 5}
    assert batch.notes["begun", "att_1"] is True


def test_what_is_not_known_is_kept_as_a_note() -> None:
    batch = batch_of({"call": "runs/outputs", "body": {"models": []}})
    assert batch.notes == {("call", "runs/outputs"): {"models": []}}


CALLS = st.sampled_from(
    ["runs/log-metric", "runs/log-batch", "runs/set-tag", "runs/delete-tag", "runs/create",
     "runs/update", "runs/log-inputs", "x"]
)  # fmt: skip
NOISE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["key", "value", "step", "timestamp", "metrics", "params", "tags", "status",
                 "datasets", "dataset", "name", "run_name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.tuples(CALLS, NOISE, st.none() | st.text(max_size=4)), max_size=4))
def test_a_frame_of_any_shape_is_never_a_fault(frames: list[tuple[str, Any, str | None]]) -> None:
    made = [{"call": call, "body": body, "child": child} for call, body, child in frames]
    batch = batch_of(*made)
    assert batch.rows + batch.unread >= len(frames)
