"""MLflow's protocol where its client cannot be asked: refusals, repetitions, rights, searches."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.api.protocols import ENDPOINTS
from tallystick.api.protocols.mlflow_search import matcher, ordered
from tallystick.api.protocols.mlflow_shapes import Place, Tracked
from tallystick.control.credentials import Mint, load_key
from tallystick.control.data_dir import MINT_FILE
from tallystick.domain.ids import AttemptId, Role
from tallystick.errors import InvalidError
from tests.unit.api.in_process import Api

ROOT = "/api/2.0/mlflow"


@pytest.fixture
def run(api: Api) -> Any:
    """A run that goes on."""
    made = api.register(command="sleep 60", auto_start=True)
    attempt = api.launched(made["id"])
    yield made | {"attempt": attempt}
    api.post(f"/runs/{made['id']}/stop")
    api.finished(made["id"])


@pytest.fixture
def token(api: Api, run: Any) -> str:
    """The run's own."""
    settings = api.server.settings.server
    mint = Mint(load_key(settings.data_dir / MINT_FILE, api.server.clock))
    return mint.secret(AttemptId(run["attempt"]), Role.RUN)


def ask(api: Api, path: str, body: Any = None, *, token: str, **query: Any) -> Any:
    method = "GET" if body is None else "POST"
    return api.call(method, f"{ROOT}/{path}", json=body, params=query, token=token)


def test_inside_a_run_every_experiment_is_its_sweep(api: Api, run: Any, token: str) -> None:
    for path, query in (
        ("experiments/get-by-name", {"experiment_name": "mine"}),
        ("experiments/get", {"experiment_id": "99"}),
    ):
        found = ask(api, path, token=token, **query).json()["experiment"]
        assert found["experiment_id"] == run["sweep_id"]
    made = ask(api, "experiments/create", {"name": "other"}, token=token).json()
    assert made == {"experiment_id": run["sweep_id"]}


def test_the_first_run_is_the_registered_one_and_the_next_is_nested(
    api: Api, run: Any, token: str
) -> None:
    first, second = (
        ask(api, "runs/create", {"start_time": start}, token=token).json()["run"]["info"]["run_id"]
        for start in (1, 2)
    )
    assert first == run["id"]
    assert second.startswith(f"{run['id']}-")
    again = ask(api, "runs/create", {"start_time": 2}, token=token).json()["run"]["info"]
    assert again["run_id"] == second


def test_a_request_that_is_sent_again_counts_once(api: Api, run: Any, token: str) -> None:
    body = {"run_id": run["id"], "key": "a", "value": 1.5, "timestamp": 3, "step": 1}
    for _ in range(3):
        assert ask(api, "runs/log-metric", body, token=token).json() == {}
    told = api.get(f"/runs/{run['id']}/metrics")
    assert told["metricSeries"]["a"] == [{"step": 1, "value": 1.5, "time": 0.003}]


def test_a_claimed_end_ends_nothing(api: Api, run: Any, token: str) -> None:
    body = {"run_id": run["id"], "status": "FINISHED", "end_time": 5}
    info = ask(api, "runs/update", body, token=token).json()["run_info"]
    assert info["status"] == "RUNNING"
    found = api.get(f"/runs/{run['id']}")
    assert found["status"] in {"launching", "running"}
    assert found["claims"]["status"]["status"] == "FINISHED"


def test_another_run_is_closed_to_a_runs_own_token(api: Api, run: Any, token: str) -> None:
    other = api.register()["id"]
    answer = ask(api, "runs/get", token=token, run_id=other)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    body = {"run_id": other, "key": "a", "value": 1}
    assert ask(api, "runs/log-metric", body, token=token).status_code == 403


