"""What a body asks for: resources, retries, tags, dependencies, and GPUs that a command names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from tallystick.domain.capacity import Capacity
from tallystick.testing.backend import FakeBackend, gpus
from tests.unit.api.in_process import Api, build_api

WRAP = {"enabled": True, "retries": 3, "retry_delay_seconds": 20}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A host with two GPUs."""
    room = Capacity(slots=1, cpus=4, devices=gpus(2))
    api = build_api(tmp_path_factory.mktemp("server"), backend=FakeBackend(room))
    yield api
    api.close()


@pytest.fixture
def bare_api(tmp_path: Path) -> Iterator[Api]:
    """A host without GPUs."""
    api = build_api(tmp_path, backend=FakeBackend())
    yield api
    api.close()


def asked(run: dict[str, Any], *names: str) -> list[Any]:
    return [run[name] for name in names]


def not_of_lint(answer: Any) -> list[Any]:
    """What an answer warns of beside what lint says about the command."""
    return [one for one in answer["warnings"] if one["name"] is None]


def refused(api: Api, **fields: Any) -> Any:
    body = {"name": "r", "command": "true", "chat_session_id": "c", **fields}
    answer = api.call("POST", "/runs", json={"sweep_id": api.sweep()["id"], **body})
    assert answer.status_code == 422, answer.text
    return answer.json()


def test_everything_that_was_asked_for_is_shown_again(api: Api) -> None:
    fields = {
        "cpus": 2,
        "gpus": 2,
        "gpu_memory_mb": 1000,
        "memory_mb": 64,
        "priority": -3,
        "timeout_seconds": 1.5,
        "retries": 2,
        "retry_on": ["timed_out", "failed"],
        "retry_delay_seconds": 0,
        "tags": ["baseline", "lr=0.1"],
    }
    run = api.register(**fields)
    assert {name: run[name] for name in fields} == fields
    found = api.get(f"/runs/{run['id']}")
    assert {name: found[name] for name in fields} == fields


def test_a_run_that_asks_for_nothing_shows_the_defaults(api: Api) -> None:
    run = api.register()
    shown = asked(run, "cpus", "gpus", "priority", "timeout_seconds", "retries", "retry_on")
    assert shown == [None, None, 0, None, 0, ["failed"]]
    assert asked(run, "retry_delay_seconds", "tags", "depends_on", "point") == [10, [], [], None]


@pytest.mark.parametrize(
    "fields",
    [
        {"cpus": 0},
        {"gpus": -1},
        {"gpu_memory_mb": 0},
        {"memory_mb": 0},
        {"priority": 101},
        {"priority": -101},
        {"timeout_seconds": 0},
        {"timeout_seconds": -1},
        {"retries": 101},
        {"retries": -1},
        {"retry_delay_seconds": 3601},
        {"retry_on": ["lost"]},
        {"retry_on": ["succeeded"]},
    ],
    ids=str,
)
def test_a_number_outside_its_range_is_refused_with_what_was_expected(
    api: Api, fields: dict[str, Any]
) -> None:
    problem = refused(api, **fields)
    assert problem["code"] == "body_invalid"
    (name,) = fields
    assert name in problem["detail"]
    assert "expected" in problem["detail"]


@pytest.mark.parametrize(
    "tags", [["a b"], [""], ["x" * 41], ["ü"], ["a\n"], [str(n) for n in range(17)]], ids=repr
)
def test_a_tag_is_a_plain_word(api: Api, tags: list[str]) -> None:
    assert refused(api, tags=tags)["code"] == "tags_invalid"


def test_more_gpus_than_the_host_has_are_refused_at_once(api: Api) -> None:
    problem = refused(api, gpus=3)
    assert problem["code"] == "gpus_unavailable"
    assert "expected at most 2" in problem["detail"]


def test_a_command_that_names_its_gpus_asks_for_exactly_those(api: Api) -> None:
    run = api.register(command="CUDA_VISIBLE_DEVICES=1 python t.py")
    assert run["gpus"] == 1
    (warning,) = not_of_lint(run)
    assert warning["code"] == "cuda_visible_devices"
    assert "GPU 1" in warning["detail"]
    entry = api.get(f"/ledger/entries?after={run['seq'] - 1}")["entries"][0]
    assert entry["data"]["demands"] == {"gpus": 1, "pins": ["1"]}


