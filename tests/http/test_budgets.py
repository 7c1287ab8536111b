"""Budgets: set and changed by people only, known to everybody, each in the ledger."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.http.door import Door
from tests.http.executing import end, executing


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


def test_a_number_that_is_too_large_to_be_one_is_refused(door: Door) -> None:
    path, headers = f"/budgets/{door.sweep()}", {"Content-Type": "application/json"}
    for body in (b'{"gpu_hours": 1e999}', b'{"wall_hours": -1e999}', b'{"runs": 1e999}'):
        answer = door.call("PUT", path, content=body, token="admin", headers=headers)
        assert answer.status_code == 422, answer.text


def moved(door: Door, run: str, sweep: str, *, token: str = "agent") -> tuple[int, str | None]:
    answer = door.call("POST", f"/runs/{run}/add-to-sweep?sweep_id={sweep}", token=token)
    return answer.status_code, answer.json().get("code")


def test_a_run_that_is_moved_counts_in_the_budget_of_its_new_sweep(door: Door) -> None:
    full, other = door.sweep(), door.sweep()
    put(door, full, runs=2)
    door.run(full)
    first, second = (door.run(other)["id"] for _ in range(2))
    assert moved(door, first, full) == (200, None)
    assert moved(door, second, full) == (422, "budget_exceeded")
    assert door.get(f"/budgets/{full}")["runs"]["used"] == 2
    assert door.get(f"/runs/{second}")["sweep_id"] == other
    assert moved(door, first, full) == (200, None), "it is there already"


def test_what_has_run_leaves_a_budget_of_runs_only_by_people(door: Door) -> None:
    full, other = door.sweep(), door.sweep()
    put(door, full, runs=2)
    run, attempt = executing(door, full)
    waiting = door.run(full)["id"]
    assert moved(door, waiting, other) == (200, None), "it has used nothing"
    end(door, attempt)
    assert moved(door, run, other) == (422, "budget_exceeded")
    assert door.get(f"/budgets/{full}")["runs"]["used"] == 1
    assert moved(door, run, other, token="admin") == (200, None)


def test_two_people_who_set_different_limits_at_once_both_do(door: Door) -> None:
    sweep = door.sweep()
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, 16):
            setting = [
                pool.submit(put, door, sweep, **{field: number}) for field in ("runs", "wall_hours")
            ]
            for one in setting:
                one.result()
            found = door.get(f"/budgets/{sweep}")
            assert (found["runs"]["limit"], found["wall_hours"]["limit"]) == (number, number)


def test_two_changes_of_one_run_at_once_lose_nothing_in_silence(door: Door) -> None:
    run = door.run(door.sweep())["id"]
    path = f"/runs/{run}"
    with ThreadPoolExecutor(2) as pool:
        for number in range(1, 16):
            bodies = [{"priority": number}, {"retries": number}]
            answers = [pool.submit(door.call, "PUT", path, json=body) for body in bodies]
            found = [one.result() for one in answers]
            shown = door.get(path)
            assert 200 in {answer.status_code for answer in found}
            for body, answer in zip(bodies, found, strict=True):
                if answer.status_code == 200:
                    assert {key: shown[key] for key in body} == body
                else:
                    assert (answer.status_code, answer.json()["code"]) == (409, "edited_meanwhile")
