"""What the host gives may change while the server runs, and everybody is told the same (S12)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.domain.capacity import Capacity
from tallystick.server import build
from tallystick.testing.backend import FakeBackend, gpus
from tests.unit.api.in_process import Api

ROOM = Capacity(slots=2, cpus=4, memory_mb=1_000, devices=gpus(2, memory_mb=80_000))


@pytest.fixture(scope="module")
def backend() -> FakeBackend:
    """Two slots, four CPUs, 1,000 MiB, two GPUs of 80,000 MiB."""
    return FakeBackend(ROOM)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, backend: FakeBackend) -> Iterator[Api]:
    """A server that executes as many runs as its host has slots for."""
    directory: Path = tmp_path_factory.mktemp("server")
    workdir = directory / "work"
    workdir.mkdir()
    settings = Settings(
        server=ServerSettings(data_dir=directory / "data", workspace=workdir),
        execution=ExecutionSettings(record_tree=False),
    )
    api = Api(build(settings, backend=backend), workdir)
    yield api
    api.close()


def test_health_and_queue_tell_the_same_slots_when_the_host_gets_more_or_fewer(
    api: Api, backend: FakeBackend
) -> None:
    for slots in (2, 5, 3):
        backend.room = Capacity(slots=slots, cpus=4, memory_mb=1_000)
        health, queue = api.get("/wild/v2/system-health"), api.get("/queue")
        assert health["capacity"] == queue["capacity"]
        told = (health["max_concurrent"], health["capacity"]["slots"], health["free"])
        assert told == (slots, slots, slots)
    backend.room = ROOM


@pytest.mark.parametrize(
    "fields", [{"cpus": 5}, {"memory_mb": 1_001}, {"gpu_memory_mb": 80_001}], ids=str
)
def test_what_no_end_of_a_run_could_make_room_for_is_refused(
    api: Api, fields: dict[str, int]
) -> None:
    sweep, (name, value) = api.sweep()["id"], next(iter(fields.items()))
    known = {"name": "r", "command": "true", "chat_session_id": "c"}
    plan = {"base_command": "true", "parameters": {"a": [1]}}
    ready = api.register()["id"]
    for method, path, body in (
        ("POST", "/runs", {**known, "sweep_id": sweep}),
        ("PUT", f"/runs/{ready}", {}),
        ("POST", "/sweeps", {"name": "s", "chat_session_id": "c", **plan}),
    ):
        answer = api.call(method, path, json={**body, **fields})
        assert (answer.status_code, answer.json()["code"]) == (422, "resources_unavailable"), path
        assert answer.json()["next_actions"]
        least = api.call(method, path, json={**body, name: value - 1})
        assert least.status_code == 200, least.text


def test_the_gpus_that_people_hand_out_limit_what_may_be_asked_for(api: Api) -> None:
    body = {"sweep_id": api.sweep()["id"], "name": "r", "command": "true", "gpus": 2}
    body["chat_session_id"] = "c"
    api.post("/cluster", {"gpu_count": 1}, token="admin")
    answer = api.call("POST", "/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "gpus_unavailable")
    assert "expected at most 1" in answer.json()["detail"]
    api.post("/runs", {**body, "gpus": 1})
    api.post("/cluster", {"gpu_count": 2}, token="admin")
    api.post("/runs", body)
