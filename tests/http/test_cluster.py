"""What people say about the machine, draining it, and the one truth about what runs on it."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from tallystick.domain.capacity import Capacity, Device
from tallystick.testing.server import eventually
from tests.http.door import Door
from tests.http.executing import end, executing

SLURM = {
    "type": "slurm", "status": "degraded", "head_node": "login1", "node_count": 4, "gpu_count": 8,
    "notes": "ask Ada before using node 3", "details": {"slurm_nodes": 4, "partition": "long"},
}  # fmt: skip


def say(door: Door, **words: Any) -> Any:
    return door.post("/cluster", words, token="admin")


def devices(count: int, *, held: int = 0) -> tuple[Device, ...]:
    return tuple(
        Device(
            id=f"GPU-{index}",
            index=index,
            name="Fake",
            memory_mb=80_000,
            held_by="python, pid 77, of user eve" if index < held else None,
        )
        for index in range(count)
    )


def test_what_people_said_about_the_machine_survives_a_restart(
    open_door: Callable[[], Door],
) -> None:
    """D3: settings survive."""
    door = open_door()
    made = say(door, **SLURM)
    assert made["receipt"]["seq"] > 0
    cluster = made["cluster"]
    assert {key: cluster[key] for key in SLURM if key != "details"} == {
        key: value for key, value in SLURM.items() if key != "details"
    }
    assert (cluster["source"], cluster["details"]["slurm_nodes"]) == ("manual", 4)
    assert cluster["details"]["more"] == {"partition": "long"}
    after = open_door().get("/cluster")["cluster"]
    ignored = {"last_detected_at"}
    assert {key: after[key] for key in after if key not in ignored} == {
        key: cluster[key] for key in cluster if key not in ignored
    }


def test_a_host_without_gpus_is_told_as_one_and_can_be_said_to_be_one(door: Door) -> None:
    """S12: `cpu_only`, on which agents branch, is returned."""
    assert door.get("/cluster")["cluster"]["type"] == "cpu_only"
    assert door.post("/cluster/detect")["cluster"]["type"] == "cpu_only"
    assert say(door, type="cpu_only")["cluster"]["source"] == "manual"
    assert say(door)["cluster"]["source"] == "detected"


@pytest.mark.parametrize(
    "body",
    [{"type": "mainframe"}, {"status": "fine"}, {"source": "rumour"}, {"gpu_count": -1},
     {"gpu_count": 1.5}, {"node_count": "4"}, {"kind": "slurm"}, {"notes": "x" * 10_001},
     {"details": {"x": "y" * 10_000}}, {"details": []}, {"head_node": "a\x00"}],
)  # fmt: skip
def test_an_unsupported_value_is_refused_and_changes_nothing(door: Door, body: Any) -> None:
    before = door.server.ledger.size
    answer = door.call("POST", "/cluster", json=body, token="admin")
    assert answer.status_code == 422, answer.text
    assert door.server.ledger.size == before


@pytest.mark.parametrize("path", ["/cluster", "/cluster/drain", "/cluster/undrain"])
def test_only_people_decide_about_the_machine(door: Door, path: str) -> None:
    denied = door.call("POST", path, json={})
    assert (denied.status_code, denied.json()["code"]) == (403, "people_only")
    assert "researcher" in denied.json()["hint"]


def test_what_was_found_is_told_beside_what_people_said(open_door: Callable[[], Door]) -> None:
    door = open_door()
    door.backend.room = Capacity(slots=2, devices=devices(2))
    above = say(door, type="slurm", gpu_count=8)
    assert [one["code"] for one in above["warnings"]] == ["gpu_count_above"]
    found = door.post("/cluster/detect", {"preferred_type": "local_gpu"})
    assert found["cluster"]["type"] == "slurm"
    assert [one["code"] for one in found["warnings"]] == ["cluster_set_by_hand"]
    assert "gpus:2" in found["cluster"]["details"]["signals"]


def test_a_drained_server_says_so_and_repeating_it_is_harmless(
    open_door: Callable[[], Door],
) -> None:
    door = open_door()
    drained = door.post("/cluster/drain", {"reason": "new driver"}, token="admin")
    assert (drained["draining"]["reason"], drained["already"]) == ("new driver", False)
    size = door.server.ledger.size
    for body in (None, {"reason": "new driver"}):
        again = door.post("/cluster/drain", body, token="admin")
        assert (again["already"], again["draining"]) == (True, drained["draining"])
    assert door.server.ledger.size == size
    after = open_door()
    assert after.get("/cluster")["draining"] == drained["draining"]
    health = after.get("/wild/v2/system-health")
    assert (health["draining"]["reason"], health["free"]) == ("new driver", 0)
    other = after.post("/cluster/drain", {"reason": "and a new disk"}, token="admin")
    assert (other["already"], other["draining"]["reason"]) == (False, "and a new disk")
    assert after.post("/cluster/undrain", token="admin")["already"] is False
    assert after.post("/cluster/undrain", token="admin")["already"] is True
    assert after.get("/cluster")["draining"] is None


def test_while_drained_queued_runs_wait_and_running_ones_finish(
    open_door: Callable[[], Door],
) -> None:
    door = open_door()
    sweep = door.sweep()
    run, attempt = executing(door, sweep)
    door.post("/cluster/drain", token="admin")
    waiting = str(door.run(sweep, auto_start=True)["id"])
    end(door, attempt)
    assert door.get(f"/runs/{run}")["status"] == "finished"
    ticks = door.server.scheduler.wait_tick(after=-1, timeout_seconds=0)
    door.server.scheduler.wake()
    door.server.scheduler.wait_tick(after=ticks, timeout_seconds=10)
    assert door.get(f"/runs/{waiting}")["status"] == "queued"
    door.post("/cluster/undrain", token="admin")
    eventually(lambda: door.get(f"/runs/{waiting}")["attempt"])


def test_health_lists_and_cluster_count_the_same_runs(open_door: Callable[[], Door]) -> None:
    """S11: one truth, archived runs left out everywhere."""
    door = open_door()
    sweep = door.sweep()
    executing(door, sweep)
    door.launched(sweep)
    _, attempt = executing(door, sweep)
    end(door, attempt, exit_code=1)
    ready = [door.run(sweep)["id"] for _ in range(3)]
    door.post(f"/runs/{ready[0]}/stop")
    door.post(f"/runs/{ready[1]}/archive")
    health = door.get("/wild/v2/system-health")
    summary = door.get("/cluster")["run_summary"]
    listed = door.get("/runs?limit=1000")

    def count(*statuses: str) -> int:
        return sum(run["status"] in statuses for run in listed)

    assert health["total"] == summary["total"] == len(listed)
    assert health["running"] == count("launching", "running") == 2
    assert summary["launching"] + summary["running"] == health["running"]
    assert health["queued"] == count("queued", "ready") == summary["queued"] + summary["ready"]
    assert health["failed"] == summary["failed"] == count("failed") == 1
    assert health["completed"] == summary["finished"] == count("finished")
    assert health["stopped"] == count("stopped") == 1


def test_the_published_formula_never_starts_more_than_there_is_room_for(
    open_door: Callable[[], Door],
) -> None:
    """S11: an agent that computes capacity from the old keys does no harm."""
    door = open_door()
    sweep = door.sweep()
    for _ in range(6):
        door.run(sweep)
    for _ in range(4):
        health, cluster = door.get("/wild/v2/system-health"), door.get("/cluster")["cluster"]
        g = max(1, cluster["gpu_count"] or 1)
        startable = max(0, min(health["queued"], g - health["running"]))
        for run in [one for one in door.get("/runs") if one["status"] == "ready"][:startable]:
            door.post(f"/runs/{run['id']}/start")
            eventually(lambda run=run: door.get(f"/runs/{run['id']}")["attempt"])  # type: ignore[misc]
    assert door.get("/wild/v2/system-health")["running"] == 1


def test_health_tells_devices_with_whoever_has_them(open_door: Callable[[], Door]) -> None:
    door = open_door()
    door.backend.room = Capacity(slots=4, cpus=16, memory_mb=64_000, devices=devices(4, held=1))
    sweep = door.sweep("gpu")
    run = str(door.run(sweep, chat_session_id="gpu", gpus=2, auto_start=True)["id"])
    eventually(lambda: door.get(f"/runs/{run}")["attempt"])
    health = door.get("/wild/v2/system-health")
    assert (health["free_devices"], health["leased_devices"], health["held_devices"]) == (1, 2, 1)
    leased = [one for one in health["devices"] if one["state"] == "leased"]
    assert [one["run_id"] for one in leased] == [run, run]
    (held,) = [one for one in health["devices"] if one["state"] == "held"]
    assert "eve" in held["held_by"]
    assert health["capacity"] == {"slots": 100, "cpus": 16, "memory_mb": 64_000, "gpus": 4}
    (share,) = health["sessions"]
    assert (share["session_id"], share["running"], share["devices"]) == ("gpu", 1, 2)
    assert share["share"] == 0.5
    say(door, gpu_count=2)
    restricted = door.get("/wild/v2/system-health")
    assert (restricted["capacity"]["gpus"], restricted["free_devices"]) == (2, 0)
    states = [one["state"] for one in restricted["devices"]]
    assert states == ["held", "leased", "leased", "withheld"]


def test_health_tells_the_queue_the_ledger_and_the_disk(open_door: Callable[[], Door]) -> None:
    door = open_door()
    sweep = door.sweep("queueing")
    door.post("/cluster/drain", token="admin")
    for _ in range(3):
        door.run(sweep, chat_session_id="queueing", auto_start=True)
    health = door.get("/wild/v2/system-health")
    assert health["queue_depth"] == health["waiting_in_queue"] == 3
    assert health["sessions"][0]["queued"] == 3
    assert health["ledger_size"] == door.server.ledger.size
    assert health["disk_free_bytes"] > 0
    assert math.isfinite(health["sessions"][0]["share"])


def test_a_secret_in_the_notes_is_cut_out(door: Door) -> None:
    made = say(door, notes="password=hunter2hunter2", details={"api_key": "hunter2hunter2"})
    assert "hunter2" not in json.dumps(made)
    assert say(door)["cluster"]["notes"] is None