def test_a_command_that_names_other_gpus_than_it_asks_for_is_refused(api: Api) -> None:
    assert refused(api, command="CUDA_VISIBLE_DEVICES=0 x", gpus=2)["code"] == "gpus_conflict"
    assert refused(api, command="CUDA_VISIBLE_DEVICES=7 x")["code"] == "gpus_unavailable"


def test_a_command_that_hides_all_gpus_asks_for_none(api: Api) -> None:
    run = api.register(command="CUDA_VISIBLE_DEVICES= python t.py")
    assert (run["gpus"], not_of_lint(run)) == (0, [])


def test_gpus_named_in_the_environment_are_asked_for_like_those_of_a_command(api: Api) -> None:
    run = api.register(env={"CUDA_VISIBLE_DEVICES": "1"})
    assert (run["gpus"], run["warnings"][0]["code"]) == (1, "cuda_visible_devices")
    assert refused(api, env={"CUDA_VISIBLE_DEVICES": "9"})["code"] == "gpus_unavailable"


def test_another_command_takes_the_old_ones_gpus_out(api: Api) -> None:
    run = api.register(command="CUDA_VISIBLE_DEVICES=1 python t.py")["id"]
    edited = api.call("PUT", f"/runs/{run}", json={"command": "python t.py"}).json()
    assert edited["gpus"] is None
    edited = api.call("PUT", f"/runs/{run}", json={"priority": 7, "gpus": 2}).json()
    assert asked(edited, "priority", "gpus", "command") == [7, 2, "python t.py"]
    again = api.post(f"/runs/{run}/rerun", {"command": "CUDA_VISIBLE_DEVICES=0,1 python t.py"})
    assert asked(again, "priority", "gpus") == [7, 2]


def test_a_rerun_asks_for_what_the_old_run_asked_for(api: Api) -> None:
    old = api.register(cpus=3, retries=2, tags=["a"], timeout_seconds=60)
    new = api.post(f"/runs/{old['id']}/rerun", {"cpus": 4})
    assert asked(new, "cpus", "retries", "tags", "timeout_seconds") == [4, 2, ["a"], 60]
    assert new["parent_run_id"] == old["id"]


def test_the_old_wrapper_asks_for_one_gpu_and_its_retries_are_for_memory(api: Api) -> None:
    run = api.register(gpuwrap_config=WRAP)
    assert asked(run, "gpus", "retries", "retry_on") == [1, 3, ["out_of_memory"]]
    assert run["retry_delay_seconds"] == 20
    endless = api.register(gpuwrap_config={"enabled": True, "retries": -1})
    assert asked(endless, "gpus", "retries") == [1, 0]
    off = api.register(gpuwrap_config={"enabled": False, "retries": 3})
    assert asked(off, "gpus", "retries") == [None, 0]


def test_a_gpu_on_a_host_without_any_is_said_at_once_and_waits_for_nothing(bare_api: Api) -> None:
    run = bare_api.register(gpuwrap_config=WRAP)
    pinned = bare_api.register(command="CUDA_VISIBLE_DEVICES=0 python t.py")
    for answer in (run, pinned):
        assert answer["gpus"] == 0
        assert [item["code"] for item in not_of_lint(answer)] == ["gpus_unavailable"]
    assert refused(bare_api, gpus=1)["code"] == "gpus_unavailable"


def test_a_run_depends_on_runs_that_exist(api: Api) -> None:
    first = api.register()["id"]
    assert api.register(depends_on=[first, first])["depends_on"] == [first]
    body = {"name": "r", "command": "true", "chat_session_id": "c", "sweep_id": api.sweep()["id"]}
    for unknown in ("run_ffffffffffff", "first"):
        answer = api.call("POST", "/runs", json={**body, "depends_on": [unknown]})
        assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")


