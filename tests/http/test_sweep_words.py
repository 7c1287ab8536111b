"""What a sweep says of itself is what holds it up, or what became of it (P2.3)."""

from typing import Any

from tallystick.testing.server import eventually
from tests.http.door import Door
from tests.http.executing import end, executing

PLAN = {
    "name": "grid", "base_command": "true", "parameters": {"a": [1, 2, 3, 4]},
    "chat_session_id": "conversation-1",
}  # fmt: skip


def draft(door: Door) -> str:
    return str(door.post("/sweeps", {**PLAN, "status": "draft"})["id"])


def look(door: Door, sweep: str) -> Any:
    return door.get(f"/sweeps/{sweep}")


def budget(door: Door, sweep: str, **limits: Any) -> None:
    answer = door.call("PUT", f"/budgets/{sweep}", json=limits, token="admin")
    assert answer.status_code == 200, answer.text


def test_a_refused_start_of_an_archived_draft_changes_neither_its_name_nor_makes_its_runs(
    door: Door,
) -> None:
    sweep = draft(door)
    door.post(f"/sweeps/{sweep}/archive")
    before, size = look(door, sweep), door.server.ledger.size
    for status in ("running", "pending"):
        body = {"name": "another", "status": status}
        answer = door.call("PUT", f"/sweeps/{sweep}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "sweep_archived")
    assert door.server.ledger.size == size
    assert look(door, sweep) == before


def test_a_draft_with_more_points_than_its_budget_is_not_started_and_told_how_many_fit(
    door: Door,
) -> None:
    sweep = draft(door)
    budget(door, sweep, runs=3)
    size = door.server.ledger.size
    for method, path, body in (
        ("POST", f"/sweeps/{sweep}/start", None),
        ("PUT", f"/sweeps/{sweep}", {"status": "running"}),
    ):
        answer = door.call(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "budget_exceeded")
        assert "has room for 3; found 4 more" in answer.json()["detail"]
    assert door.server.ledger.size == size
    assert look(door, sweep)["status"] == "draft"
    budget(door, sweep, runs=4)
    door.post(f"/sweeps/{sweep}/start")
    eventually(lambda: look(door, sweep)["registered"] == 4)


def test_a_sweep_whose_queued_runs_wait_says_for_the_drain_or_for_the_spent_budget(
    door: Door,
) -> None:
    sweep = door.sweep()
    door.post("/cluster/drain", {"reason": "new driver"}, token="admin")
    try:
        run = door.run(sweep, auto_start=True)["id"]
        assert "new driver" in look(door, sweep)["reason"]
        budget(door, sweep, gpu_hours=0)
        eventually(lambda: door.get(f"/budgets/{sweep}")["gpu_hours"]["reached"])
        assert look(door, sweep)["reason"] == door.get(f"/runs/{run}")["pending_reason"]
        assert "budget" in look(door, sweep)["reason"]
        budget(door, sweep, gpu_hours=None)
    finally:
        door.post("/cluster/undrain", token="admin")
    eventually(lambda: door.get(f"/runs/{run}")["attempt"])
    assert look(door, sweep)["reason"] is None


def test_a_stopped_sweep_with_a_success_is_canceled_and_says_how_many_were_cancelled(
    door: Door,
) -> None:
    sweep = door.sweep()
    first, *others = [executing(door, sweep)[1] for _ in range(3)]
    end(door, first)
    door.post(f"/sweeps/{sweep}/stop")
    eventually(lambda: len(door.backend.cancelled) >= len(others))
    for attempt in others:
        end(door, attempt, exit_code=143, cause="stop")
    found = eventually(lambda: _ended(look(door, sweep)))
    assert (found["status"], found["progress"]["completed"]) == ("canceled", 1)
    assert found["reason"].startswith("stopped: 2 of its runs were cancelled; ")
    assert found["reason"].endswith(f"POST /sweeps/{sweep}/resume goes on")


def _ended(found: Any) -> Any:
    return found if found["progress"]["canceled"] == 2 else None


def test_a_stop_that_is_repeated_says_whether_runs_are_still_ending(door: Door) -> None:
    sweep = door.sweep()
    run, attempt = executing(door, sweep)
    first = door.post(f"/sweeps/{sweep}/stop")
    assert (first["already"], first["message"]) == (False, "Sweep is being stopped")
    again = door.post(f"/sweeps/{sweep}/stop")
    assert (again["already"], again["message"]) == (True, "Sweep is being stopped already")
    end(door, attempt, exit_code=143, cause="stop")
    eventually(lambda: door.get(f"/runs/{run}")["status"] == "stopped")
    last = door.post(f"/sweeps/{sweep}/stop")
    assert (last["already"], last["message"]) == (True, "Sweep was stopped already")
