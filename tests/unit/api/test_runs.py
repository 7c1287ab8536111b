import threading
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from tallystick.api import views
from tallystick.control.texts import Texts
from tallystick.domain.ids import Text
from tallystick.projections import runs
from tests.unit.api.in_process import SESSION, Api

FIELDS = {
    "id", "name", "command", "workdir", "status", "created_at", "is_archived", "sweep_id",
    "parent_run_id", "origin_alert_id", "chat_session_id", "gpuwrap_config", "tmux_window",
    "run_dir", "exit_code", "error", "wandb_dir",
}  # fmt: skip
"""What agents read in every run."""


SECRET = "ghp_" + "a1B2" * 9


def refused(api: Api, code: str, status: int = 422, **fields: Any) -> Any:
    body = {"name": "r", "command": "true", "chat_session_id": SESSION, **fields}
    answer = api.call("POST", "/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


def test_a_run_has_the_shape_that_agents_read(api: Api) -> None:
    run = api.register(params={"lr": 0.1, "seed": 3, "batch-size": 32, "tag": "12"})
    assert set(run) >= FIELDS
    assert run["status"] == "ready"
    assert run["params"] == {"lr": 0.1, "seed": 3, "batch-size": 32, "tag": "12"}
    assert run["workdir"] == str(api.workdir)
    again = api.get(f"/runs/{run['id']}")
    changing = {"receipt", "warnings"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in run.items() if k not in changing
    }


def test_a_run_without_a_sweep_is_refused_with_the_call_to_make(api: Api) -> None:
    for absent in ({}, {"sweep_id": None}, {"sweep_id": ""}):
        problem = refused(api, "sweep_required", **absent)
        assert any("/sweeps/wild" in action for action in problem["next_actions"])


def test_a_run_in_a_sweep_that_is_not_there_is_refused(api: Api) -> None:
    refused(api, "sweep_not_found", 404, sweep_id="swp_ffffffffffff")
    problem = refused(api, "sweep_not_found", 404, sweep_id="$SWEEP_ID")
    assert "nothing expanded" in problem["hint"]


def test_the_working_directory_must_exist_now(api: Api, tmp_path: Path) -> None:
    sweep = api.sweep()["id"]
    (tmp_path / "file").write_text("")
    assert (
        "not there" in refused(api, "workdir_missing", sweep_id=sweep, workdir="/no/such")["detail"]
    )
    found = refused(api, "workdir_missing", sweep_id=sweep, workdir=str(tmp_path / "file"))
    assert "a file" in found["detail"]
    refused(api, "workdir_relative", sweep_id=sweep, workdir="here")
    assert api.register(sweep_id=sweep, workdir=str(tmp_path))["workdir"] == str(tmp_path)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"command": ""}, "text_empty"),
        ({"command": " \n"}, "text_empty"),
        ({"command": "a\x00b"}, "text_invalid"),
        ({"name": ""}, "text_empty"),
        ({"name": "x" * 501}, "text_too_long"),
        ({"env": {"A-B": "1"}}, "env_invalid"),
        ({"env": {"A": "\x00"}}, "text_invalid"),
        ({"params": {"a": "x" * 4000}}, "params_too_large"),
        ({"origin_alert_id": "x" * 65}, "text_invalid"),
        ({"origin_alert_id": "the loss is nan"}, "text_invalid"),
        ({"origin_alert_id": SECRET}, "text_invalid"),
        ({"chat_session_id": SECRET}, "session_invalid"),
        ({"params": {"n": 10**30}}, "params_invalid"),
        ({"parent_run_id": "run_zz"}, "run_not_found"),
        ({"parent_run_id": "run_ffffffffffff"}, "run_not_found"),
        ({"gpuwrap_config": {"retries": -2}}, "body_invalid"),
        ({"gpuwrap_config": {"retry_delay_seconds": 0}}, "body_invalid"),
        ({"gpuwrap_config": {"retry_delay_seconds": 601}}, "body_invalid"),
        ({"chat_session_id": "x" * 129}, "session_invalid"),
        ({"chat_session_id": "a\nb"}, "session_invalid"),
        ({"chat_session_id": ""}, "session_required"),
    ],
)
def test_a_field_that_cannot_be_recorded_is_refused(
    api: Api, fields: dict[str, Any], code: str
) -> None:
    status = 404 if code == "run_not_found" else 422
    refused(api, code, status, sweep_id=api.sweep()["id"], **fields)


