"""kill -9 of the server while runs train: nothing acknowledged is lost, nothing runs twice."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.fault.restart import executions, traced, verify

CODES = [0, 5, 0, 3, 0, 0, 1, 0]

FROZEN = ("id", "name", "command", "workdir", "sweep_id", "chat_session_id", "created_at", "seq")


@pytest.fixture(params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str | None
) -> Iterator[ServerProcess]:
    environment = {"TALLY_EXECUTION_MAX_CONCURRENT": "8"}
    if database_url is not None:
        environment["TALLY_DATABASE_URL"] = database_url
    with running_server(tmp_path, environment=environment) as running:
        yield running


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """None for SQLite; a fresh database of a real PostgreSQL otherwise."""
    if request.node.callspec.params["server"] == "sqlite":
        yield None
        return
    from tallystick.testing.postgres import running_postgres

    with running_postgres() as cluster, cluster.fresh_database() as url:
        yield url.render_as_string(hide_password=False)


@pytest.mark.timeout(300)
def test_restart_and_relist(server: ServerProcess) -> None:
    sweep = server.sweep()
    made = [
        server.run(sweep, traced(server.workspace, f"r{i}", 2 + i * 0.5, code), name=f"r{i}")
        for i, code in enumerate(CODES)
    ]
    ids = [run["id"] for run in made]

    for _ in range(3):
        eventually(lambda: len(server.get("/runs?status=running")) >= 1 or ended(server, ids))
        before = {run["id"]: run for run in server.get("/runs?limit=100")}
        server.kill()
        server.start()
        after = {run["id"]: run for run in server.get("/runs?limit=100")}
        assert set(after) == set(before) == set(ids)
        for key in ids:
            assert [after[key][field] for field in FROZEN] == [
                before[key][field] for field in FROZEN
            ]
            if before[key]["status"] in {"finished", "failed"}:
                assert after[key] == before[key]

    for i, (key, code) in enumerate(zip(ids, CODES, strict=True)):
        done = server.ended(key)
        assert done["exit_code"] == code, done
        assert done["status"] == ("finished" if code == 0 else "failed")
        assert executions(server.workspace, f"r{i}") == 1
        assert server.get(f"/runs/{key}/logs?offset=0")["content"] == "begin\nend\n"
    server.stop()
    report = verify(server, "--data-dir", str(server.data_dir))
    assert report.returncode == 0, report.stdout + report.stderr


def ended(server: ServerProcess, ids: list[str]) -> bool:
    statuses: list[Any] = [server.get(f"/runs/{key}")["status"] for key in ids]
    return all(status in {"finished", "failed"} for status in statuses)


def test_queued_runs_start_after_a_restart_without_being_asked_again(tmp_path: Path) -> None:
    with running_server(tmp_path, environment={"TALLY_EXECUTION_MAX_CONCURRENT": "1"}) as server:
        sweep = server.sweep()
        server.run(sweep, "sleep 1")
        waiting = [server.run(sweep, f"exit {i}") for i in range(3)]
        server.kill()
        server.start()
        for i, run in enumerate(waiting):
            assert server.ended(run["id"])["exit_code"] == i


def test_a_run_that_ends_while_the_server_is_down_is_told_when_it_is_back(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        sweep = server.sweep()
        flag = server.workspace / "ended"
        run = server.run(sweep, f"sleep 1; touch '{flag}'; exit 42")
        eventually(lambda: server.get(f"/runs/{run['id']}")["status"] == "running")
        server.kill()
        eventually(flag.exists)
        server.start()
        assert server.ended(run["id"])["exit_code"] == 42


def test_sigterm_ends_the_server_and_no_run(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        sweep = server.sweep()
        run = server.run(sweep, "echo $$ > pid; sleep 30")
        pid = int(eventually(lambda: _text(server.workspace / "pid")))
        assert server.stop() == 0
        os.kill(pid, 0)  # still there
        server.start()
        eventually(lambda: server.get(f"/runs/{run['id']}")["status"] == "running")
        server.post(f"/runs/{run['id']}/stop", {})
        done = server.ended(run["id"])
        assert done["status"] == "stopped"


def test_a_second_server_on_the_same_data_directory_is_refused(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        second = ServerProcess(server.data_dir, server.workspace)
        with pytest.raises(AssertionError, match="another server uses the data directory"):
            second.start()


def _text(path: Path) -> str | None:
    return path.read_text().strip() if path.exists() else None
