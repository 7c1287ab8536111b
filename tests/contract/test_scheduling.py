"""Sweeps, queue, budgets, alerts and events answer alike on both databases: P2.2, P3.2, P4.2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.contract.database_home import DatabaseHome
from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.contract.database_homes import PostgresHome

SESSION = "chat-1"


@pytest.fixture
def server(home: DatabaseHome, tmp_path: Path) -> Iterator[ServerProcess]:
    environment = {"TALLY_EXECUTION_MAX_CONCURRENT": "1", "TALLY_EXECUTION_RECORD_TREE": "false"}
    if isinstance(home, PostgresHome):
        environment["TALLY_DATABASE_URL"] = home.url
    with running_server(tmp_path, environment=environment) as running:
        yield running


def declared(server: ServerProcess, command: str, **fields: Any) -> Any:
    body = {"name": "s", "base_command": command, "chat_session_id": SESSION, "parameters": {}}
    return server.post("/sweeps", {**body, **fields})


def status_of(server: ServerProcess, sweep: str) -> Any:
    return server.get(f"/sweeps/{sweep}")["status"]


def test_a_sweep_is_queued_drained_stopped_and_resumed_to_its_end(server: ServerProcess) -> None:
    server.post("/cluster/drain", {"reason": "a new driver"}, token="admin")
    sweep = declared(server, "test -e go || sleep 600; true", seeds=3, auto_start=True)["id"]
    eventually(lambda: server.get(f"/sweeps/{sweep}")["progress"]["queued"] == 3)
    queue = server.get("/queue")
    assert [item["position"] for item in queue["items"]] == [1, 2, 3]
    assert queue["items"][0]["pending_reason"] == "the server is drained: a new driver"
    assert server.get(f"/sweeps/{sweep}")["reason"] == "the server is drained: a new driver"
    server.post("/cluster/undrain", {}, token="admin")
    eventually(lambda: server.get(f"/sweeps/{sweep}")["progress"]["running"] == 1)
    waiting = server.get("/runs?status=queued")
    assert sorted(run["queue_position"] for run in waiting) == [1, 2]
    (active,) = server.get("/runs?status=running")
    asked = {"message": "loss is NaN", "choices": ["continue", "stop"]}
    alert = server.post(f"/runs/{active['id']}/alerts", asked)["alert_id"]
    answered = server.post(f"/alerts/{alert}/respond", {"choice": "continue"})
    assert answered["alert"]["status"] == "resolved"
    server.post(f"/sweeps/{sweep}/stop")
    eventually(lambda: status_of(server, sweep) == "canceled")
    (server.workspace / "go").touch()
    server.post(f"/sweeps/{sweep}/resume")
    eventually(lambda: status_of(server, sweep) == "completed")
    told = [event["id"] for event in server.get(f"/wild/v2/events/{SESSION}")]
    assert told
    resolved = server.post(f"/wild/v2/events/{SESSION}/resolve", {"event_ids": told})
    assert resolved["resolved"] == len(told)
    assert server.get(f"/wild/v2/events/{SESSION}") == []


def test_a_budget_and_the_breaker_hold_what_they_are_for(server: ServerProcess) -> None:
    burning = declared(server, "exit 3", seeds=9, auto_start=True)["id"]
    eventually(lambda: server.get(f"/sweeps/{burning}")["paused"])
    assert server.get(f"/sweeps/{burning}")["progress"]["failed"] == 5
    server.post(f"/sweeps/{burning}/stop")
    sweep = declared(server, "true", seeds=4, status="draft")["id"]
    budget = server.call("PUT", f"/budgets/{sweep}", {"runs": 3}, token="admin")
    assert budget.status == 200
    refused = server.call("POST", f"/sweeps/{sweep}/start")
    assert (refused.status, refused.body["code"]) == (422, "budget_exceeded")
    assert "room for 3; found 4 more" in refused.body["detail"]
    server.call("PUT", f"/budgets/{sweep}", {"runs": 4}, token="admin")
    server.post(f"/sweeps/{sweep}/start")
    eventually(lambda: status_of(server, sweep) == "completed")
    assert server.get(f"/budgets/{sweep}")["runs"]["used"] == 4
