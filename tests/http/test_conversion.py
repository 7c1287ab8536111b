"""What a command would do, and the calls that put it on the record: asked of the server (P7.2)."""

from typing import Any

import pytest

from tallystick.client.client import Client
from tests.http.door import Door

LOOP = "for lr in 0.1 0.2 0.3; do python train.py --lr $lr; done"


def converted(door: Door, command: str, **fields: Any) -> Any:
    return door.post("/convert", {"command": command, **fields})


def test_an_experiment_becomes_a_sweep_and_a_run_and_nothing_is_started(door: Door) -> None:
    size = door.get("/health")["ledger_size"]
    found = converted(door, "python train.py --lr 0.1")
    assert found["verdict"] in {"experiment", "unknown"}
    assert found["convert"]
    assert found["text"] == "python train.py --lr 0.1"[slice(*found["span"])]
    assert [one["path"] for one in found["calls"]] == ["/sweeps/wild", "/runs"]
    assert found["cli"].startswith("tally exec ")
    assert "curl" in found["curl"]
    assert door.get("/health")["ledger_size"] == size


def test_the_calls_can_be_made_as_they_are_once_they_are_filled_in(door: Door) -> None:
    sweep = door.sweep()
    found = converted(door, LOOP, chat_session_id="conversation-1", sweep_id=sweep)
    made = [door.post(one["path"], one["body"]) for one in found["calls"]]
    assert [one["params"] for one in made] == [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]
    assert {one["sweep_id"] for one in made} == {sweep}
    assert {one["chat_session_id"] for one in made} == {"conversation-1"}


def test_a_utility_need_not_be_converted(door: Door) -> None:
    found = converted(door, "git status")
    assert (found["verdict"], found["convert"]) == ("utility", False)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"command": " "}, "text_empty"),
        ({"command": "a\0b"}, "text_invalid"),
        ({"workdir": "here"}, "workdir_relative"),
        ({"files": {str(number): "" for number in range(65)}}, "body_invalid"),
        ({"files": {"a": 1}}, "body_invalid"),
        ({"sweep_id": "x" * 501}, "text_too_long"),
    ],
)
def test_what_is_no_command_is_refused(door: Door, fields: dict[str, Any], code: str) -> None:
    body = {"command": "python train.py", **fields}
    answer = door.call("POST", "/convert", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


TRAINS = "import torch\nfor batch in data:\n    loss.backward()\n    optimizer.step()\n"


@pytest.mark.parametrize(
    ("path", "text", "convert"),
    [
        ("work.py", TRAINS, True),
        ("/p/work.py", TRAINS, True),
        ("work.py", "print('hello')\n", False),
        ("other.py", "print('hello')\n", True),
    ],
)
def test_a_script_that_came_along_decides(
    door: Door, path: str, text: str, *, convert: bool
) -> None:
    found = converted(door, "python work.py", workdir="/p", files={path: text})
    assert found["convert"] is convert, found["detail"]


def test_nothing_is_read_from_the_servers_own_disk(door: Door) -> None:
    (door.workdir / "work.py").write_text("print('hello')\n")
    found = converted(door, "python work.py", workdir=str(door.workdir))
    assert found["verdict"] == "unknown"


def test_whoever_may_only_read_may_ask(door: Door) -> None:
    auditor = door.post("/tokens", {"role": "auditor"}, token="admin")["token"]
    with Client(door.url, auditor, session="conversation-1") as client:
        found = client.convert("python train.py", workdir="/p")
    assert found.convert
    assert found.calls[-1].body["workdir"] == "/p"
