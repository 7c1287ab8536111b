import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.in_process import Api


def post(api: Api, run: str, raw: str, **headers: str) -> Any:
    return api.call("POST", f"/runs/{run}/metrics", content=raw.encode(), headers=headers)


@pytest.fixture
def run(api: Api) -> str:
    return str(api.register()["id"])


def stored(api: Api, run: str) -> list[Any]:
    path: Path = api.server.runs_dir / run / "metrics" / "posted.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_numbers_come_back_as_they_were_measured(api: Api, run: str) -> None:
    body = '{"rows":[{"step":3,"accuracy":1.4,"train/loss":0.123456789012345,"big":12345678901}]}'
    assert post(api, run, body).json() == {
        "appended": 1,
        "total_bytes": 75,
        "replayed": False,
        "warnings": [],
    }
    found = api.get(f"/runs/{run}/metrics")
    assert found["metricSeries"]["accuracy"] == [{"step": 3, "value": 1.4}]
    assert found["metrics"]["accuracy"] == 1.4
    assert found["metrics"]["loss"] == 0.123456789012345
    assert found["metricSeries"]["big"] == [{"step": 3, "value": 12345678901}]
    assert found["sampled"] is False


def test_what_is_not_finite_is_kept_and_told(api: Api, run: str) -> None:
    post(api, run, '{"rows":[{"step":1,"loss":NaN},{"step":2,"loss":Infinity}]}')
    post(api, run, '{"rows":[{"step":3,"loss":"-Infinity"},{"step":4,"loss":0.5}]}')
    points = api.get(f"/runs/{run}/metrics")["metricSeries"]["loss"]
    assert [point["value"] for point in points] == ["NaN", "Infinity", "-Infinity", 0.5]
    assert math.isnan(stored(api, run)[0]["loss"])


def test_losses_stand_side_by_side_and_none_is_made_up(api: Api, run: str) -> None:
    rows = [
        {"step": 1, "train_loss": 2.0},
        {"step": 2, "train_loss": 1.0, "val_loss": 1.5},
        {"step": 3, "val_loss": 1.4},
    ]
    post(api, run, json.dumps({"rows": rows}))
    assert api.get(f"/runs/{run}/metrics")["lossHistory"] == [
        {"step": 1, "trainLoss": 2.0},
        {"step": 2, "trainLoss": 1.0, "valLoss": 1.5},
        {"step": 3, "valLoss": 1.4},
    ]


def test_a_run_that_measured_nothing_has_an_empty_object(api: Api, run: str) -> None:
    assert api.get(f"/runs/{run}/metrics") == {}


def test_a_long_series_is_thinned_and_says_so(api: Api, run: str) -> None:
    for start in range(0, 5_000, 2_500):
        rows = [{"step": step, "loss": 1.0} for step in range(start, start + 2_500)]
        if start == 2_500:
            rows[999]["loss"] = 99.0
        post(api, run, json.dumps({"rows": rows}))
    found = api.get(f"/runs/{run}/metrics")
    assert (found["sampled"], found["sampledKeys"], found["rows"]) == (True, ["loss"], 5_000)
    assert {"step": 3_499, "value": 99.0} in found["metricSeries"]["loss"]
    assert len(found["metricSeries"]["loss"]) <= 2_000


def test_a_batch_with_a_key_counts_once(api: Api, run: str) -> None:
    body, key = '{"rows":[{"step":1,"loss":1}]}', {"Idempotency-Key": "batch-1"}
    first, again = (post(api, run, body, **key).json() for _ in range(2))
    assert (first["appended"], first["replayed"]) == (1, False)
    assert (again["appended"], again["replayed"]) == (0, True)
    assert len(stored(api, run)) == 1
    other = post(api, run, '{"rows":[{"step":2,"loss":1}]}', **key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_without_a_key_rows_are_kept_as_often_as_they_come(api: Api, run: str) -> None:
    for _ in range(2):
        post(api, run, '{"rows":[{"step":1,"loss":1}]}')
    assert len(stored(api, run)) == 2


@pytest.mark.parametrize(
    "raw",
    [
        "", "{", "[]", "{}", '{"rows":[]}', '{"rows":{}}', '{"rows":[1]}', '{"rows":[null]}',
        '{"rows":[{"a":1,"a":2}]}', '{"rows":[{"a":"\\ud800"}]}', '{"rows":"x"}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_right_is_refused_never_a_fault(api: Api, run: str, raw: str) -> None:
    answer = post(api, run, raw)
    assert answer.status_code == 422
    assert answer.json()["code"]
    assert api.get(f"/runs/{run}/metrics") == {}


def test_metrics_of_a_run_that_is_not_there_are_refused(api: Api) -> None:
    body = '{"rows":[{"step":1,"loss":1}]}'
    assert post(api, "run_ffffffffffff", body).json()["code"] == "run_not_found"
    assert api.call("GET", "/runs/run_ffffffffffff/metrics").status_code == 404


def test_the_last_values_stand_in_the_run_and_not_in_lists(api: Api, run: str) -> None:
    post(api, run, '{"rows":[{"step":1,"loss":2},{"step":2,"loss":NaN}]}')
    assert api.get(f"/runs/{run}")["metrics"] == {"loss": "NaN"}
    (listed,) = [item for item in api.get("/runs?limit=1000") if item["id"] == run]
    assert listed["metrics"] == {}
