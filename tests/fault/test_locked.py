"""Another process holds the database: writes are told to come back, reads go on, nothing doubles.

The stranger is a real process with `BEGIN EXCLUSIVE`, as a backup tool or a forgotten shell has it.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.db.database import BUSY_TIMEOUT_SECONDS
from tallystick.testing.server import Answer, ServerProcess, running_server
from tests.fault.restart import verify

SLACK_SECONDS = 3.0
"""What a busy machine may add to an answer."""

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def stranger(database: Path, *statements: str) -> Iterator[None]:
    """Another process that holds the database until the block ends."""
    command = [sys.executable, "-c", HOLD, str(database), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path) as running:
        yield running


def create(server: ServerProcess, key: str) -> Answer:
    body = {"name": key, "chat_session_id": "chat-1"}
    return server.call("POST", "/sweeps/wild", body, headers={"Idempotency-Key": key})


@pytest.mark.timeout(120)
def test_a_locked_database_answers_503_in_time_reads_go_on_and_nothing_is_doubled(
    server: ServerProcess,
) -> None:
    database = server.data_dir / "tally.db"
    sweep = server.sweep()
    run = server.run(sweep, "sleep 2; exit 3")["id"]
    with stranger(database, "BEGIN EXCLUSIVE"), ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        waiting = [pool.submit(create, server, f"key-{n}") for n in range(4)]
        server.get("/runs")
        server.get(f"/sweeps/{sweep}")
        assert server.get("/health", token=None)["status"] == "ok"
        assert time.monotonic() - began < SLACK_SECONDS, "a reader waited for the stranger"
        answers = [future.result() for future in waiting]
        # Those that came while the first were waiting for the lock wait for it once more.
        assert time.monotonic() - began < 2 * BUSY_TIMEOUT_SECONDS + SLACK_SECONDS
    for answer in answers:
        assert answer.status == 503, answer
        assert answer.body["code"] == "database_busy"
        assert "fuser" in answer.body["hint"]
        assert int(answer.headers["retry-after"]) >= 1
        assert "tally.db" in answer.body["detail"]
    ids = {create(server, f"key-{n}").body["id"] for n in range(4)}
    assert len(ids) == 4
    assert ids == {create(server, f"key-{n}").body["id"] for n in range(4)}
    assert {each["id"] for each in server.get("/sweeps")} == {sweep, *ids}
    assert server.ended(run)["exit_code"] == 3
    server.stop()
    assert verify(server, "--data-dir", str(server.data_dir)).returncode == 0


@pytest.mark.timeout(120)
def test_a_lock_that_is_let_go_in_time_is_not_noticed(server: ServerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        with stranger(server.data_dir / "tally.db", "BEGIN EXCLUSIVE"):
            waiting = pool.submit(create, server, "key")
            server.get("/runs")
        assert waiting.result().status == 200


@pytest.mark.timeout(120)
def test_a_database_that_is_locked_at_start_is_told_and_named(server: ServerProcess) -> None:
    server.stop()
    database = server.data_dir / "tally.db"
    with stranger(database, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"):
        with pytest.raises(AssertionError, match="ended with 3"):
            server.start()
        server.stop()
        log = server.log()
        assert f"error: Another process holds the database {database}" in log
        assert "[database_busy]" in log
        assert "fuser" in log
        assert "Traceback" not in log
    server.start()
    assert create(server, "key").status == 200