def test_a_run_is_put_into_another_sweep_while_nothing_of_it_moves(api: Api) -> None:
    old, new = api.sweep()["id"], api.sweep()["id"]
    run = api.register(sweep_id=old)["id"]
    answer = api.post(f"/runs/{run}/add-to-sweep?sweep_id={new}")
    assert (answer["already"], answer["run"]["sweep_id"]) == (False, new)
    assert api.post(f"/runs/{run}/add-to-sweep?sweep_id={new}")["already"] is True
    assert api.get(f"/sweeps/{old}")["progress"]["total"] == 0
    assert api.get(f"/sweeps/{new}")["run_ids"] == [run]
    api.post(f"/runs/{run}/queue")
    refusal = api.call("POST", f"/runs/{run}/add-to-sweep?sweep_id={old}")
    assert (refusal.status_code, refusal.json()["code"]) == (409, "run_active")
    missing = api.call("POST", f"/runs/{run}/add-to-sweep?sweep_id=swp_ffffffffffff")
    assert (missing.status_code, missing.json()["code"]) == (404, "sweep_not_found")


SECRET = "sk-abcdefghijklmnopqrstuvwx0123456789"


def declared(api: Api, **fields: Any) -> Response:
    body = {"name": "s", "base_command": "python t.py", "chat_session_id": "c", **fields}
    return api.call("POST", "/sweeps", json={"parameters": {"lr": [0, 1]}, **body})


def test_a_device_that_a_value_would_name_is_refused_since_no_lease_could_know_of_it(
    api: Api,
) -> None:
    command = "CUDA_VISIBLE_DEVICES={gpu} python t.py"
    answer = declared(api, base_command=command, parameters={"gpu": [0, 1]})
    assert (answer.status_code, answer.json()["code"]) == (422, "gpus_conflict")
    fixed = declared(api, base_command="CUDA_VISIBLE_DEVICES=1 python t.py --lr={lr}")
    assert [item["code"] for item in not_of_lint(fixed.json())] == ["cuda_visible_devices"]


def test_devices_in_the_environment_of_a_sweep_are_asked_for_like_those_of_a_run(api: Api) -> None:
    named = declared(api, env={"CUDA_VISIBLE_DEVICES": "1"})
    assert [item["code"] for item in not_of_lint(named.json())] == ["cuda_visible_devices"]
    refused = declared(api, env={"CUDA_VISIBLE_DEVICES": "9"}).json()
    assert refused["code"] == "gpus_unavailable"


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "TALLY_RUN_ID", "PYTHONUNBUFFERED"])
def test_a_parameter_that_every_launch_overrules_is_refused(api: Api, name: str) -> None:
    answer = declared(api, placement="environment", parameters={name: [0, 1]})
    assert (answer.status_code, answer.json()["code"]) == (422, "env_invalid")


def test_a_plan_gets_no_secret_by_the_mark_that_stands_for_it(api: Api) -> None:
    first = declared(api, base_command=f"python t.py --api-key={SECRET}", status="draft").json()
    mark = first["base_command"].partition("=")[2]
    changed = {"base_command": f"echo {mark}"}
    answers = [
        declared(api, **changed),
        api.call("PUT", f"/sweeps/{first['id']}", json=changed),
    ]
    assert [answer.json().get("code") for answer in answers] == ["secret_mark"] * 2


@pytest.mark.parametrize("where", ["run", "sweep"])
def test_a_tag_that_looks_like_a_secret_is_refused_and_never_stands_in_the_ledger(
    api: Api, where: str
) -> None:
    tag = "ghp_" + "a1B2" * 9
    before = api.server.ledger.size
    if where == "sweep":
        answer = declared(api, tags=[tag])
    else:
        body = {"name": "r", "command": "true", "sweep_id": api.sweep()["id"], "tags": ["a", tag]}
        answer = api.call("POST", "/runs", json={**body, "chat_session_id": "c"})
    assert (answer.status_code, answer.json()["code"]) == (422, "tags_invalid")
    assert tag not in answer.text
    entries = api.get(f"/ledger/entries?after={before - 1}&limit=1000")
    assert tag not in str(entries)
