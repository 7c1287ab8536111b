"""GPUs of a real server over fake cards: who gets which, who waits, and for whom."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.e2e.gpus.fake import GIB, FakeNvml, stranger, uuid

CARDS = 4
REPORT = (
    'printf "%s %s\\n" "$(date +%s%N)" "$CUDA_VISIBLE_DEVICES" > "$TALLY_RUN_ID.began"; sleep 0.1; '
    'date +%s%N > "$TALLY_RUN_ID.ended"'
)
UNTIL_TOLD = "until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def server(nvml: FakeNvml, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that sees four cards, with room for more runs than that."""
    environment = {
        **nvml.environment,
        "TALLY_EXECUTION_MAX_CONCURRENT": "8",
        "TALLY_EXECUTION_POLL_SECONDS": "0.5",
        "TALLY_EXECUTION_RECORD_TREE": "false",
    }
    with running_server(tmp_path, environment=environment) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Used:
    """What a run saw, from its own mouth."""

    began: int
    ended: int
    devices: frozenset[str]


def report_of(server: ServerProcess, run: str) -> Used:
    began, _, devices = (server.workspace / f"{run}.began").read_text().strip().partition(" ")
    ended = (server.workspace / f"{run}.ended").read_text()
    return Used(int(began), int(ended), frozenset(devices.split(",")) - {""})


def waiting(server: ServerProcess, run: str) -> str:
    """Why a run waits, once the server has looked."""
    return str(eventually(lambda: server.get(f"/runs/{run}").get("pending_reason")))


def running(server: ServerProcess, run: str) -> dict[str, Any]:
    """A run, once its command is executed."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = server.get(f"/runs/{run}")
        return found if found["status"] == "running" else None

    return eventually(look)


def test_fifty_runs_at_once_get_disjoint_devices_and_never_more_than_there_are(
    server: ServerProcess,
) -> None:
    """Pitfalls S3 and S4: twenty hands submit at the same time, for none, one and two devices."""
    sweep = server.sweep()
    wanted = [(1, 2, 1, 0, 1)[number % 5] for number in range(50)]

    def submit(gpus: int) -> str:
        return str(server.run(sweep, REPORT, gpus=gpus)["id"])

    with ThreadPoolExecutor(20) as hands:
        runs = list(hands.map(submit, wanted))
    for run in runs:
        assert server.ended(run)["status"] == "finished"
    used = [report_of(server, run) for run in runs]
    assert [len(one.devices) for one in used] == wanted
    assert frozenset[str]().union(*(one.devices for one in used)) == {
        uuid(number) for number in range(CARDS)
    }
    for one, other in overlapping(used):
        assert not one.devices & other.devices
    assert max(len(devices) for devices in at_once(used)) <= CARDS
    for run, one in zip(runs, used, strict=True):
        assert set(server.get(f"/runs/{run}")["devices"]) == one.devices


def overlapping(used: Sequence[Used]) -> Iterator[tuple[Used, Used]]:
    """Pairs that ran at the same time."""
    for number, one in enumerate(used):
        for other in used[:number]:
            if one.began < other.ended and other.began < one.ended:
                yield one, other


def at_once(used: Sequence[Used]) -> Iterator[list[str]]:
    """The devices in use at each moment when a run began."""
    for moment in (one.began for one in used):
        now = (one for one in used if one.began <= moment < one.ended)
        yield [device for one in now for device in one.devices]


def test_a_device_that_a_stranger_holds_is_not_handed_out_until_it_lets_go(
    server: ServerProcess, nvml: FakeNvml
) -> None:
    with stranger() as pid:
        nvml.uses = [(2, pid, 31 * GIB)]
        nvml.write()
        eventually(lambda: held(server)[2])
        sweep = server.sweep()
        runs = [server.run(sweep, UNTIL_TOLD, gpus=1)["id"] for _ in range(3)]
        given = {running(server, run)["devices"][0] for run in runs}
        assert given == {uuid(0), uuid(1), uuid(3)}
        last = server.run(sweep, "true", gpus=1)["id"]
        assert f"GPU 2 is held by pid {pid} (sleep, " in waiting(server, last)
        assert "which holds 31 GiB" in waiting(server, last)
    nvml.uses = []
    nvml.write()
    assert server.ended(last)["devices"] == [uuid(2)]
    (server.workspace / "go").touch()


def held(server: ServerProcess) -> list[str | None]:
    """Who holds each device, as the server says."""
    found = server.get("/wild/v2/system-health")["devices"]
    return [device["held_by"] for device in sorted(found, key=lambda device: device["index"])]


def test_a_run_of_ours_on_its_card_is_no_stranger_after_a_restart_either(
    server: ServerProcess, nvml: FakeNvml
) -> None:
    sweep = server.sweep()
    leaves = [server.run(sweep, f"echo $$ > pid{n}; {UNTIL_TOLD}", gpus=2)["id"] for n in range(2)]
    for number, run in enumerate(leaves):
        running(server, run)
        pid = int(eventually((server.workspace / f"pid{number}").read_text))
        nvml.uses += [(int(device[4:12], 16), pid, GIB) for device in devices_of(server, run)]
    nvml.write()
    server.kill()
    server.start()
    eventually(lambda: held(server) == [None] * CARDS, within_seconds=20)
    last = server.run(sweep, "true", gpus=1)["id"]
    assert f"{leaves[0]} holds GPU" in waiting(server, last)
    (server.workspace / "go").touch()
    nvml.uses = []
    nvml.write()
    assert len(server.ended(last)["devices"]) == 1


def devices_of(server: ServerProcess, run: str) -> list[str]:
    """What is leased to a run."""
    return list(server.get(f"/runs/{run}")["devices"])


def test_a_command_that_names_its_device_waits_for_that_one(server: ServerProcess) -> None:
    sweep = server.sweep()
    command = f"CUDA_VISIBLE_DEVICES=2 bash -c '{UNTIL_TOLD}'"
    first = server.run(sweep, command)
    assert [warning["code"] for warning in first["warnings"]] == ["cuda_visible_devices", "R111"]
    assert running(server, first["id"])["devices"] == [uuid(2)]
    second = server.run(sweep, "CUDA_VISIBLE_DEVICES=2 sh -c 'echo $CUDA_VISIBLE_DEVICES'")
    assert first["id"] in waiting(server, second["id"])
    others = [server.run(sweep, "true", gpus=1)["id"] for _ in range(3)]
    assert all(uuid(2) not in server.ended(run)["devices"] for run in others)
    (server.workspace / "go").touch()
    assert server.ended(second["id"])["devices"] == [uuid(2)]


def test_a_command_and_a_number_that_contradict_each_other_are_refused(
    server: ServerProcess,
) -> None:
    body = {
        "name": "n",
        "command": "CUDA_VISIBLE_DEVICES=2 python train.py",
        "sweep_id": server.sweep(),
        "chat_session_id": "chat-1",
        "gpus": 2,
    }
    answer = server.call("POST", "/runs", body)
    assert (answer.status, answer.body["code"]) == (422, "gpus_conflict")


def test_the_doctor_names_cards_and_strangers(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.uses = [(1, 4_000_000, GIB)]
    nvml.write()
    command = [sys.executable, "-m", "tallystick", "server", "doctor", "--json"]
    said = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        env={**os.environ, **nvml.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    (finding,) = [item for item in json.loads(said.stdout) if item["check"] == "gpus"]
    assert finding["verdict"] == "warn"
    assert "4 x NVIDIA H100" in finding["found"]
    assert "GPU 1 is held by pid 4000000" in finding["found"]
    assert said.stderr == ""