def test_a_secret_never_comes_back(api: Api) -> None:
    secret = "sk-" + "a1B2" * 8
    run = api.register(
        command=f"train --api-key {secret}", env={"MY_TOKEN": secret}, params={"key": secret}
    )
    assert [item["code"] for item in run["warnings"]] == ["secret_redacted", "R116"]
    run_id = run["id"]
    for path in (f"/runs/{run_id}", "/runs", f"/ledger/entries?stream={run_id}"):
        assert secret not in api.call("GET", path).text
    assert "redacted" in api.get(f"/runs/{run_id}")["env"]["MY_TOKEN"]


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    answer = api.call("POST", "/runs", content=b'{"name":"' + b"x" * 400_000 + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_large_body_is_read_all_the_same(api: Api) -> None:
    command = "true # " + "x" * 200_000
    run = api.register(command=command)
    assert api.get(f"/runs/{run['id']}")["command"] == command
    (listed,) = [item for item in api.get("/runs?limit=1000") if item["id"] == run["id"]]
    assert listed["command_truncated"] is True
    assert listed["command"] == command[:4096]


def test_a_run_is_executed_and_its_end_is_the_kernels_word(fresh_api: Api) -> None:
    api = fresh_api
    run = api.register(command="echo out; exit 3", auto_start=True)
    assert run["status"] == "queued"
    ended = api.finished(run["id"])
    assert (ended["status"], ended["outcome"], ended["exit_code"]) == ("failed", "failed", 3)
    assert ended["error"] == ended["reason"] != ""
    assert ended["run_dir"].endswith(ended["attempt"])
    assert api.get(f"/sweeps/{run['sweep_id']}")["status"] == "failed"


def test_waiting_answers_when_the_status_changes(api: Api) -> None:
    run = api.register()["id"]
    waiting = api.begin("GET", f"/runs/{run}?wait=30")
    threading.Event().wait(0.05)
    assert not waiting.done()
    api.post(f"/runs/{run}/stop")
    assert waiting.result(10).json()["status"] == "stopped"


def test_an_ended_run_answers_a_wait_at_once(api: Api) -> None:
    run = api.register()["id"]
    api.post(f"/runs/{run}/stop")
    assert api.begin("GET", f"/runs/{run}?wait=55").result(5).json()["status"] == "stopped"


def test_a_thousand_wait_beside_normal_traffic(api: Api) -> None:
    run = api.register()["id"]
    waiting = [api.begin("GET", f"/runs/{run}?wait=55") for _ in range(1000)]
    assert api.get("/health")["status"] == "ok"
    api.post(f"/runs/{run}/stop")
    assert {item.result(30).json()["status"] for item in waiting} == {"stopped"}


@pytest.mark.parametrize("query", ["wait=-1", "wait=56", "wait=x"])
def test_a_wait_out_of_range_is_refused(api: Api, query: str) -> None:
    assert api.call("GET", f"/runs/run_ffffffffffff?{query}").status_code == 422


def test_runs_are_listed_newest_first_as_a_plain_array(api: Api) -> None:
    sweep = api.sweep()["id"]
    made = [api.register(sweep_id=sweep, name=f"r{n}")["id"] for n in range(4)]
    assert [run["id"] for run in api.get(f"/runs?sweep_id={sweep}")] == made[::-1]
    assert [run["id"] for run in api.get(f"/runs?sweep_id={sweep}&limit=2")] == made[:1:-1]


def test_pages_joined_are_the_list(api: Api) -> None:
    sweep = api.sweep()["id"]
    made = [api.register(sweep_id=sweep)["id"] for _ in range(5)]
    cursor: str | None = ""
    seen: list[str] = []
    while cursor is not None:
        page = api.get(f"/runs?sweep_id={sweep}&limit=2&cursor={cursor}")
        seen += [run["id"] for run in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1001", "cursor=x", "status=no"])
def test_a_list_asked_for_wrongly_is_refused(api: Api, query: str) -> None:
    assert api.call("GET", f"/runs?{query}").status_code == 422


def test_runs_are_filtered(api: Api) -> None:
    sweep = api.sweep()["id"]
    a, b, c = (api.register(sweep_id=sweep, chat_session_id=f"filter-{n}")["id"] for n in "abc")
    api.post(f"/runs/{b}/stop")
    api.post(f"/runs/{c}/archive")
    wanted = {
        "": {a, b},
        "&status=stopped": {b},
        "&archived=true": {a, b, c},
        "&archived=only": {c},
        "&chat_session_id=filter-a": {a},
    }
    for query, expected in wanted.items():
        assert {run["id"] for run in api.get(f"/runs?sweep_id={sweep}{query}")} == expected


def test_an_unknown_parameter_is_named_in_a_header(api: Api) -> None:
    answer = api.call("GET", "/runs?staus=running")
    assert answer.status_code == 200
    assert "staus" in answer.headers["x-tally-warnings"]


def test_a_run_can_be_edited_before_it_starts_only(fresh_api: Api) -> None:
    api = fresh_api
    run = api.register()["id"]
    edited = api.call("PUT", f"/runs/{run}", json={"name": "new", "command": "echo new"}).json()
    assert (edited["name"], edited["command"]) == ("new", "echo new")
    api.post(f"/runs/{run}/start")
    api.finished(run)
    answer = api.call("PUT", f"/runs/{run}", json={"command": "echo forged"})
    assert (answer.status_code, answer.json()["code"]) == (409, "run_immutable")
    assert api.get(f"/runs/{run}")["command"] == "echo new"


def test_repeating_a_call_is_harmless_and_said(api: Api) -> None:
    run = api.register()["id"]
    for verb, message in (("stop", "Run stopped"), ("archive", "Run archived")):
        first, again = api.post(f"/runs/{run}/{verb}"), api.post(f"/runs/{run}/{verb}")
        assert (first["already"], first["message"], first["id"]) == (False, message, run)
        assert again["already"] is True
        assert again["receipt"] is None
    answer = api.call("POST", f"/runs/{run}/start")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_ended")


def test_a_rerun_is_a_new_run_of_the_same_trial(api: Api) -> None:
    old = api.register(
        name="trial",
        command="echo $A",
        env={"A": "1"},
        params={"lr": 0.5},
        workdir=str(api.workdir),
    )
    new = api.post(f"/runs/{old['id']}/rerun")
    assert new["id"] != old["id"]
    assert new["name"] == "trial (Rerun)"
    assert new["parent_run_id"] == old["id"]
    for field in ("command", "workdir", "sweep_id", "chat_session_id", "params"):
        assert new[field] == old[field]
    assert api.get(f"/runs/{new['id']}")["env"] == {"A": "1"}
    other = api.post(f"/runs/{old['id']}/rerun", {"command": "echo other"})
    assert (other["command"], other["params"]) == ("echo other", {})


def test_a_rerun_does_not_wash_off_a_missing_session(api: Api) -> None:
    old = api.register(chat_session_id="$CHAT_SESSION_ID")
    new = api.post(f"/runs/{old['id']}/rerun")
    assert new["violations"] == ["session_placeholder"]


def test_the_same_key_and_body_make_one_run(api: Api) -> None:
    body = {"name": "r", "command": "echo x", "sweep_id": api.sweep()["id"],
            "chat_session_id": SESSION}  # fmt: skip
    headers = {"Idempotency-Key": "run-once"}
    first, again = (api.post("/runs", body, headers=headers) for _ in range(2))
    assert (again["id"], again["command"]) == (first["id"], "echo x")
    assert len(api.get(f"/runs?sweep_id={body['sweep_id']}")) == 1


def test_what_a_list_costs_does_not_grow_with_its_length(api: Api) -> None:
    sweep = api.sweep()["id"]
    for _ in range(30):
        api.register(sweep_id=sweep)
    counts = []
    for limit in (1, 30):
        with Counting(api) as counting:
            assert len(api.get(f"/runs?sweep_id={sweep}&limit={limit}")) == limit
        counts.append(counting.statements)
    assert counts[0] == counts[1] <= 4


def test_a_list_shows_each_run_as_it_is_now_however_often_it_was_asked_for(api: Api) -> None:
    sweep = api.sweep()["id"]
    made = [api.register(sweep_id=sweep)["id"] for _ in range(3)]

    def listed() -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = api.get(f"/runs?sweep_id={sweep}&archived=true")
        return runs

    assert listed() == listed()
    api.call("PUT", f"/runs/{made[0]}", json={"name": "renamed"})
    api.post(f"/runs/{made[1]}/stop")
    api.post(f"/runs/{made[2]}/archive")
    newest, middle, oldest = listed()
    assert (oldest["name"], middle["status"], newest["is_archived"]) == ("renamed", "stopped", True)
    alone = [api.get(f"/runs/{run}") for run in made[::-1]]
    for entry, whole in zip(listed(), alone, strict=True):
        differing = {name for name in whole if whole[name] != entry[name]}
        assert differing <= {"env", "queue_position", "metrics"}


def test_a_list_that_nothing_moved_asks_one_question(api: Api) -> None:
    sweep = api.sweep()["id"]
    for _ in range(5):
        api.register(sweep_id=sweep)
    api.get(f"/runs?sweep_id={sweep}")
    with Counting(api) as counting:
        assert len(api.get(f"/runs?sweep_id={sweep}")) == 5
    assert counting.statements <= 2, "the page; and the token now and then"


class Counting:
    """Counts the statements that reads send to the database."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.statements = 0

    def __enter__(self) -> Self:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.remove(Engine, "before_cursor_execute", self._count)

    def _count(self, *arguments: Any) -> None:
        if threading.current_thread().name.startswith("tally-reader"):
            self.statements += "FROM" in str(arguments[2])


def test_a_secret_in_place_of_a_name_never_reaches_the_ledger(api: Api) -> None:
    run = api.register(origin_alert_id="alert:loss-1.2_x")
    assert run["origin_alert_id"] == "alert:loss-1.2_x"
    size = api.get("/health")["ledger_size"]
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("/sweeps/wild", {"chat_session_id": SECRET}, "agent"),
        (f"/runs/{run['id']}/rerun", {"chat_session_id": SECRET}, "agent"),
        (f"/runs/{run['id']}/rerun", {"origin_alert_id": SECRET}, "agent"),
        ("/tokens", {"role": "agent", "session": SECRET}, "admin"),
    ]
    for path, body, token in calls:
        answer = api.call("POST", path, json=body, token=token)
        assert (answer.status_code, "secret" in answer.json()["detail"]) == (422, True), path
        assert SECRET not in answer.json()["detail"]
    assert api.get("/health")["ledger_size"] == size


class Noted(Texts):
    """Notes the threads that redact and hash."""

    threads: ClassVar[list[threading.Thread]] = []

    def add(self, text: str) -> Text:
        self.threads.append(threading.current_thread())
        return super().add(text)


def test_a_long_command_is_not_redacted_on_the_event_loop(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop: threading.Thread = api.run(_thread())
    monkeypatch.setattr("tallystick.api.call.Texts", Noted)
    long = "echo " + "word " * 40_000
    run = api.post("/runs", _body(api, long))["id"]
    assert api.call("PUT", f"/runs/{run}", json={"command": long}).status_code == 200
    assert api.post(f"/runs/{run}/rerun", {"command": long})["command"] == long
    assert Noted.threads
    assert loop not in Noted.threads


async def _thread() -> threading.Thread:
    return threading.current_thread()


def _body(api: Api, command: str) -> dict[str, Any]:
    sweep = api.register()["sweep_id"]
    Noted.threads.clear()
    return {"name": "r", "command": command, "chat_session_id": SESSION, "sweep_id": sweep}


def test_a_document_that_a_redaction_broke_does_not_break_the_run(api: Api) -> None:
    run = api.register(gpuwrap_config={"enabled": True, "retries": 3})
    with api.server.database.read() as tx:
        (found,) = runs.many(tx, [run["id"]])
    assert found.gpuwrap is not None
    broken = views.Material(texts={found.gpuwrap.c: '{"a": "token=[redacted token 0]}'})
    assert views.run_view(found, broken).gpuwrap_config is None


def test_a_running_run_says_what_its_progress_bar_says(api: Api) -> None:
    bar = "Epoch 3:  45%|####      | 450/1000 [00:10<10:00, 43.2it/s]"
    command = f"printf '%s' '{bar}'; sleep 60"
    run = api.register(command=command, auto_start=True)["id"]
    api.launched(run)
    found = None
    for _ in range(30):
        found = api.get(f"/runs/{run}?wait=1")["output_progress"]
        if found is not None:
            break
    assert found is not None
    assert (found["fraction"], found["label"]) == (0.45, "Epoch 3")
    assert 500 < found["eta_seconds"] <= 600
    api.post(f"/runs/{run}/stop")
    assert api.finished(run)["output_progress"] is None
