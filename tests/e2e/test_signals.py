"""Knowing without polling, with real processes: webhooks, Apprise, alerts, silence, budgets."""

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.unit.control.receiver import Receiver, is_signed, receiving

SECRET = "whsec_" + base64.b64encode(b"e" * 32).decode()
PASSWORD = "s3cr3tpassword"

ASKS = """
import json, os, urllib.request
def call(path, body):
    request = urllib.request.Request(
        os.environ["TALLY_SERVER_URL"] + path, data=json.dumps(body).encode(),
        headers={"X-Auth-Token": os.environ["TALLY_TOKEN"], "Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))
run = os.environ["TALLY_RUN_ID"]
print(call(f"/runs/{run}/alerts", {"message": "loss is NaN", "choices": ["continue", "stop"]}))
print(call(f"/runs/{run}/metrics", {"rows": [{"step": 1, "loss": 0.5}]}))
"""
"""A job that asks for somebody and goes on."""


@dataclass
class Place:
    """A server, and those whom it tells."""

    server: ServerProcess
    hook: Receiver
    chat: Receiver

    def told(self, kind: str, run: str | None = None) -> list[Any]:
        """What the webhook was sent of one type."""
        return [
            one.json
            for one in list(self.hook.received)
            if one.json["type"] == kind and run in {None, one.json["data"].get("run_id")}
        ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with receiving() as hook, receiving() as chat:
        with receiving() as closed:
            dead = closed.url
        environment = {
            "TALLY_EXECUTION_MAX_CONCURRENT": "4",
            "TALLY_EXECUTION_SILENCE_MINUTES": "0.03",
            "TALLY_NOTIFY_WEBHOOKS": f"{dead}/{PASSWORD} {hook.url}",
            "TALLY_NOTIFY_WEBHOOK_SECRET": SECRET,
            "TALLY_NOTIFY_CHANNELS": chat.url.replace("http://", f"json://me:{PASSWORD}@"),
        }
        directory = tmp_path_factory.mktemp("signals")
        with running_server(directory, environment=environment) as server:
            yield Place(server, hook, chat)


def test_a_failed_run_and_a_finished_sweep_are_told_signed_while_another_receiver_is_dead(
    place: Place,
) -> None:
    sweep = place.server.sweep(name="a grid")
    run = place.server.run(sweep, "echo loss=NaN; exit 3", name="lr-1e-2")["id"]
    (failed,) = eventually(lambda: place.told("run.failed", run))
    assert failed["data"]["run_name"] == "lr-1e-2"
    assert failed["data"]["exit_code"] == 3
    eventually(
        lambda: [one for one in place.told("sweep.done") if one["data"]["sweep_id"] == sweep]
    )
    assert all(is_signed(one, SECRET) for one in place.hook.received)


def test_people_are_told_through_apprise(place: Place) -> None:
    place.server.run(place.server.sweep(), "exit 4", name="for people")
    eventually(lambda: [one for one in list(place.chat.received) if "Run " in json.dumps(one.json)])


def test_what_could_not_be_told_before_a_kill_is_told_after_the_restart(place: Place) -> None:
    place.hook.always = 503
    before = len(place.hook.received)
    run = place.server.run(place.server.sweep(), "exit 5")["id"]
    place.server.ended(run)
    eventually(lambda: len(place.hook.received) > before)
    place.server.kill()
    place.hook.always = None
    refused = {one.id for one in place.hook.received[before:]}
    again = len(place.hook.received)
    place.server.start()

    def came() -> bool:
        later = {one.id for one in place.hook.received[again:]}
        return refused <= later and bool(place.told("run.failed", run))

    eventually(came)


def test_an_alert_of_a_job_that_nobody_answers_holds_up_nothing(place: Place) -> None:
    """X9, with a real supervisor."""
    script = Path(place.server.workspace) / "asks.py"
    script.write_text(ASKS)
    run = place.server.run(place.server.sweep(), f"{sys.executable} asks.py")["id"]
    found = place.server.ended(run)
    assert (found["status"], found["exit_code"]) == ("finished", 0), place.server.log()
    assert found["metrics"]["loss"] == 0.5
    (alert,) = place.server.get(f"/alerts?run_id={run}")
    assert (alert["status"], alert["source"]) == ("pending", "job")
    (told,) = eventually(lambda: place.told("alert.raised", run))
    assert told["data"]["message"] == "loss is NaN"


def test_a_silent_run_is_told_once_goes_on_and_can_be_stopped_by_the_answer(place: Place) -> None:
    run = place.server.run(place.server.sweep(), "sleep 600")["id"]

    def asked() -> list[Any]:
        found = place.server.get(f"/alerts?run_id={run}")
        return list(found)

    (alert,) = eventually(asked)
    assert (alert["source"], alert["choices"]) == ("rule", ["continue", "stop"])
    assert place.server.get(f"/runs/{run}")["status"] == "running"
    place.server.post(f"/alerts/{alert['id']}/respond", {"choice": "stop"})
    assert place.server.ended(run)["status"] == "stopped"
    assert len(asked()) == 1


def test_a_budget_of_time_stops_what_is_active_and_tells(place: Place) -> None:
    sweep = place.server.sweep()
    run = place.server.run(sweep, "sleep 600")["id"]
    eventually(lambda: place.server.get(f"/runs/{run}")["status"] == "running")
    limits = {"wall_hours": 0.00001, "action": "stop"}
    answer = place.server.call("PUT", f"/budgets/{sweep}", limits, token="admin")
    assert answer.status == 200
    assert place.server.ended(run)["status"] == "stopped"
    assert place.server.get(f"/budgets/{sweep}")["wall_hours"]["reached"] is True
    eventually(
        lambda: [one for one in place.told("budget.reached") if one["data"]["scope"] == sweep]
    )
    refused = place.server.call(
        "POST",
        f"/sweeps/{sweep}/runs",
        {"name": "n", "command": "true", "chat_session_id": "chat-1"},
    )
    assert (refused.status, refused.body["code"]) == (422, "budget_exceeded")


def test_no_secret_stands_in_a_log_an_argument_list_the_ledger_or_a_page(place: Place) -> None:
    process = place.server.process
    assert process is not None
    secrets = [PASSWORD, SECRET, SECRET.removeprefix("whsec_")]
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    pages = json.dumps([place.server.get(path) for path in ("/health", "/cluster", "/alerts")])
    entries = json.dumps(place.server.get("/ledger/entries?limit=1000"))
    tables = b"".join(file.read_bytes() for file in place.server.data_dir.glob("tally.db*"))
    for secret in secrets:
        assert secret not in place.server.log()
        assert secret not in arguments + pages + entries
        assert secret.encode() not in tables
    assert "webhook 1: no answer" in place.server.log()


def test_a_server_with_a_dead_receiver_ends_at_once(place: Place) -> None:
    place.hook.hold.clear()
    before = len(place.hook.received)
    place.server.run(place.server.sweep(), "exit 6")
    eventually(lambda: len(place.hook.received) > before)
    assert place.server.stop() == 0
