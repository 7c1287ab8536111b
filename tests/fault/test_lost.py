"""P3.7: nothing is running for ever, and no end is guessed."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.control.credentials import Mint
from tallystick.control.data_dir import MINT_FILE
from tallystick.domain.ids import AttemptId, Role
from tallystick.testing.server import ServerProcess, eventually, running_server
from tallystick.wire.journal import line, load
from tallystick.wire.observation import SupervisorStarted


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path, environment={"TALLY_EXECUTION_POLL_SECONDS": "0.5"}) as running:
        yield running


def started(server: ServerProcess, command: str) -> tuple[dict[str, Any], int, int]:
    """A running run, the pid of its supervisor, the pid of its command."""
    run = server.run(server.sweep(), command)

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = server.get(f"/runs/{run['id']}")
        return found if found["status"] == "running" else None

    eventually(look)
    records = journal(server, run["id"])
    supervisor = next(r for r in records if r["kind"] == "supervisor_started")["pid"]
    command_pid = next(r for r in records if r["kind"] == "command_started")["pid"]
    return run, supervisor, command_pid


def journal_path(server: ServerProcess, run: str) -> Path:
    (path,) = (server.data_dir / "runs" / run).glob("att_*/journal.jsonl")
    return path


def journal(server: ServerProcess, run: str) -> list[dict[str, Any]]:
    lines = journal_path(server, run).read_text().splitlines()
    return [json.loads(line)["record"] for line in lines]


def unsupervised(server: ServerProcess, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = server.get(f"/runs/{run}")
        return found if found["reason"] else None

    return eventually(look)


def test_a_command_that_outlives_its_supervisor_is_said_so_and_not_killed(
    server: ServerProcess,
) -> None:
    go = server.workspace / "go"
    run, supervisor, command = started(server, f"while [ ! -e '{go}' ]; do sleep 0.1; done; exit 9")
    os.kill(supervisor, signal.SIGKILL)
    seen = unsupervised(server, run["id"])
    assert seen["status"] == "running"
    assert seen["reason"] == "supervisor lost, watched by the server"
    os.kill(command, 0)
    go.touch()
    done = server.ended(run["id"])
    # Linux 6.15 and later tell the exit status to whoever holds a pidfd; earlier ones cannot
    told = (done["status"], done["exit_code"], done["outcome"])
    assert told in {("failed", 9, "failed"), ("failed", None, "lost")}
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15):
        assert told == ("failed", 9, "failed")


def test_killing_supervisor_and_command_is_lost_or_the_kernels_word(server: ServerProcess) -> None:
    run, supervisor, command = started(server, "sleep 60")
    os.kill(supervisor, signal.SIGKILL)
    os.kill(command, signal.SIGKILL)
    done = server.ended(run["id"])
    assert (done["outcome"], done["exit_code"], done["signal"]) in {
        ("failed", None, 9),
        ("lost", None, None),
    }
    assert done["reason"]


def test_killing_the_launcher_changes_nothing(server: ServerProcess) -> None:
    go = server.workspace / "go"
    run, supervisor, _ = started(server, f"while [ ! -e '{go}' ]; do sleep 0.1; done; exit 4")
    launcher = _parent(supervisor)
    assert launcher not in {0, 1, os.getpid(), server.process and server.process.pid}
    os.kill(launcher, signal.SIGKILL)
    go.touch()
    assert server.ended(run["id"])["exit_code"] == 4
    again = server.run(server.sweep(), "exit 6")
    assert server.ended(again["id"])["exit_code"] == 6


def test_a_stop_after_the_supervisor_died_ends_every_process(server: ServerProcess) -> None:
    tree = (
        "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ > one; sleep 300 & wait' &) ; "
        "nohup sh -c 'trap \"\" TERM; echo $$ > two; sleep 300' >/dev/null 2>&1 & "
        "echo $$ > three; while :; do sleep 0.2; done"
    )
    run, supervisor, _ = started(server, tree)
    pids = [
        int(eventually(lambda name=name: _text(server.workspace / name)))  # type: ignore[misc]
        for name in ("one", "two", "three")
    ]
    os.kill(supervisor, signal.SIGKILL)
    unsupervised(server, run["id"])
    server.post(f"/runs/{run['id']}/stop", {})
    done = server.ended(run["id"], within_seconds=40)
    assert done["status"] == "stopped"
    assert not [pid for pid in pids if _alive(pid)]


def test_a_stop_ends_detached_processes_before_it_is_true(server: ServerProcess) -> None:
    tree = (
        "(setsid sh -c 'trap \"\" TERM; echo $$ > one; sleep 300 & wait' &) ; "
        "nohup sh -c 'trap \"\" TERM; echo $$ > two; sleep 300' >/dev/null 2>&1 & "
        "sleep 300"
    )
    run, _, command = started(server, tree)
    pids = [
        int(eventually(lambda name=name: _text(server.workspace / name)))  # type: ignore[misc]
        for name in ("one", "two")
    ]
    server.post(f"/runs/{run['id']}/stop", {})
    done = server.ended(run["id"], within_seconds=40)
    assert done["status"] == "stopped"
    assert not [pid for pid in [*pids, command] if _alive(pid)]


def test_another_boot_id_is_lost_as_rebooted(server: ServerProcess) -> None:
    run, supervisor, command = started(server, "sleep 60")
    server.kill()
    os.kill(supervisor, signal.SIGKILL)
    os.kill(command, signal.SIGKILL)
    path = journal_path(server, run["id"])
    attempt = AttemptId(path.parent.name)
    key = Mint((server.data_dir / MINT_FILE).read_bytes()).secret(attempt, Role.SUPERVISOR)
    first, *rest = load(path, attempt=attempt, key=key)
    assert isinstance(first, SupervisorStarted)
    first = replace(first, boot_id="00000000-0000-0000-0000-000000000000")
    path.write_bytes(b"".join(line(record, attempt=attempt, key=key) for record in (first, *rest)))
    server.start()
    done = server.ended(run["id"])
    assert (done["outcome"], done["reason_code"]) == ("lost", "host_rebooted")
    assert "reboot" in done["reason"]


def _parent(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text[text.rindex(")") + 2 :].split()[1])


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text[text.rindex(")") + 2] != "Z"


def _text(path: Path) -> str | None:
    return (path.read_text().strip() or None) if path.exists() else None
