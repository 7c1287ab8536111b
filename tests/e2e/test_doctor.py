"""`tally server doctor` beside a running server, beside none, and after somebody's meddling."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path) as running:
        yield running


def doctor(server: ServerProcess, *flags: str) -> "subprocess.CompletedProcess[str]":
    where = ("--data-dir", str(server.data_dir))
    return subprocess.run(
        [sys.executable, "-m", "tallystick", "server", "doctor", *where, *flags],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TALLY_PORT": "0"},
    )


def findings(server: ServerProcess) -> dict[str, Any]:
    return {item["check"]: item for item in json.loads(doctor(server, "--json").stdout)}


def test_the_doctor_sees_a_server_at_work_a_stopped_one_and_a_damaged_one(
    server: ServerProcess,
) -> None:
    server.run(server.sweep(), "sleep 30")
    running = doctor(server)
    assert running.returncode == 0, running.stdout
    assert server.url in running.stdout
    assert "✗" not in running.stdout
    assert "to mend" in running.stdout.splitlines()[-1]
    assert running.stderr == ""

    server.stop()
    names = sorted(path.name for path in server.data_dir.iterdir())
    found = findings(server)
    assert found["server"]["found"] == "not running"
    assert found["supervisors"]["found"] == "1 active, 1 with a supervisor"
    assert {item["verdict"] for item in found.values()} <= {"ok", "warn"}
    assert sorted(path.name for path in server.data_dir.iterdir()) == names

    (server.data_dir / "ledger.key").chmod(0o644)
    damaged = doctor(server)
    assert damaged.returncode == 1
    mend = f"chmod 600 {server.data_dir / 'ledger.key'}"
    assert any(line.lstrip().startswith(f"→ {mend}") for line in damaged.stdout.splitlines())
    (server.data_dir / "ledger.key").chmod(0o600)
    server.start()


def test_the_doctor_sees_what_a_killed_server_left(server: ServerProcess) -> None:
    server.sweep()
    server.kill()
    found = findings(server)
    assert found["server"]["verdict"] == "warn"
    assert "left of one that was killed" in found["server"]["found"]
    assert found["ledger"]["verdict"] == "ok"
    server.start()
    assert findings(server)["server"]["verdict"] == "ok"
