import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from tallystick.domain.commands import ReportEnded
from tallystick.domain.ids import SYSTEM, AttemptId, RunId
from tallystick.errors import UnavailableError
from tallystick.store import reading
from tests.unit.api.in_process import Api

ROWS = '{"rows":[{"step":1,"loss":1}]}'


def post(api: Api, run: str, raw: str, **headers: str) -> Any:
    return api.call("POST", f"/runs/{run}/metrics", content=raw.encode(), headers=headers)


@pytest.fixture
def run(api: Api) -> str:
    """A run that was executed; its place is free again at once, whatever its processes do."""
    run = str(api.register(auto_start=True)["id"])
    ended = ReportEnded(
        run=RunId(run), attempt=AttemptId(api.launched(run)), n=9, at=1, cause="exited", exit_code=0
    )
    api.server.handler.handle(ended, by=SYSTEM)
    return run


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
def test_a_body_that_is_not_right_is_refused_never_a_fault(api: Api, raw: str) -> None:
    run = api.register()["id"]
    answer = post(api, run, raw)
    assert answer.status_code == 422
    assert answer.json()["code"]
    assert api.get(f"/runs/{run}/metrics") == {}


def test_metrics_of_a_run_that_is_not_there_are_refused(api: Api) -> None:
    body = '{"rows":[{"step":1,"loss":1}]}'
    assert post(api, "run_ffffffffffff", body).json()["code"] == "run_not_found"
    assert api.call("GET", "/runs/run_ffffffffffff/metrics").status_code == 404


def test_rows_of_a_run_that_was_not_started_are_refused(api: Api) -> None:
    run = api.register()["id"]
    answer = post(api, run, ROWS)
    assert (answer.status_code, answer.json()["code"]) == (409, "run_not_started")
    assert answer.json()["next_actions"] == [f"POST /runs/{run}/start"]


def test_rows_that_are_on_disk_are_not_asked_for_again_when_the_mark_fails(
    api: Api, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_run: str) -> None:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(api.server.app.services.data.sealer, "touch", refuse)
    assert post(api, run, ROWS).status_code == 200
    assert len(stored(api, run)) == 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"\\ud800":1}', b'{"\\udc00x":2}', b'{"loss":1,"\xed\xa0\x80":1}',
        b'{"n":' + b"9" * 5_000 + b"}", b"\xff", b'{"deep":' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_counted_and_never_a_fault(
    api: Api, run: str, line: bytes
) -> None:
    huge = b'{"step":2,"n":1' + b"0" * 400 + b',"m":1' + b"0" * 30 + b"}"
    lines(api, run, line, huge, b'{"step":3,"loss":0.5}')
    found = api.get(f"/runs/{run}/metrics")
    assert (found["unread_rows"], found["rows"]) == (1, 2)
    expected = {"n": "Infinity", "m": 1e30, "loss": 0.5}
    assert found["metrics"] == expected
    assert api.get(f"/runs/{run}")["metrics"] == expected


def lines(api: Api, run: str, *written: bytes) -> None:
    directory: Path = api.server.runs_dir / run / "metrics"
    directory.mkdir(exist_ok=True)
    (directory / "att_000000000000.jsonl").write_bytes(b"\n".join(written) + b"\n")


def test_an_answer_is_made_once_for_each_state_of_the_streams(
    api: Api, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    read = reading.read

    def noted(*given: Any) -> Any:
        made.append(threading.current_thread().name)
        return read(*given)

    monkeypatch.setattr(reading, "read", noted)
    post(api, run, ROWS)
    first = api.get(f"/runs/{run}/metrics")
    assert api.get(f"/runs/{run}/metrics") == first
    post(api, run, ROWS)
    assert api.get(f"/runs/{run}/metrics")["rows"] == 2
    assert len(made) == 2
    assert all(name.startswith("tally-parser") for name in made)


def test_series_are_chosen_by_name_and_by_a_range_of_steps(api: Api, run: str) -> None:
    rows = [{"step": step, "a": step, "b,c": -step, "d": 0} for step in range(10)]
    post(api, run, json.dumps({"rows": rows}))
    found = api.get(f"/runs/{run}/metrics?keys=a,nothing&from_step=3&to_step=4.5")
    assert found["metricSeries"] == {"a": [{"step": 3, "value": 3}, {"step": 4, "value": 4}]}
    assert (found["metricKeys"], found["untold_keys"]) == (["a", "b,c", "d"], 0)
    chosen = api.get(f"/runs/{run}/metrics", params={"keys": '["b,c"]'})
    assert list(chosen["metricSeries"]) == ["b,c"]
    for wrong in ("[1]", "[", '["a"'):
        answer = api.call("GET", f"/runs/{run}/metrics", params={"keys": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")
    assert api.call("GET", f"/runs/{run}/metrics?from_step=x").status_code == 422


def test_more_series_than_one_answer_tells_are_all_named(api: Api, run: str) -> None:
    post(api, run, json.dumps({"rows": [{f"m{n}": n for n in range(300)}]}))
    found = api.get(f"/runs/{run}/metrics")
    assert (len(found["metricKeys"]), len(found["metricSeries"])) == (300, 200)
    assert (found["sampled"], found["untold_keys"]) == (True, 100)


def test_the_last_values_stand_in_the_run_and_in_lists(api: Api, run: str) -> None:
    rows = '{"rows":[{"step":1,"loss":2},{"step":2,"loss":NaN},{"_summary":{"best":0.5}}]}'
    post(api, run, rows)
    api.server.data.indexer.catch_up(run).result(30)
    found = api.get(f"/runs/{run}")
    assert (found["metrics"], found["summary"]) == ({"loss": "NaN"}, {"best": 0.5})
    (listed,) = [item for item in api.get("/runs?limit=1000") if item["id"] == run]
    assert (listed["metrics"], listed["summary"]) == (found["metrics"], found["summary"])
