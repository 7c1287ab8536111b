"""What went wrong in servers of this kind before, one test for each symptom."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tallystick.api.app import ENDPOINTS
from tests.http.door import Door
from tests.http.test_hostile import Known, operations

FORGED: Final = {
    "actor": "human", "created_by": "person", "created_at": 0.0, "timestamp": 0, "ts": 0,
    "id": "run_000000000000", "status": "finished", "exit_code": 0, "outcome": "succeeded",
    "run_dir": "/etc", "wandb_dir": "/etc", "metrics": {"accuracy": 1.0}, "seq": 0,
}  # fmt: skip


def test_no_request_claims_the_status_of_a_run(door: Door) -> None:
    run, _ = door.launched(door.sweep())
    for status in ("finished", "banana"):
        claim = {"status": status, "exit_code": 0}
        answer = door.call("POST", f"/runs/{run}/status", json=claim)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_offered")
    assert door.get(f"/runs/{run}")["status"] == "launching"


def test_nobody_but_its_supervisor_reports_on_an_attempt(door: Door) -> None:
    run, attempt = door.launched(door.sweep())
    before = door.server.ledger.size
    ended = {"observations": [{"kind": "ended", "n": 1, "at": 1, "cause": "exited"}]}
    for token in ("agent", "admin"):
        answer = door.call("POST", f"/attempts/{attempt}/observations", json=ended, token=token)
        assert answer.status_code == 403
    assert told_by_others(door, since=before) == []
    assert door.get(f"/runs/{run}")["status"] == "launching"


def test_who_and_when_come_from_the_server_and_never_from_a_body(door: Door) -> None:
    before = time.time() - 1
    run = door.run(door.sweep(), **FORGED)
    assert run["created_by"] == "agent"
    assert run["created_at"] >= before
    assert run["id"] != FORGED["id"]
    assert (run["status"], run["outcome"], run["exit_code"]) == ("ready", None, None)
    assert {item["code"] for item in run["warnings"]} == {"unknown_field"}
    assert len(run["warnings"]) == len(FORGED)


def test_a_directory_named_in_a_body_is_never_opened(door: Door) -> None:
    run = door.run(door.sweep(), wandb_dir="/etc", run_dir="/etc")
    found = door.get(f"/runs/{run['id']}")
    assert (found["wandb_dir"], found["run_dir"], found["metrics"]) == (None, None, {})


def test_history_is_not_rewritten_through_its_sweep(door: Door) -> None:
    sweep = door.sweep()
    run, _ = door.launched(sweep)
    for edit, refusal in (
        ({"base_command": "rm -rf /"}, (409, "sweep_immutable")),
        ({"status": "completed"}, (422, "body_invalid")),
        ({"status": "draft"}, (409, "sweep_not_draft")),
    ):
        answer = door.call("PUT", f"/sweeps/{sweep}", json=edit, token="admin")
        assert (answer.status_code, answer.json()["code"]) == refusal
    assert door.get(f"/runs/{run}")["command"] == "true"
    assert door.get(f"/sweeps/{sweep}")["status"] == "running"


CHANGES: Final[list[tuple[str, str, Any, str]]] = [
    ("POST", "/sweeps/wild", {"chat_session_id": "c"}, "sweep.created"),
    ("POST", "/runs", {"name": "n", "command": "c", "chat_session_id": "c"}, "run.registered"),
    ("PUT", "/runs/{ready}", {"name": "another"}, "run.edited"),
    ("POST", "/runs/{ready}/archive", {}, "run.archived"),
    ("POST", "/runs/{ready}/unarchive", {}, "run.unarchived"),
    ("POST", "/runs/{ready}/stop", {}, "run.ended"),
    ("POST", "/runs/{ready}/rerun", {}, "run.registered"),
    ("PUT", "/policy", {"session": "warn"}, "policy.set"),
    ("POST", "/runs/{ready}/alerts", {"message": "m", "choices": ["stop"]}, "alert.raised"),
    ("PUT", "/budgets/session:conversation-1", {"gpu_hours": 1000}, "budget.set"),
    ("POST", "/cluster", {"notes": "n"}, "cluster.set"),
    ("POST", "/cluster/drain", {}, "cluster.drained"),
    ("POST", "/cluster/undrain", {}, "cluster.undrained"),
    ("POST", "/tokens", {"role": "auditor"}, "token.created"),
]


def test_every_change_is_an_entry_that_says_who_made_it(door: Door) -> None:
    sweep = door.sweep()
    ready = door.run(sweep)["id"]
    for method, path, body, kind in CHANGES:
        before = door.server.ledger.size
        filled = {**body, "sweep_id": sweep} if path == "/runs" else body
        answer = door.call(method, path.format(ready=ready), json=filled, token="admin")
        assert answer.status_code == 200, answer.text
        entries = door.get(f"/ledger/entries?after={before - 1}")["entries"]
        assert [item["actor"]["role"] for item in entries] == ["administrator"] * len(entries), kind
        assert kind in {item["type"] for item in entries}


def told_by_others(door: Door, *, since: int) -> list[Any]:
    """Entries from `since` on, without what the server does on its own meanwhile."""
    entries = door.get(f"/ledger/entries?after={since - 1}")["entries"]
    return [item for item in entries if item["actor"]["role"] != "system"]


def test_a_question_changes_nothing(door: Door) -> None:
    known = Known(door)
    door.counted.frames = 1
    before = door.server.ledger.size
    for operation in operations(door):
        if operation.method == "GET":
            query = "?old=1&new=2" if operation.path.endswith("consistency") else ""
            door.call("GET", known.url(operation) + query, token="admin")
    assert told_by_others(door, since=before) == []
    assert door.problems() == []


def test_a_list_reads_no_file_of_metrics(door: Door) -> None:
    run, _ = door.launched(door.sweep())
    door.post(f"/runs/{run}/metrics", {"rows": [{"step": 1, "loss": 0.5}]})
    door.indexed(run)
    assert door.get(f"/runs/{run}")["metrics"] == {"loss": 0.5}
    streams = door.server.runs_dir / run / "metrics"
    for path in streams.iterdir():
        path.rename(path.with_name(f"{path.name}.hidden"))
    (listed,) = [item for item in door.get("/runs?limit=1000") if item["id"] == run]
    assert listed["metrics"] == {"loss": 0.5}
    columns = door.get(f"/runs/table?filter=sweep:{listed['sweep_id']}&sort=metric.loss")["columns"]
    assert columns["metric.loss"] == [0.5]


def test_health_is_answered_while_two_hundred_runs_are_registered(door: Door) -> None:
    sweep, took = door.sweep(), []
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(door.run, sweep) for _ in range(200)]
        while not all(future.done() for future in made):
            started = time.monotonic()
            assert door.call("GET", "/health", token=None).status_code == 200
            took.append(time.monotonic() - started)
    assert len({future.result()["id"] for future in made}) == 200
    print(f"/health meanwhile: {len(took)} answers, the slowest after {max(took) * 1000:.0f} ms")


@pytest.mark.parametrize("limit", ["-1", "0", "1001", "1e3", "٣", "", "1 ", "NaN"])
def test_a_limit_that_is_none_is_refused_by_every_list(door: Door, limit: str) -> None:
    lists = [
        item for item in ENDPOINTS
        if any(query.name == "limit" and query.maximum == 1000 for query in item.query)
    ]  # fmt: skip
    assert len(lists) >= 5
    for endpoint in lists:
        answer = door.call("GET", endpoint.path, params={"limit": limit}, token="admin")
        assert (answer.status_code, answer.json()["code"]) == (422, "parameter_invalid")


def test_no_header_changes_the_process(door: Door) -> None:
    before = dict(os.environ)
    names = ("X-API-Key", "X-Anthropic-Key", "X-OpenAI-Key", "X-Wandb-Api-Key", "X-Workdir")
    headers = dict.fromkeys(names, "hostile")
    for token in (None, "agent"):
        assert "hostile" not in door.call("GET", "/health", token=token, headers=headers).text
    assert dict(os.environ) == before
