"""Runs as columns and beside each other; tags, stars and notes."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tallystick.testing.server import eventually
from tests.unit.api.in_process import Api

Trial = tuple[dict[str, Any], list[Any], int]

TRIALS: list[Trial] = [
    ({"lr": 0.1, "seed": 1}, [0.9, 0.5], 0),
    ({"lr": 0.1, "seed": 2}, [0.8, 0.7], 0),
    ({"lr": 0.1, "seed": 3}, [0.8, 99.0], 1),
    ({"lr": 1, "seed": 1}, ["NaN", 0.25], 0),
]


@dataclass(frozen=True)
class Trials:
    """Four runs that ended, and measured a loss, in the order of their creation."""

    sweep: str
    runs: list[str]

    @property
    def table(self) -> str:
        """The path of their table."""
        return f"/runs/table?filter=sweep:{self.sweep}&"


@pytest.fixture(scope="session")
def trials(shared_api: Api) -> Trials:
    sweep = shared_api.sweep()["id"]
    trials = Trials(sweep, [trial(shared_api, sweep, *one) for one in TRIALS])

    def measured() -> bool:
        columns = shared_api.get(f"{trials.table}columns=metric.loss")["columns"]
        return None not in columns["metric.loss"]

    eventually(measured)
    return trials


def trial(api: Api, sweep: str, params: dict[str, Any], losses: list[Any], exit_code: int) -> str:
    body = {"sweep_id": sweep, "params": params, "auto_start": True}
    run = str(api.register(command=f"exit {exit_code}", **body)["id"])
    api.finished(run)
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
    content = json.dumps({"rows": rows}).encode()
    assert api.call("POST", f"/runs/{run}/metrics", content=content).status_code == 200
    return run


def refused(api: Api, method: str, path: str, body: Any = None) -> Any:
    answer = api.call(method, path, json=body)
    assert answer.status_code in {400, 404, 422}, answer.text
    return answer.json()


def test_a_table_has_a_column_for_each_parameter_and_metric(api: Api, trials: Trials) -> None:
    found = api.get(f"{trials.table}columns=id,param.*,metric.loss,min.loss,status&sort=created")
    columns = found["columns"]
    assert found["rows"] == 4
    assert list(columns) == ["id", "param.lr", "param.seed", "metric.loss", "min.loss", "status"]
    assert columns["id"] == trials.runs
    assert columns["param.lr"] == [0.1, 0.1, 0.1, 1]
    assert columns["metric.loss"] == [0.5, 0.7, 99.0, 0.25]
    assert columns["min.loss"] == [0.5, 0.7, 0.8, 0.25]
    assert columns["status"] == ["finished", "finished", "failed", "finished"]


def test_pages_joined_are_the_table(api: Api, trials: Trials) -> None:
    asked = f"{trials.table}columns=id,metric.loss&sort=metric.loss"
    whole = api.get(asked)["columns"]
    joined: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"{asked}&limit=3&cursor={cursor}")
        joined += page["columns"]["id"]
        cursor = page["next_cursor"]
    assert joined == whole["id"] == [trials.runs[n] for n in (3, 0, 1, 2)]


@pytest.mark.parametrize("columns", ["nothing", "param.", "metric", "id,DROP TABLE", "params.*"])
def test_a_column_that_nothing_has_is_refused_by_name(api: Api, columns: str) -> None:
    answer = refused(api, "GET", f"/runs/table?columns={columns}")
    assert answer["code"] == "columns_invalid"
    assert "param.NAME" in answer["detail"]


def test_seeds_are_replicates_and_what_failed_counts_in_no_mean(api: Api, trials: Trials) -> None:
    told = api.post("/compare", {"runs": trials.runs})
    assert [run["id"] for run in told["runs"]] == trials.runs
    assert told["different"] == {"lr": [0.1, 0.1, 0.1, 1], "seed": [1, 2, 3, 1]}
    assert told["metrics"]["loss"]["last"] == [0.5, 0.7, 99.0, 0.25]
    assert told["seeds"] == ["seed"]
    tenth, one = told["groups"]
    assert (tenth["params"], tenth["runs"], tenth["left_out"]) == (
        {"lr": 0.1},
        trials.runs[:3],
        [trials.runs[2]],
    )
    spread = tenth["metrics"]["loss"]
    assert (spread["n"], spread["mean"]) == (2, pytest.approx(0.6))
    assert spread["interval"] == pytest.approx([0.6 - 12.7062 * 0.1, 0.6 + 12.7062 * 0.1], abs=1e-4)
    assert one["metrics"]["loss"] == {"n": 1, "mean": 0.25, "sd": None, "interval": None}


def test_a_filter_names_what_is_compared(api: Api, trials: Trials) -> None:
    said = {"filter": f"sweep:{trials.sweep} param.lr=0.1 status:finished", "sort": "-metric.loss"}
    told = api.post("/compare", said)
    assert [run["id"] for run in told["runs"]] == [trials.runs[1], trials.runs[0]]
    assert told["same"] == {"lr": 0.1}
    assert told["more"] is False
    named = api.post("/compare", {"runs": trials.runs, "seeds": [], "metrics": ["loss"]})
    assert (named["seeds"], len(named["groups"])) == ([], 4)


def test_a_comparison_of_nothing_or_of_strangers_is_refused(api: Api, trials: Trials) -> None:
    assert refused(api, "POST", "/compare", {})["code"] == "selection_invalid"
    both = {"runs": trials.runs, "filter": "status:failed"}
    assert refused(api, "POST", "/compare", both)["code"] == "selection_invalid"
    stranger = {"runs": ["run_000000000000"]}
    assert refused(api, "POST", "/compare", stranger)["code"] == "run_not_found"
    assert refused(api, "POST", "/compare", {"runs": ["../etc"]})["code"] == "run_not_found"


def test_tags_stars_and_notes_are_in_the_ledger_and_found_again(api: Api, trials: Trials) -> None:
    run = trials.runs[2]
    said = {"add_tags": ["diverged", "keep"], "starred": True, "note": "spikes at step 1"}
    assert api.post(f"/runs/{run}/annotate", said)["id"] == run
    told = api.get(f"/runs/{run}")
    assert (told["tags"], told["starred"]) == (["diverged", "keep"], True)
    assert told["note"] == "spikes at step 1"
    api.post(f"/runs/{run}/annotate", {"remove_tags": ["keep"]})
    found = api.get("/runs?filter=tag:diverged starred:true")
    assert [(one["id"], one["tags"]) for one in found] == [(run, ["diverged"])]
    assert [one["id"] for one in api.get("/runs?filter=spikes")] == [run]
    entries = api.get(f"/ledger/entries?stream={run}")["entries"]
    said_so = [one for one in entries if one["type"] == "run.annotated"]
    assert [one["actor"]["role"] for one in said_so] == ["agent", "agent"]
