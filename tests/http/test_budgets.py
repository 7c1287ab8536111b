"""Budgets: set and changed by people only, known to everybody, each in the ledger."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.http.door import Door


def put(door: Door, scope: str, **limits: Any) -> Any:
    answer = door.call("PUT", f"/budgets/{scope}", json=limits, token="admin")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_only_people_set_a_budget_and_everybody_reads_it(door: Door) -> None:
    sweep = door.sweep()
    denied = door.call("PUT", f"/budgets/{sweep}", json={"runs": 1})
    assert (denied.status_code, denied.json()["code"]) == (403, "people_only")
    made = put(door, sweep, runs=3, gpu_hours=1.5, action="stop")
    assert (made["scope"], made["sweep_id"], made["action"]) == (sweep, sweep, "stop")
    assert made["receipt"]["seq"] > 0
    found = door.get(f"/budgets/{sweep}")
    assert found["runs"] == {
        "limit": 3, "used": 0, "share": 0, "warned": False, "reached": False,
    }  # fmt: skip
    assert (found["gpu_hours"]["limit"], found["wall_hours"]["limit"]) == (1.5, None)
    assert sweep in {one["scope"] for one in door.get("/budgets")}


def test_what_is_left_out_stays_and_null_removes(door: Door) -> None:
    sweep = door.sweep()
    put(door, sweep, runs=3, wall_hours=2)
    changed = put(door, sweep, runs=5)
    assert (changed["runs"]["limit"], changed["wall_hours"]["limit"]) == (5, 2)
    removed = put(door, sweep, wall_hours=None)
    assert (removed["runs"]["limit"], removed["wall_hours"]["limit"]) == (5, None)
    assert put(door, sweep)["already"] is True
    put(door, sweep, runs=None)
    assert sweep not in {one["scope"] for one in door.get("/budgets")}


def test_runs_beyond_the_budget_are_refused_and_the_refusal_says_who_can_help(door: Door) -> None:
    sweep = door.sweep("budgeted")
    put(door, sweep, runs=2)
    for _ in range(2):
        door.run(sweep, chat_session_id="budgeted")
    body = {"name": "n", "command": "true", "chat_session_id": "budgeted"}
    answer = door.call("POST", f"/sweeps/{sweep}/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "budget_exceeded")
    assert "only a person" in answer.json()["hint"]
    (action,) = answer.json()["next_actions"]
    assert action.startswith(f"GET /budgets/{sweep}")
    assert door.get(f"/budgets/{sweep}")["runs"]["used"] == 2
    put(door, sweep, runs=3)
    door.run(sweep, chat_session_id="budgeted")


@pytest.mark.parametrize("spelling", ["session:spelled/id", "spelled%2Fid", "session:spelled%2Fid"])
def test_a_session_is_a_scope_by_its_id(door: Door, spelling: str) -> None:
    door.run(door.sweep("spelled/id"), chat_session_id="spelled/id")
    path = spelling.replace("/", "%2F")
    made = put(door, path, runs=100)
    assert (made["scope"], made["session_id"]) == ("session:spelled/id", "spelled/id")
    assert door.get(f"/budgets/{path}")["runs"]["used"] >= 1


@pytest.mark.parametrize("scope", ["swp_000000000000", "nobody", "session:nobody", "session:"])
def test_a_budget_belongs_to_something_that_exists(door: Door, scope: str) -> None:
    for answer in (
        door.call("GET", f"/budgets/{scope}"),
        door.call("PUT", f"/budgets/{scope}", json={"runs": 1}, token="admin"),
    ):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"runs": -1}, {"runs": 1.5}, {"gpu_hours": -0.1}, {"wall_hours": 1e300}, {"action": "burn"},
     {"gpuhours": 3}, {"runs": True}, {"gpu_hours": "1"}],
)  # fmt: skip
def test_a_budget_that_cannot_be_is_refused(door: Door, body: Any) -> None:
    answer = door.call("PUT", f"/budgets/{door.sweep()}", json=body, token="admin")
    assert answer.status_code == 422, answer.text


def test_a_budget_stands_in_the_ledger_and_survives_a_restart(
    open_door: Callable[[], Door],
) -> None:
    door = open_door()
    sweep = door.sweep()
    put(door, sweep, runs=7, gpu_hours=2, action="stop")
    before = door.get(f"/budgets/{sweep}")
    (entry,) = door.get(f"/ledger/entries?stream=budget:{sweep}")["entries"]
    assert entry["actor"]["role"] == "administrator"
    assert entry["data"] == {"runs": 7, "gpu_ms": 7_200_000, "action": "stop"}
    assert open_door().get(f"/budgets/{sweep}") == before
