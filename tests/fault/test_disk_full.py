"""The disk is full while clients create and runs run: a 5xx, and nothing acknowledged is lost.

With room again everything goes on by itself: no restart, no repair, every outcome recorded.
"""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import Answer, ServerProcess, eventually
from tests.fault.restart import verify
from tests.fault.small_disk import fill, small_disk

MEBIBYTES = 12
FULL = {"storage_full", "storage_failed"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose whole data directory lies on a small disk; its workspace does not."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    # Its log and its ready file lie beside the data directory, and so beside the small disk.
    with small_disk(tmp_path / "disk", mebibytes=MEBIBYTES) as disk:
        server = ServerProcess(disk, workspace, environment={"TALLY_EXECUTION_MAX_CONCURRENT": "3"})
        server.start()
        try:
            yield server
        finally:
            (disk / "filler").unlink(missing_ok=True)
            server.stop()


def create(server: ServerProcess, key: str) -> Answer:
    body = {"name": key * 40, "goal": "g" * 2000, "chat_session_id": "chat-1"}
    return server.call("POST", "/sweeps/wild", body, headers={"Idempotency-Key": key})


def create_until_full(server: ServerProcess) -> tuple[dict[str, Any], list[str]]:
    """Create from four clients until each was refused ten times; what was acknowledged, and not."""
    numbers = count()
    acknowledged: dict[str, Any] = {}
    refused: list[str] = []

    def client(_: int) -> None:
        mine = 0
        while mine < 10:
            key = f"key-{next(numbers)}"
            answer = create(server, key)
            if answer.status == 200:
                acknowledged[key] = answer.body
                continue
            mine += 1
            refused.append(key)
            assert answer.status == 503, answer
            assert answer.body["code"] == "storage_full", answer
            assert "Free space" in answer.body["hint"]
            assert int(answer.headers["retry-after"]) >= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client, range(4)))
    return acknowledged, refused


@pytest.mark.timeout(300)
def test_a_full_disk_loses_nothing_that_was_acknowledged_and_no_outcome(
    server: ServerProcess, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    sweep = server.sweep()
    gate = server.workspace / "gate"
    command = f"echo begin; while ! test -e '{gate}'; do sleep 0.05; done; exit 7"
    run = server.run(sweep, f"echo $$ > pid; {command}")["id"]
    eventually(lambda: server.get(f"/runs/{run}")["status"] == "running")
    eventually((server.workspace / "pid").exists)
    ready = server.run(sweep, "exit 4", auto_start=False)["id"]

    fill(disk / "filler", but_bytes=400_000)
    acknowledged, refused = create_until_full(server)
    fill(disk / "filler")
    assert acknowledged
    assert refused

    # Full: it answers, says no to every write, and stays up.
    assert server.get("/health", token=None)["status"] == "ok"
    known = {each["id"] for each in server.get("/sweeps?limit=1000")}
    assert {body["id"] for body in acknowledged.values()} <= known
    rows = [{"step": n, "loss": 1.0} for n in range(2000)]
    for path, body in (
        (f"/runs/{ready}/start", {}),
        (f"/runs/{run}/metrics", {"rows": rows}),
        (
            "/runs",
            {
                "name": "secret",
                "command": "true",
                "sweep_id": sweep,
                "chat_session_id": "chat-1",
                "env": {"API_TOKEN": "sk-0123456789abcdef0123456789abcdef"},
            },
        ),
    ):
        answer = server.call("POST", path, body)
        assert answer.status == 503, (path, answer)
        assert answer.body["code"] in FULL, (path, answer)
        assert answer.body["hint"]

    # The run ends now, and its supervisor can neither write its journal nor tell the server.
    pid = int((server.workspace / "pid").read_text())
    gate.touch()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert server.get(f"/runs/{run}")["status"] == "running"

    (disk / "filler").unlink()
    assert server.ended(run)["exit_code"] == 7
    again = {key: create(server, key) for key in refused}
    assert {answer.status for answer in again.values()} == {200}
    kept = {key: body["id"] for key, body in acknowledged.items()}
    assert {key: create(server, key).body["id"] for key in kept} == kept
    ids = [*kept.values(), *(answer.body["id"] for answer in again.values()), sweep]
    assert len(ids) == len(set(ids))
    assert {each["id"] for each in server.get("/sweeps?limit=1000")} == set(ids)
    server.post(f"/runs/{ready}/start", {})
    assert server.ended(ready)["exit_code"] == 4
    verified(server, tmp_path)


def verified(server: ServerProcess, tmp_path: Path) -> None:
    """From outside: the database, and an export, with a program that is not the server's."""
    report = verify(server, "--data-dir", str(server.data_dir))
    assert report.returncode == 0, report.stderr
    export = tmp_path / "export"
    command = [sys.executable, "-m", "tallystick", "ledger", "export", str(export)]
    subprocess.run([*command, "--data-dir", str(server.data_dir)], check=True, capture_output=True)
    checked = subprocess.run(
        [sys.executable, "-I", str(export / "verify.py"), str(export)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.timeout(120)
def test_a_server_that_finds_its_disk_full_says_so_and_starts_once_there_is_room(
    server: ServerProcess, tmp_path: Path
) -> None:
    sweep = server.sweep()
    server.stop()
    fill(tmp_path / "disk" / "filler")
    with pytest.raises(AssertionError, match="ended with 3"):
        server.start()
    server.stop()
    log = server.log()
    assert "[storage_full]" in log
    assert "hint: " in log
    assert "Traceback" not in log
    (tmp_path / "disk" / "filler").unlink()
    server.start()
    assert [each["id"] for each in server.get("/sweeps")] == [sweep]
