"""POST /sweeps and what follows: declared spaces through the whole server (P2.2)."""

import hashlib
import itertools
import json
import shlex
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tallystick.domain.params import encode
from tallystick.ledger.canonical import canonical
from tallystick.testing.server import eventually
from tests.http.door import Door

SESSION = "conversation-1"
GRID: Mapping[str, Any] = {"lr": [0.1, 0.01], "bs": [16, 32], "opt": "adam"}


def not_of_lint(answer: Any) -> list[Any]:
    """What an answer warns of beside what lint says about the command."""
    return [one for one in answer["warnings"] if one["name"] is None]


def declare(door: Door, parameters: Mapping[str, Any] | None = None, **fields: Any) -> Any:
    return door.post("/sweeps", body_of(parameters, **fields))


def body_of(parameters: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    known = {"name": "grid", "base_command": "python train.py", "chat_session_id": SESSION}
    return {**known, "parameters": dict(GRID if parameters is None else parameters), **fields}


def refused(door: Door, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = door.call(method, path, json=body)
    return answer.status_code, answer.json()["code"]


def settled(door: Door, sweep: str) -> Any:
    """The sweep, once the planner has nothing left to do for it."""

    def look() -> Any:
        found = door.get(f"/sweeps/{sweep}")
        moving = (found["reason"] or "").startswith(("registering", "queueing"))
        return found if found["registered"] == found["planned"] and not moving else None

    return eventually(look)


def runs_of(door: Door, sweep: str) -> list[Any]:
    found = door.get(f"/runs?sweep_id={sweep}&limit=1000")
    return sorted(found, key=lambda run: run["seq"])


def digest_of(points: list[dict[str, Any]]) -> str:
    """As anybody makes it from the answers alone."""
    lines = b"".join(canonical(encode(point)) + b"\n" for point in points)
    return hashlib.sha256(lines).hexdigest()


def test_a_grid_becomes_exactly_its_runs_in_the_order_and_form_that_older_agents_know(
    door: Door,
) -> None:
    made = declare(door, goal="which one")
    assert (made["status"], made["is_wild"], made["run_ids"]) == ("pending", False, [])
    assert (made["base_command"], made["parameters"]) == ("python train.py", dict(GRID))
    assert (made["plan"]["count"], made["plan"]["size"], made["plan"]["strategy"]) == (4, 4, "grid")
    assert made["receipt"]["seq"] == made["seq"] < made["plan"]["seq"]
    assert not_of_lint(made) == []
    found = settled(door, made["id"])
    assert (found["registered"], found["planned"], len(found["run_ids"])) == (4, 4, 4)
    runs = runs_of(door, made["id"])
    assert [run["name"] for run in runs] == [f"grid #{i}" for i in range(1, 5)]
    assert [run["command"] for run in runs] == [
        f"python train.py --lr={lr} --bs={bs} --opt=adam"
        for lr, bs in itertools.product([0.1, 0.01], [16, 32])
    ]
    assert [run["params"] for run in runs] == [run["sweep_params"] for run in runs]
    assert digest_of([run["params"] for run in runs]) == made["plan"]["digest"]
    assert {run["chat_session_id"] for run in runs} == {SESSION}
    assert {run["status"] for run in runs} == {"ready"}
    assert found["creation_context"]["command"] == "python train.py"
    assert found["creation_context"]["hyperparameter_count"] == 2


def test_a_twelve_point_grid_is_never_cut_to_ten_and_max_runs_says_what_it_cuts(
    door: Door,
) -> None:
    twelve = {"a": [1, 2, 3], "b": [1, 2, 3, 4]}
    whole = declare(door, twelve)
    assert (whole["plan"]["count"], whole["max_runs"], not_of_lint(whole)) == (12, None, [])
    assert len(settled(door, whole["id"])["run_ids"]) == 12
    cut = declare(door, {"a": {"min": 1, "max": 13_020, "step": 1}}, max_runs=10)
    (warning,) = not_of_lint(cut)
    assert warning["code"] == "max_runs_cut"
    assert "10 of 13,020" in warning["detail"]
    assert (cut["plan"]["count"], cut["plan"]["size"], cut["max_runs"]) == (10, 13_020, 10)
    assert [run["params"]["a"] for run in runs_of(door, settled(door, cut["id"])["id"])] == list(
        range(1, 11)
    )


def test_an_empty_grid_makes_no_run_and_no_status_is_made_up(door: Door) -> None:
    assert refused(door, "POST", "/sweeps", body_of({})) == (422, "space_empty")
    assert refused(door, "POST", "/sweeps", body_of({"a": []})) == (422, "parameters_invalid")
    for status in ("completed", "failed", "canceled", "banana"):
        assert refused(door, "POST", "/sweeps", body_of(status=status)) == (422, "body_invalid")


def test_starting_a_sweeps_runs_with_it_starts_them(door: Door) -> None:
    for fields in ({"auto_start": True}, {"status": "running"}):
        made = declare(door, {"a": [1, 2, 3]}, **fields)
        eventually(
            lambda made=made: (
                all(  # type: ignore[misc]
                    run["status"] in {"launching", "running"} for run in runs_of(door, made["id"])
                )
                and len(runs_of(door, made["id"])) == 3
            )
        )


def test_a_draft_becomes_its_runs_when_it_is_started_or_set_pending_or_running(door: Door) -> None:
    drafts = [declare(door, {"a": [1, 2]}, status="draft", auto_start=True) for _ in range(3)]
    for draft in drafts:
        assert (draft["status"], draft["registered"], draft["planned"]) == ("draft", 0, 2)
        assert "draft" in draft["reason"]
    started = door.post(f"/sweeps/{drafts[0]['id']}/start?parallel=1")
    assert (started["message"], started["already"]) == ("Started 2/2 runs", False)
    assert started["sweep_id"] == drafts[0]["id"]
    for draft, status in zip(drafts[1:], ("pending", "running"), strict=True):
        answer = door.call("PUT", f"/sweeps/{draft['id']}", json={"status": status})
        assert answer.status_code == 200
    found = [settled(door, draft["id"]) for draft in drafts]
    assert [len(sweep["run_ids"]) for sweep in found] == [2, 2, 2]
    assert {run["status"] for run in runs_of(door, drafts[1]["id"])} == {"ready"}
    eventually(lambda: {run["status"] for run in runs_of(door, drafts[2]["id"])} == {"launching"})
    again = refused(door, "PUT", f"/sweeps/{drafts[0]['id']}", {"status": "draft"})
    assert again == (409, "sweep_not_draft")


def test_history_is_immutable_and_a_plan_without_runs_is_not(door: Door) -> None:
    draft = declare(door, {"a": [1, 2]}, status="draft", seeds=2)
    change = {"base_command": "python other.py {a} {seed}", "parameters": {"a": [5, 6, 7]}}
    answer = door.call("PUT", f"/sweeps/{draft['id']}", json={**change, "name": "other"})
    changed = answer.json()
    assert (changed["name"], changed["plan"]["count"]) == ("other", 6)
    assert changed["plan"]["placement"] == "placeholder"
    assert changed["plan"]["digest"] != draft["plan"]["digest"]
    door.post(f"/sweeps/{draft['id']}/start")
    whole = settled(door, draft["id"])
    before = runs_of(door, draft["id"])
    assert before[0]["command"] == "python other.py 5 0"
    for field in (
        {"base_command": "rm -rf /"}, {"parameters": {"a": [1]}}, {"max_runs": 2}, {"seeds": 9},
        {"workdir": "/"},
    ):  # fmt: skip
        assert refused(door, "PUT", f"/sweeps/{draft['id']}", field) == (409, "sweep_immutable")
    echoed = {key: whole[key] for key in ("base_command", "parameters", "max_runs", "workdir")}
    answer = door.call("PUT", f"/sweeps/{draft['id']}", json={**echoed, "goal": "to see"})
    assert (answer.status_code, answer.json()["goal"]) == (200, "to see")
    assert [run["command"] for run in runs_of(door, draft["id"])] == [
        run["command"] for run in before
    ]
    whole = {**echoed, "name": "other", "goal": "to see"}
    answer = door.call("PUT", f"/sweeps/{draft['id']}", json=whole)
    assert (answer.status_code, answer.json()["receipt"]) == (200, None)


def test_values_with_shell_text_in_them_are_one_word(door: Door) -> None:
    nasty = ["; touch x", "$(touch x)", "a b", "", "it's", 'a"b', "\n"]
    made = declare(door, {"v": nasty})
    settled(door, made["id"])
    words = [shlex.split(run["command"]) for run in runs_of(door, made["id"])]
    assert words == [["python", "train.py", f"--v={value}"] for value in nasty]
    for value in (None, {"a": 1}, [[1]], [None]):
        assert refused(door, "POST", "/sweeps", body_of({"v": value}))[1] == "parameters_invalid"


def test_placeholders_and_variables_reach_the_run(door: Door) -> None:
    placed = declare(door, {"lr": [0.1]}, base_command="echo ${HOME} {a,b} {lr}")
    settled(door, placed["id"])
    assert runs_of(door, placed["id"])[0]["command"] == "echo ${HOME} {a,b} 0.1"
    named = declare(
        door, {"lr": [0.1]}, base_command='echo "$lr"', placement="environment", env={"M": "1"}
    )
    settled(door, named["id"])
    (run,) = runs_of(door, named["id"])
    assert run["command"] == 'echo "$lr"'
    assert door.get(f"/runs/{run['id']}")["env"] == {"M": "1", "lr": "0.1"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"parameters": {"a": [1, 1.0]}}, "duplicate_value"),
        ({"parameters": {}, "points": [{"a": 1}, {"a": 1}]}, "duplicate_point"),
        ({"parameters": {"a": {"min": 0, "max": 1}}}, "samples_missing"),
        ({"parameters": {"a": [1, 2]}, "samples": 3}, "space_too_small"),
        ({"parameters": {"a": ["x" * 50 + str(i) for i in range(60)]}}, "space_too_large"),
        ({"base_command": "t {a}", "parameters": {"a": 1, "b": 2}}, "placeholder_missing"),
        ({"base_command": "t '{a}'", "parameters": {"a": "x y"}}, "placeholder_quoted"),
        ({"base_command": "t # {b}", "parameters": {"a": 1}}, "command_unfinished"),
        ({"parameters": {"api_key": "sk-abcdefghijklmnopqrstuvwx"}}, "secret_in_parameters"),
        ({"parameters": {"a b": 1}, "placement": "environment"}, "env_invalid"),
        (
            {"parameters": {"a": 1}, "env": {"a": "2"}, "placement": "environment"},
            "env_invalid",
        ),
        ({"base_command": "  "}, "text_empty"),
        ({"strategy": "bayes"}, "body_invalid"),
        ({"max_runs": 0}, "parameters_invalid"),
        ({"parallel": 0}, "body_invalid"),
        ({"workdir": "/nowhere/at/all"}, "workdir_missing"),
        ({"base_command": "t --token abc{a}defghijkl", "parameters": {"a": 1}},
         "placeholder_invalid"),
    ],
)  # fmt: skip
def test_what_is_not_exact_is_refused_and_creates_nothing(
    door: Door, fields: dict[str, Any], code: str
) -> None:
    size = door.server.ledger.size
    status, found = refused(door, "POST", "/sweeps", body_of(**fields))
    assert (status, found) == (422, code)
    status, found = refused(door, "POST", "/sweeps/preview", body_of(**fields))
    assert (status, found) == (422, code)
    assert door.server.ledger.size == size


