"""Alerts: asked by a run, an agent or a person, answered by typed actions, waited for by nobody."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tallystick.domain.ids import Role
from tests.http.door import Door
from tests.http.executing import end, executing

FIELDS = {
    *("id", "run_id", "timestamp", "severity", "message", "choices", "status", "response"),
    *("responded_at", "session_id", "auto_session"),
}
"""What agents that know older servers read."""


def raised(door: Door, run: str, **fields: Any) -> Any:
    token = fields.pop("token", "agent")
    body = {"message": "loss is NaN", "choices": ["continue", "stop"], **fields}
    return door.post(f"/runs/{run}/alerts", body, token=token)


def answered(door: Door, alert: str, **body: Any) -> Any:
    return door.post(f"/alerts/{alert}/respond", body)


def test_an_alert_has_the_fields_that_agents_know(door: Door) -> None:
    run = door.run(door.sweep())["id"]
    made = raised(door, run, severity="critical")
    assert made["receipt"]["seq"] == made["alert"]["seq"]
    (alert,) = door.get(f"/alerts?run_id={run}")
    assert alert["id"] == made["alert_id"]
    assert set(alert) >= FIELDS
    assert (alert["run_id"], alert["severity"], alert["status"]) == (run, "critical", "pending")
    assert alert["choices"] == ["continue", "stop"]
    assert (alert["response"], alert["responded_at"]) == (None, None)
    assert (alert["session_id"], alert["auto_session"]) == ("conversation-1", False)


def test_a_severity_that_is_none_counts_as_warning_and_is_said(door: Door) -> None:
    made = raised(door, door.run(door.sweep())["id"], severity="apocalyptic")
    assert made["alert"]["severity"] == "warning"
    assert made["warnings"][0]["code"] == "severity_unknown"


@pytest.mark.parametrize(
    "choices",
    [[], [1], [None], [{"action": "stop"}], [{"label": 5}], [{"label": "x", "action": "explode"}],
     [" "], ["a", "a"], ["x" * 501], ["x\x00"], [str(n) for n in range(17)]],
)  # fmt: skip
def test_choices_that_cannot_be_answered_are_refused(door: Door, choices: list[Any]) -> None:
    run = door.run(door.sweep())["id"]
    body = {"message": "m", "choices": choices}
    answer = door.call("POST", f"/runs/{run}/alerts", json=body)
    assert answer.status_code == 422, answer.text
    assert door.get(f"/alerts?run_id={run}") == []


def test_the_same_key_raises_one_alert(door: Door) -> None:
    run = door.run(door.sweep())["id"]
    body = {"message": "m", "choices": ["stop"]}
    made = [
        door.post(f"/runs/{run}/alerts", body, headers={"Idempotency-Key": "once"})["alert_id"]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(door.get(f"/runs/{run}/alerts")) == 1


def test_a_job_raises_an_alert_with_its_own_token_and_reads_the_answer(door: Door) -> None:
    sweep = door.sweep()
    run, attempt = executing(door, sweep)
    other, _ = executing(door, sweep)
    token = door.secret(attempt, Role.RUN)
    made = raised(door, run, token=token)
    assert (made["alert"]["source"], made["alert"]["raised_by"]) == ("job", "run")
    body = {"message": "m", "choices": ["stop"]}
    elsewhere = door.call("POST", f"/runs/{other}/alerts", json=body, token=token)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "token_scope")
    denied = door.call(
        "POST", f"/alerts/{made['alert_id']}/respond", json={"choice": "stop"}, token=token
    )
    assert denied.status_code == 403, "a job does not answer itself"
    path = f"/runs/{run}/alerts/{made['alert_id']}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(door.get, f"{path}?wait=55", token=token)
        answered(door, made["alert_id"], choice="continue", note="it recovers")
        found = waiting.result()
    assert (found["status"], found["response"], found["note"]) == (
        "resolved", "continue", "it recovers",
    )  # fmt: skip
    strange = door.call("GET", f"/runs/{other}/alerts/{made['alert_id']}")
    assert (strange.status_code, strange.json()["code"]) == (404, "alert_not_found")


def test_dont_stop_is_a_note_and_stops_nothing(door: Door) -> None:
    """X10: an action follows from a typed word and never from a part of a text."""
    run, _ = executing(door, door.sweep())
    words = ["Don't stop", "STOP", "stop now", "please continue", "stop"]
    made = raised(door, run, choices=words)
    actions = {one["label"]: one["action"] for one in made["alert"]["options"]}
    assert actions == {**dict.fromkeys(words, "note"), "stop": "stop"}
    assert answered(door, made["alert_id"], choice="Don't stop")["alert"]["action"] == "note"
    assert door.get(f"/runs/{run}")["status"] == "running"
    assert door.server.backend.cancelled == []  # type: ignore[attr-defined]


def test_stop_ends_the_run_by_the_ordinary_stop(door: Door) -> None:
    run, _ = executing(door, door.sweep())
    made = raised(door, run)
    answer = answered(door, made["alert_id"], choice="stop")
    assert "being stopped" in answer["message"]
    found = door.get(f"/runs/{run}")
    assert found["reason"] == "stopping: waiting for every process of the run to end"
    waiting = door.run(door.sweep(), auto_start=False)["id"]
    made = raised(door, waiting, choices=[{"label": "give up", "action": "stop"}])
    answered(door, made["alert_id"], choice="give up")
    assert door.get(f"/runs/{waiting}")["status"] == "stopped"


def test_a_named_action_counts_more_than_what_a_choice_says(door: Door) -> None:
    run, _ = executing(door, door.sweep())
    made = raised(door, run, choices=["looks bad", "continue"])
    answer = answered(door, made["alert_id"], choice="looks bad", action="stop", note="enough")
    assert (answer["alert"]["response"], answer["alert"]["action"]) == ("looks bad", "stop")
    alone = raised(door, run)
    assert answered(door, alone["alert_id"], action="continue")["alert"]["response"] == "continue"


def test_an_answer_is_given_once_and_repeating_it_is_harmless(door: Door) -> None:
    made = raised(door, door.run(door.sweep())["id"])
    assert answered(door, made["alert_id"], choice="continue")["already"] is False
    size = door.server.ledger.size
    assert answered(door, made["alert_id"], choice="continue")["already"] is True
    assert door.server.ledger.size == size
    other = door.call("POST", f"/alerts/{made['alert_id']}/respond", json={"choice": "stop"})
    assert (other.status_code, other.json()["code"]) == (409, "alert_answered")


@pytest.mark.parametrize("body", [{}, {"choice": "maybe"}, {"choice": ""}, {"note": "x"}])
def test_an_answer_that_is_none_names_the_choices(door: Door, body: Any) -> None:
    made = raised(door, door.run(door.sweep())["id"])
    answer = door.call("POST", f"/alerts/{made['alert_id']}/respond", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "choice_unknown")
    assert "'continue', 'stop'" in answer.json()["detail"]


def test_an_unanswered_alert_holds_up_neither_reports_nor_the_end(door: Door) -> None:
    """X9: supervision never waits for an answer."""
    run, attempt = executing(door, door.sweep())
    made = raised(door, run, token=door.secret(attempt, Role.RUN))
    door.post(f"/runs/{run}/metrics", {"rows": [{"step": 1, "loss": 0.5}]})
    end(door, attempt)
    door.indexed(run)
    found = door.get(f"/runs/{run}")
    assert (found["status"], found["exit_code"], found["metrics"]["loss"]) == ("finished", 0, 0.5)
    assert door.get(f"/alerts/{made['alert_id']}")["status"] == "pending"
    late = answered(door, made["alert_id"], choice="stop")
    assert late["alert"]["action"] == "stop"
    assert door.get(f"/runs/{run}")["status"] == "finished"


def test_an_agent_of_one_session_answers_no_alert_of_another(door: Door) -> None:
    made = raised(door, door.run(door.sweep("theirs"), chat_session_id="theirs")["id"])
    bound = door.post("/tokens", {"role": "agent", "session": "ours"}, token="admin")["token"]
    path = f"/alerts/{made['alert_id']}/respond"
    denied = door.call("POST", path, json={"choice": "stop"}, token=bound)
    assert (denied.status_code, denied.json()["code"]) == (403, "session_scope")
    run = door.run(door.sweep("theirs"), chat_session_id="theirs")["id"]
    body = {"message": "m", "choices": ["stop"]}
    denied = door.call("POST", f"/runs/{run}/alerts", json=body, token=bound)
    assert (denied.status_code, denied.json()["code"]) == (403, "session_scope")


def test_alerts_are_listed_newest_first_in_pages_and_by_what_is_asked(door: Door) -> None:
    run = door.run(door.sweep("paged"), chat_session_id="paged")["id"]
    made = [raised(door, run, severity=word)["alert_id"] for word in ("info", "warning", "info")]
    answered(door, made[0], choice="continue")
    query = "/alerts?chat_session_id=paged"
    assert [one["id"] for one in door.get(query)] == made[::-1]
    assert [one["id"] for one in door.get(f"{query}&status=pending")] == made[:0:-1]
    assert [one["id"] for one in door.get(f"{query}&status=resolved")] == made[:1]
    assert [one["id"] for one in door.get(f"{query}&severity=info")] == [made[2], made[0]]
    first = door.get(f"{query}&limit=2&cursor=")
    second = door.get(f"{query}&limit=2&cursor={first['next_cursor']}")
    assert [one["id"] for one in [*first["items"], *second["items"]]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_secret_in_an_alert_is_cut_out_before_it_is_recorded(door: Door) -> None:
    run = door.run(door.sweep())["id"]
    made = raised(door, run, message="password=hunter2hunter2 did not work")
    assert "hunter2" not in door.get(f"/alerts/{made['alert_id']}")["message"]


def test_alerts_and_answers_are_the_same_after_a_restart(open_door: Callable[[], Door]) -> None:
    door = open_door()
    run = door.run(door.sweep())["id"]
    first, second = raised(door, run), raised(door, run)
    answered(door, first["alert_id"], choice="continue", note="fine")
    before = door.get("/alerts")
    again = open_door()
    assert again.get("/alerts") == before
    assert again.get(f"/alerts/{second['alert_id']}")["status"] == "pending"
    assert again.problems() == []


def test_another_answer_with_the_same_action_is_no_repetition(door: Door) -> None:
    made = raised(door, door.run(door.sweep())["id"], choices=["looks fine", "look again"])
    answered(door, made["alert_id"], choice="looks fine")
    size = door.server.ledger.size
    path = f"/alerts/{made['alert_id']}/respond"
    other = door.call("POST", path, json={"choice": "look again"})
    assert (other.status_code, other.json()["code"]) == (409, "alert_answered")
    assert "'looks fine'" in other.json()["detail"]
    assert answered(door, made["alert_id"], choice="looks fine")["already"] is True
    assert door.server.ledger.size == size
    assert door.get(f"/alerts/{made['alert_id']}")["response"] == "looks fine"
