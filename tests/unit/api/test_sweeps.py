import threading

import pytest

from tallystick.api import sweep_views
from tests.unit.api.in_process import SESSION, Api


def test_a_sweep_has_the_shape_that_agents_read(api: Api) -> None:
    sweep = api.sweep(name="lr", goal="which one")
    assert sweep["id"].startswith("swp_")
    assert (sweep["name"], sweep["goal"], sweep["is_wild"]) == ("lr", "which one", True)
    assert (sweep["status"], sweep["run_ids"], sweep["progress"]["total"]) == ("pending", [], 0)
    assert sweep["chat_session_id"] == SESSION
    assert sweep["creation_context"]["goal"] == "which one"
    assert sweep["warnings"] == []


def test_every_field_but_the_session_may_be_left_out(api: Api) -> None:
    sweep = api.post("/sweeps/wild", {"chat_session_id": "c"})
    assert (sweep["name"], sweep["goal"]) == ("Wild Loop Sweep", "")


def test_a_creating_answer_carries_a_receipt_that_the_ledger_confirms(api: Api) -> None:
    receipt = api.sweep()["receipt"]
    proof = api.get(f"/ledger/proof/{receipt['seq']}")
    assert proof["leaf_hash"] == receipt["leaf_hash"]
    assert int(receipt["checkpoint"].split("\n")[1]) > receipt["seq"]


def test_without_a_session_the_refusal_names_the_call_to_make(api: Api) -> None:
    answer = api.call("POST", "/sweeps/wild", json={"name": "x"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "session_required")
    assert "chat_session_id" in problem["next_actions"][0]


@pytest.mark.parametrize(
    "placeholder", ["$CHAT_SESSION_ID", "${CHAT_SESSION_ID}", "<chat_session_id>", "{{session_id}}"]
)
def test_an_unexpanded_variable_is_accepted_never_silently(api: Api, placeholder: str) -> None:
    sweep = api.post("/sweeps/wild", {"name": "x", "chat_session_id": placeholder})
    assert sweep["chat_session_id"] == "unattributed"
    assert sweep["violations"] == ["session_placeholder"]
    assert sweep["compliant"] is False
    (warning,) = sweep["warnings"]
    assert warning["code"] == "session_placeholder"
    assert "'\"$CHAT_SESSION_ID\"'" in warning["detail"]


def test_the_first_run_with_a_real_session_names_the_sweeps_session(api: Api) -> None:
    sweep = api.post("/sweeps/wild", {"name": "x", "chat_session_id": "$CHAT_SESSION_ID"})
    api.register(sweep_id=sweep["id"], chat_session_id="real-1")
    assert api.get(f"/sweeps/{sweep['id']}")["chat_session_id"] == "real-1"


def test_the_same_key_and_body_make_one_sweep(api: Api) -> None:
    headers = {"Idempotency-Key": "once-1"}
    first = api.sweep_with(headers, name="once")
    again = api.sweep_with(headers, name="once")
    assert again["id"] == first["id"]
    assert again["name"] == "once"
    assert again["receipt"]["seq"] == first["receipt"]["seq"]


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "once-2"}
    api.sweep_with(headers, name="a")
    body = {"name": "b", "chat_session_id": SESSION}
    answer = api.call("POST", "/sweeps/wild", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


def test_an_unusable_key_is_refused(api: Api) -> None:
    body = {"name": "b", "chat_session_id": SESSION}
    answer = api.call("POST", "/sweeps/wild", json=body, headers={"Idempotency-Key": "x" * 256})
    assert answer.json()["code"] == "idempotency_key_invalid"


def test_a_sweeps_progress_and_runs_follow_from_its_runs(api: Api) -> None:
    sweep = api.sweep()
    made = [api.register(sweep_id=sweep["id"])["id"] for _ in range(3)]
    api.post(f"/runs/{made[0]}/stop")
    found = api.get(f"/sweeps/{sweep['id']}")
    assert found["run_ids"] == made
    assert (found["progress"]["ready"], found["progress"]["canceled"]) == (2, 1)


def test_sweeps_are_listed_newest_first_and_in_pages(api: Api) -> None:
    made = [api.post("/sweeps/wild", {"chat_session_id": "paged"})["id"] for _ in range(5)]
    assert [sweep["id"] for sweep in api.get("/sweeps?chat_session_id=paged")] == made[::-1]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.get(f"/sweeps?chat_session_id=paged&limit=2&cursor={cursor}")
        seen += [sweep["id"] for sweep in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


def test_a_sweep_that_is_not_there_is_not_found(api: Api) -> None:
    for key in ("swp_ffffffffffff", "x", "%00", "$SWEEP_ID"):
        answer = api.call("GET", f"/sweeps/{key}")
        assert (answer.status_code, answer.json()["code"]) == (404, "sweep_not_found")
        assert answer.json()["detail"].startswith("Sweep not found")


def test_waiting_for_a_sweep_answers_when_its_status_changes(api: Api) -> None:
    sweep = api.sweep()["id"]
    run = api.register(sweep_id=sweep)["id"]
    waiting = api.begin("GET", f"/sweeps/{sweep}?wait=30")
    threading.Event().wait(0.05)
    assert not waiting.done()
    api.post(f"/runs/{run}/stop")
    assert waiting.result(10).json()["status"] == "canceled"


def test_what_is_given_twice_is_said_to_be_overridden(api: Api) -> None:
    here, there = api.sweep()["id"], api.sweep()["id"]
    run = api.post(f"/sweeps/{here}/runs", {"name": "r", "command": "true", "sweep_id": there})
    assert run["sweep_id"] == here
    assert run["chat_session_id"] == SESSION
    assert [item["code"] for item in run["warnings"]] == ["sweep_id_overridden"]


def test_a_list_of_sweeps_names_the_first_runs_of_each_and_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_views, "MOST_RUN_IDS_IN_LIST", 2)
    monkeypatch.setattr(sweep_views, "MOST_RUN_IDS", 4)
    ids: dict[str, list[str]] = {}
    for count in (0, 2, 3, 5):
        sweep = api.sweep()["id"]
        ids[sweep] = [api.register(sweep_id=sweep)["id"] for _ in range(count)]
    listed = {item["id"]: item for item in api.get("/sweeps?limit=4")}
    for sweep, runs in ids.items():
        in_list, alone = listed[sweep], api.get(f"/sweeps/{sweep}")
        assert (in_list["run_ids"], in_list["run_ids_truncated"]) == (runs[:2], len(runs) > 2)
        assert (alone["run_ids"], alone["run_ids_truncated"]) == (runs[:4], len(runs) > 4)