def test_outside_a_run_things_can_be_read_and_are_made_elsewhere(api: Api, run: Any) -> None:
    found = ask(api, "runs/get", token="agent", run_id=run["id"]).json()["run"]
    assert found["info"]["experiment_id"] == run["sweep_id"]
    assert found["info"]["run_name"] == run["name"]
    by_name = ask(api, "experiments/get-by-name", token="agent", experiment_name=run["sweep_id"])
    assert by_name.json()["experiment"]["experiment_id"] == run["sweep_id"]
    body = {"experiment_ids": [run["sweep_id"]]}
    listed = ask(api, "runs/search", body, token="agent").json()["runs"]
    assert [each["info"]["run_id"] for each in listed] == [run["id"]]
    for path in ("runs/create", "experiments/create"):
        answer = ask(api, path, {}, token="agent")
        assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert "tally exec" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("runs/log-metric", [], 422, "INVALID_PARAMETER_VALUE"),
        ("runs/log-metric", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("runs/log-batch", {"run_id": "run_ffffffffffff"}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("runs/search", {"filter": "loss <"}, 422, "INVALID_PARAMETER_VALUE"),
        ("runs/search", {"page_token": "x"}, 422, "INVALID_PARAMETER_VALUE"),
        ("no/such/call", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_refusals_have_the_members_that_the_client_looks_for(
    api: Api, path: str, body: Any, status: int, code: str
) -> None:
    answer = ask(api, path, body, token="agent")
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["message"]


def test_a_run_that_never_began_cannot_be_told_about(api: Api) -> None:
    ready = api.register()["id"]
    answer = ask(api, "runs/set-tag", {"run_id": ready, "key": "a", "value": "b"}, token="agent")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "INVALID_STATE")


def test_no_token_or_a_wrong_one_is_told_in_their_words(api: Api) -> None:
    answer = ask(api, "runs/get", token="wrong", run_id="x")
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_the_token_may_come_as_a_password(api: Api) -> None:
    answer = api.call("GET", "/runs", token=None, auth=("anybody", api.agent))
    assert answer.status_code == 200


def tracked(number: int, **told: Any) -> Tracked:
    info = {"start_time": number, "status": "FINISHED", "run_name": f"r{number}"}
    return Tracked(place=Place(f"run_{number}"), info=info, **told)


RUNS = [
    tracked(1, metrics={"loss": (0, 0.5, 1)}, params={"lr": "0.1"}, tags={"a b": "x"}),
    tracked(2, metrics={"loss": (0, 0.25, 1)}, params={"lr": "0.2"}),
    tracked(3, metrics={"loss": (0, "NaN", 1)}),
]


def found(text: str) -> list[str]:
    matches = matcher(text)
    return [run.place.run for run in RUNS if matches(run)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["run_1", "run_2", "run_3"]),
        ("metrics.loss < 0.3", ["run_2"]),
        ("metrics.`loss` >= 2.5e-1 and params.lr = '0.1'", ["run_1"]),
        ("params.lr != '0.1'", ["run_2"]),
        ('tags."a b" LIKE "x%"', ["run_1"]),
        ("attributes.status = 'FINISHED' AND run_name ILIKE 'R3'", ["run_3"]),
        ("attribute.run_name IN ('r1', 'r2')", ["run_1", "run_2"]),
        ("metrics.none > 0", []),
        ("params.lr < 1", []),
    ],
)
def test_their_expressions_find_runs(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize("text", ["loss", "a = 'b' and", "a = 'b' c = 'd'", "a ~ 1", "or", "' = 1"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        matcher(text)


def test_runs_are_ordered_and_those_without_a_value_come_last() -> None:
    names = [run.place.run for run in ordered(RUNS, ["metrics.loss DESC"])]
    assert names == ["run_1", "run_2", "run_3"]
    assert [run.place.run for run in ordered(RUNS, ["metrics.loss"])] == ["run_2", "run_1", "run_3"]
    assert [run.place.run for run in ordered(RUNS, [])] == ["run_3", "run_2", "run_1"]


def test_runs_of_no_sweep_are_those_of_experiment_zero(api: Api, run: Any) -> None:
    listed = ask(api, "runs/search", {"experiment_ids": ["0"]}, token="agent").json()["runs"]
    assert run["id"] not in {each["info"]["run_id"] for each in listed}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["run_id", "run_uuid", "key", "value", "step", "timestamp", "metrics", "params", "tags",
     "status", "end_time", "run_name", "start_time", "filter", "order_by", "max_results",
     "page_token", "experiment_ids", "datasets", "models", "name", "source_run_id"]
)  # fmt: skip
POSTS = st.sampled_from([item.path for item in ENDPOINTS if item.method == "POST"])


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(POSTS, st.dictionaries(NAMES, ANYTHING, max_size=5), st.booleans())
def test_no_body_is_ever_a_fault(
    api: Api, run: Any, token: str, path: str, body: dict[str, Any], ours: bool
) -> None:
    if ours:
        body["run_id"] = run["id"]
    content = json.dumps(body).encode()
    path = path.replace("{model}", f"m-{run['id'].removeprefix('run_')}-00000000")
    answer = api.call("POST", path, content=content, token=token)
    assert answer.status_code < 500, answer.text
    assert ask(api, "runs/get", token=token, run_id=run["id"]).status_code == 200
