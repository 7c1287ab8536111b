"""GET /queue, and why a run waits wherever a run is told: P3.2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.domain.capacity import Capacity
from tallystick.testing.backend import FakeBackend, gpus
from tests.unit.api.in_process import Api, build_api


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A host with two slots and one GPU, which a run of `holder` has."""
    room = Capacity(slots=2, cpus=8, memory_mb=32_000, devices=gpus(1))
    directory: Path = tmp_path_factory.mktemp("server")
    api = build_api(directory, backend=FakeBackend(room))
    try:
        fill(api)
        yield api
    finally:
        api.close()


def fill(api: Api) -> None:
    """One that holds the GPU, three that want it, one not started, and one that depends on it."""
    sweep = api.sweep(chat_session_id="holder")["id"]
    run = api.register(
        sweep_id=sweep, chat_session_id="holder", name="holds", gpus=1, auto_start=True
    )
    api.launched(run["id"])
    for number in range(3):
        api.register(sweep_id=sweep, chat_session_id="a", name=f"a{number}", auto_start=True)
    ready = api.register(sweep_id=sweep, chat_session_id="b", name="ready")["id"]
    api.register(sweep_id=sweep, chat_session_id="b", name="b", depends_on=[ready], auto_start=True)


def by_name(items: list[Any]) -> dict[str, Any]:
    return {item["name"]: item for item in items}


def test_the_queue_is_told_in_its_order_with_reasons_and_what_is_used(busy: Api) -> None:
    queue = busy.get("/queue")
    assert [(item["position"], item["name"]) for item in queue["items"]] == [
        (1, "a0"), (2, "a1"), (3, "a2"), (None, "b"),
    ]  # fmt: skip
    told = by_name(queue["items"])
    holder = busy.get("/runs?chat_session_id=holder")[0]["id"]
    assert told["a0"]["pending_reason"].startswith(f"waits for 1 GPU; {holder} holds GPU 0 since ")
    assert told["a2"]["pending_reason"] == "waits for its turn: 2 runs are before it"
    (ready,) = [run["id"] for run in busy.get("/runs") if run["name"] == "ready"]
    assert told["b"]["pending_reason"] == (
        f"waits for {ready} to finish; it is not started: POST /runs/{ready}/start"
    )
    assert (queue["queued"], queue["in_line"], queue["slots_used"]) == (4, 3, 1)
    (device,) = queue["devices"]
    assert (device["state"], device["run_id"]) == ("leased", holder)
    assert queue["draining"] is None


def test_pages_joined_are_the_queue(busy: Api) -> None:
    first = busy.get("/queue?limit=3")
    second = busy.get(f"/queue?limit=3&cursor={first['next_cursor']}")
    assert second["next_cursor"] is None
    names = [item["name"] for page in (first, second) for item in page["items"]]
    assert names == ["a0", "a1", "a2", "b"]


def test_a_run_says_the_same_of_its_waiting_alone_in_lists_and_in_the_queue(busy: Api) -> None:
    queue = {item["id"]: item for item in busy.get("/queue")["items"]}
    listed = {item["id"]: item for item in busy.get("/runs?status=queued")}
    assert queue.keys() == listed.keys()
    for key, item in queue.items():
        alone = busy.get(f"/runs/{key}")
        for told in (alone, listed[key]):
            assert told["queue_position"] == item["position"]
            assert told["pending_reason"] == item["pending_reason"]


def test_a_run_that_nobody_started_says_which_call_does(busy: Api) -> None:
    (listed,) = [item for item in busy.get("/runs") if item["name"] == "ready"]
    assert listed["pending_reason"] == f"not started yet: POST /runs/{listed['id']}/start"
    assert listed["queue_position"] is None
    assert busy.get(f"/runs/{listed['id']}")["pending_reason"] == listed["pending_reason"]


def test_health_the_queue_and_the_lists_tell_one_truth(busy: Api) -> None:
    """S11: nobody who follows the numbers can start more than there is room for."""
    health, queue = busy.get("/wild/v2/system-health"), busy.get("/queue")
    counts = {status: len(busy.get(f"/runs?status={status}")) for status in ("queued", "launching")}
    assert health["waiting_in_queue"] == queue["queued"] == counts["queued"]
    assert health["running"] == queue["slots_used"] == counts["launching"]
    assert health["max_concurrent"] == queue["capacity"]["slots"] == 2
    assert health["free"] == 1
    for item in busy.get("/runs?status=queued"):  # asking for everything starts nothing more
        assert busy.post(f"/runs/{item['id']}/start")["already"] is True
    assert busy.get("/wild/v2/system-health")["running"] == 1


def test_a_drained_server_says_so_in_the_queue(busy: Api) -> None:
    busy.post("/cluster/drain", {"reason": "maintenance"}, token="admin")
    try:
        queue = busy.get("/queue")
        assert queue["draining"]["reason"] == "maintenance"
        told = by_name(queue["items"])
        assert {told[f"a{number}"]["pending_reason"] for number in range(3)} == {
            "the server is drained: maintenance",
        }
    finally:
        busy.post("/cluster/undrain", token="admin")


def test_an_answer_to_a_question_that_cannot_be_says_what_was_expected(busy: Api) -> None:
    answer = busy.call("GET", "/queue?cursor=x")
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")
    assert busy.call("GET", "/queue", token=None).status_code == 401


def test_a_run_that_has_to_wait_says_why_in_the_answer_that_registers_it(tmp_path: Path) -> None:
    api = build_api(tmp_path, backend=FakeBackend(Capacity(slots=2, cpus=8, memory_mb=32_000)))
    try:
        sweep = api.sweep()["id"]
        for _ in range(2):
            api.launched(api.register(sweep_id=sweep, auto_start=True)["id"])
        waits = api.register(sweep_id=sweep, auto_start=True)
        assert waits["status"] == "queued"
        assert waits["pending_reason"].startswith("waits for a free slot")
        assert waits["queue_position"] == 1
    finally:
        api.close()