def test_a_preview_says_what_would_be_made_and_makes_nothing(door: Door) -> None:
    size = door.server.ledger.size
    body = body_of({"lr": {"min": 1e-5, "max": 1e-1, "num": 5, "scale": "log"}}, seeds=20)
    del body["chat_session_id"]
    seen = door.post("/sweeps/preview", body)
    assert door.server.ledger.size == size
    assert (seen["plan"]["count"], seen["plan"]["seeds"]) == (100, 20)
    assert [run["name"] for run in seen["runs"]] == [f"grid #{i}" for i in range(1, 11)]
    assert seen["runs"][1]["command"] == "python train.py --lr=1e-05 --seed=1"
    made = door.post("/sweeps", {**body, "chat_session_id": SESSION})
    assert made["plan"]["digest"] == seen["plan"]["digest"]


def test_the_same_key_makes_one_sweep(door: Door) -> None:
    headers = {"Idempotency-Key": "grid-once"}
    first = door.post("/sweeps", body_of(), headers=headers)
    settled(door, first["id"])
    again = door.post("/sweeps", body_of(), headers=headers)
    assert (again["id"], again["receipt"]["seq"]) == (first["id"], first["receipt"]["seq"])
    assert len(again["run_ids"]) == 4
    other = door.call("POST", "/sweeps", json=body_of(max_runs=1), headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_random_search_and_explicit_points_are_shown_as_they_were_sent(door: Door) -> None:
    ranges = {"lr": {"min": 1e-5, "max": 0.1, "scale": "log"}, "bs": [16, 32], "k": True}
    drawn = declare(door, ranges, samples=5, seed=7, seeds=[3, 4])
    assert drawn["parameters"] == ranges
    plan = drawn["plan"]
    assert (plan["strategy"], plan["count"], plan["samples"], plan["seed"]) == ("random", 10, 5, 7)
    assert (plan["seeds"], plan["generator"]) == ([3, 4], 1)
    settled(door, drawn["id"])
    params = [run["params"] for run in runs_of(door, drawn["id"])]
    assert digest_of(params) == plan["digest"]
    again = declare(door, ranges, samples=5, seed=7, seeds=[3, 4])
    assert again["plan"]["digest"] == plan["digest"]
    points: list[dict[str, Any]] = [{"lr": 0.1, "note": "a b"}, {"lr": 0.2}]
    listed = declare(door, {"k": 1}, points=points)
    settled(door, listed["id"])
    assert [run["params"] for run in runs_of(door, listed["id"])] == [
        {"k": 1, **point} for point in points
    ]


def test_stop_and_resume_and_archive_say_what_they_did_and_whether_it_was_so(door: Door) -> None:
    sweep = declare(door, {"a": {"min": 1, "max": 300, "step": 1}}, auto_start=True, parallel=1)
    key = sweep["id"]
    eventually(lambda: door.get(f"/sweeps/{key}")["registered"] == 300)
    assert refused(door, "POST", f"/sweeps/{key}/archive") == (409, "sweep_active")
    stopped = door.post(f"/sweeps/{key}/stop")
    assert not stopped["already"]
    eventually(lambda: door.get(f"/sweeps/{key}")["progress"]["queued"] == 0)
    assert door.get(f"/sweeps/{key}")["progress"]["canceled"] >= 299
    assert door.post(f"/sweeps/{key}/unarchive")["already"]
    first = declare(door, {"a": [1]})["id"]
    settled(door, first)
    assert not door.post(f"/sweeps/{first}/archive")["already"]
    assert door.post(f"/sweeps/{first}/archive")["already"]
    assert first not in {item["id"] for item in door.get("/sweeps?limit=1000")}
    assert first in {item["id"] for item in door.get("/sweeps?archived=only&limit=1000")}
    assert first in {item["id"] for item in door.get("/sweeps?archived=true&limit=1000")}
    assert refused(door, "POST", f"/sweeps/{first}/start") == (409, "sweep_archived")
    assert not door.post(f"/sweeps/{first}/unarchive")["already"]
    for verb in ("start", "stop", "resume", "archive", "unarchive"):
        missing = refused(door, "POST", f"/sweeps/swp_ffffffffffff/{verb}")
        assert missing == (404, "sweep_not_found")


def test_a_sweep_says_in_words_what_it_waits_for(door: Door) -> None:
    idle = declare(door, {"a": [1, 2]})
    assert "not started" in settled(door, idle["id"])["reason"]
    assert settled(door, idle["id"])["reason"].endswith(f"POST /sweeps/{idle['id']}/start")


def test_run_ids_are_whole_up_to_a_thousand_and_then_cut_and_marked(door: Door) -> None:
    sweep = declare(door, {"a": {"min": 1, "max": 1_001, "step": 1}})
    found = settled(door, sweep["id"])
    assert (len(found["run_ids"]), found["run_ids_truncated"]) == (1_000, True)
    assert found["progress"]["total"] == 1_001
    began = time.monotonic()
    assert len(json.dumps(door.get("/sweeps?limit=1"))) < 10_000
    assert time.monotonic() - began < 2


def test_nothing_is_wrong_with_the_ledger_or_any_table_after_all_that(door: Door) -> None:
    assert door.problems() == []


def test_null_takes_the_seeds_and_the_cut_out_of_a_draft_again(door: Door) -> None:
    made = declare(door, seeds=3, max_runs=5, status="draft")
    assert made["planned"] == 5
    path = f"/sweeps/{made['id']}"
    assert door.call("PUT", path, json={"name": "still cut"}).json()["planned"] == 5
    assert door.call("PUT", path, json={"max_runs": None}).json()["planned"] == 12
    bare = door.call("PUT", path, json={"seeds": None}).json()
    assert (bare["planned"], bare["max_runs"], bare["plan"]["seeds"]) == (4, None, None)
    assert door.call("PUT", path, json={"seeds": None}).json()["plan"]["seq"] == bare["plan"]["seq"]


def test_an_edit_without_a_body_changes_nothing(door: Door) -> None:
    made = declare(door, status="draft")
    answer = door.call("PUT", f"/sweeps/{made['id']}")
    assert (answer.status_code, answer.json()["plan"]["seq"]) == (200, made["plan"]["seq"])


def test_a_refusal_always_says_what_to_call_next(door: Door) -> None:
    for body in ({"seeds": 0}, {"max_runs": 0}, {"tags": [""]}, {"base_command": " "}):
        answer = door.call("POST", "/sweeps", json=body_of(**body))
        assert answer.status_code == 422
        assert answer.json()["next_actions"], body
