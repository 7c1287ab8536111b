"""What somebody, or a crash, did to a data directory: each damage has one stated answer at start.

Either the server is readable and refuses every write, or it refuses to start with a text that names
the file and its mend. It never begins a fresh ledger beside old keys, and never shows a traceback.
"""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.errors import CorruptLedgerError, TallystickError
from tallystick.projections import sweeps
from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.fault.damage import (
    Damage,
    build_server,
    content,
    cut,
    fill,
    gone,
    mode,
    other_key,
    other_kind,
    overwrite,
    sql,
)
from tests.fault.restart import verify

NEWEST = "(SELECT max(seq) FROM entries)"

READABLE: dict[str, tuple[Damage, str]] = {
    "the last entry deleted": (
        sql(f"DELETE FROM entries WHERE seq = {NEWEST}"),
        "expected 600 entries, as its checkpoint says; found 599",
    ),
    "the last ten deleted": (
        sql("DELETE FROM entries WHERE seq >= 590"),
        "expected 600 entries, as its checkpoint says; found 590",
    ),
    "an entry inserted at the end": (
        sql(
            "INSERT INTO entries SELECT seq + 1, ts, type, stream, session, actor_token, "
            f"actor_role, leaf_hash, bytes FROM entries WHERE seq = {NEWEST}"
        ),
        "entry 600: expected an entry; found entry 599 in its place",
    ),
    "an entry missing in the unfinished tile": (
        sql("DELETE FROM entries WHERE seq = 570"),
        "entry 570: expected an entry; found entry 571 in its place",
    ),
    "an entry missing in the newest full tile": (
        sql("DELETE FROM entries WHERE seq = 300"),
        "entry 300: expected an entry; found entry 301 in its place",
    ),
    "every entry deleted": (
        sql("DELETE FROM entries"),
        "expected 600 entries, as its checkpoint says; found 0",
    ),
    "the table of entries dropped": (
        sql("DROP TABLE entries"),
        "expected 600 entries, as its checkpoint says; found 0",
    ),
    "the newest leaf hash changed": (
        sql(f"UPDATE entries SET leaf_hash = zeroblob(32) WHERE seq = {NEWEST}"),
        "entry 599: expected hash 0000",
    ),
    "a leaf hash and its bytes changed together": (
        sql(
            "UPDATE entries SET bytes = (SELECT bytes FROM entries WHERE seq = 570), "
            "leaf_hash = (SELECT leaf_hash FROM entries WHERE seq = 570) WHERE seq = 580"
        ),
        "entry 580: expected an entry; found entry 570 in its place",
    ),
    "an older leaf hash changed": (
        sql("UPDATE entries SET leaf_hash = zeroblob(32) WHERE seq = 260"),
        "entry 260: expected hash 0000",
    ),
    "bytes of an entry as text": (
        sql("UPDATE entries SET bytes = CAST(bytes AS TEXT) WHERE seq = 590"),
        "entry 590: expected bytes and their hash; found values of another type",
    ),
    "bytes of an entry that are no JSON": (
        sql("UPDATE entries SET bytes = x'00ff' WHERE seq = 590"),
        "entry 590: expected a JSON envelope",
    ),
    "the newest tile changed": (
        sql("UPDATE tiles SET hashes = zeroblob(8192) WHERE idx = 1"),
        "tile 1 of level 0, entry 256: expected hash",
    ),
    "a hash inside the newest tile changed": (
        sql(
            "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 3200) || zeroblob(32) || "
            "substr(hashes, 3233) AS BLOB) WHERE idx = 1"
        ),
        "tile 1 of level 0, entry 356: expected hash",
    ),
    "the root of an old tile changed": (
        sql("UPDATE tiles SET root = zeroblob(32) WHERE idx = 0"),
        "the tree of 600 entries: expected root",
    ),
    "the tiles deleted": (sql("DELETE FROM tiles"), "tile 1 of level 0: expected 256 hashes"),
    "the checkpoint deleted": (
        sql("DELETE FROM checkpoints"),
        "expected a checkpoint of its 600 entries; found none",
    ),
    "the checkpoint cut": (
        sql("UPDATE checkpoints SET note = substr(note, 1, 60)"),
        "the newest checkpoint: expected a note signed by",
    ),
    "the checkpoint of another size": (
        sql("UPDATE checkpoints SET size = 599"),
        "expected 600 entries, as its checkpoint says",
    ),
    "another key": (other_key, "no signature by a known key"),
}
"""Damage to what is inside the database: the server answers questions and writes nothing."""

REFUSED: dict[str, tuple[Damage, str, str]] = {
    "the database is gone": (gone("tally.db"), "ledger_gone", "tally.db"),
    "the database and the key are gone": (
        gone("tally.db", "ledger.key"),
        "ledger_gone",
        "tally.db",
    ),
    "the database is empty": (content("tally.db", b""), "ledger_gone", "not one entry"),
    "the ledger in it is empty": (
        sql("DELETE FROM entries", "DELETE FROM tiles", "DELETE FROM checkpoints"),
        "ledger_gone",
        "not one entry",
    ),
    "the database is cut in half": (cut("tally.db", 200_000), "database_corrupt", "tally.db"),
    "the database is cut within a page": (cut("tally.db", 5_000), "database_corrupt", "tally.db"),
    "its first page is zeroed": (
        overwrite("tally.db", 0, bytes(4096)),
        "database_corrupt",
        "tally.db",
    ),
    "it was written by a SQLite from the future": (
        overwrite("tally.db", 18, bytes([9, 9])),
        "database_corrupt",
        "tally.db",
    ),
    "it is no database": (
        content("tally.db", b"hello, world\n" * 1000),
        "database_corrupt",
        "tally.db",
    ),
    "the key is gone": (gone("ledger.key"), "key_missing", "ledger.key"),
    "the key is empty": (content("ledger.key", b""), "key_malformed", "ledger.key"),
    "the key is cut": (cut("ledger.key", 50), "key_malformed", "ledger.key"),
    "others can read the key": (
        mode("ledger.key", 0o644),
        "key_exposed",
        "chmod 600",
    ),
    "the key of attempts is cut": (cut("attempt.key", 5), "key_malformed", "attempt.key"),
    "the key of attempts is empty": (cut("attempt.key", 0), "key_malformed", "attempt.key"),
    "others can read a token": (
        mode("admin.token", 0o640),
        "key_exposed",
        "chmod 600",
    ),
    "the lock is a directory": (
        other_kind("server.lock"),
        "storage_failed",
        "server.lock",
    ),
    "runs is a file": (
        other_kind("runs"),
        "storage_failed",
        "runs",
    ),
}
"""Damage with which no server starts, the code, and what its text names."""

MENDED: dict[str, tuple[Damage, str]] = {
    "a token is empty": (content("admin.token", b""), "admin.token"),
    "a token is cut": (cut("admin.token", 9), "admin.token"),
    "a token is no text": (content("admin.token", b"\xff\xfe\x00" * 20), "admin.token"),
    "a token is gone": (gone("agent.token"), "agent.token"),
    "the log beside the database is noise": (content("tally.db-wal", b"\x37" * 9_999), ""),
    "the index of the log is noise": (content("tally.db-shm", b"\x37" * 32_768), ""),
    "server.json is torn": (content("server.json", b'{"url": "http'), ""),
    "a half-written file lies there": (content(".admin.token.7.7", b"tal"), ""),
    "the runs are gone": (gone("runs"), ""),
    "the key of attempts is gone": (gone("attempt.key"), ""),
}
"""Damage that a start mends by itself, and which file it writes anew."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original") / "data"
    fill(directory)
    return directory


@pytest.fixture
def data_dir(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("case", READABLE)
def test_a_ledger_that_does_not_verify_is_readable_and_never_written(
    data_dir: Path, case: str
) -> None:
    damage, said = READABLE[case]
    damage(data_dir)
    before = rows_of(data_dir)
    server = build_server(data_dir)
    try:
        server.start()
        broken = server.handler.broken
        assert isinstance(broken, CorruptLedgerError)
        assert said in broken.detail
        assert broken.hint
        assert "tally ledger verify" in broken.next_actions
        with server.database.read() as tx:
            assert len(sweeps.page(tx, limit=10)) == 10
    finally:
        server.stop()
    assert rows_of(data_dir) == before


@pytest.mark.parametrize("case", REFUSED)
def test_a_directory_that_cannot_be_served_is_refused_and_left_as_it_is(
    data_dir: Path, case: str
) -> None:
    damage, code, named = REFUSED[case]
    damage(data_dir)
    before = names_of(data_dir)
    with pytest.raises(TallystickError) as caught:
        build_server(data_dir).start()
    error = caught.value
    assert error.code == code
    assert named in f"{error.detail} {error.hint}"
    assert error.hint
    assert names_of(data_dir) == before


@pytest.mark.parametrize("case", MENDED)
def test_what_can_be_made_again_is_made_again(data_dir: Path, case: str) -> None:
    damage, file = MENDED[case]
    known = (data_dir / file).read_bytes() if file else b""
    damage(data_dir)
    server = build_server(data_dir)
    try:
        server.start()
        assert server.handler.broken is None
        assert server.ledger.size == 600 + bool(file)
        if file:
            made = (data_dir / file).read_bytes()
            assert len(made.strip()) > 40
            assert made != known
            assert (data_dir / file).stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()


def test_a_first_start_that_was_cut_short_is_simply_repeated(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    build_server(data_dir).database.close()  # the key and empty tables are there, and no entry
    assert {"ledger.key", "attempt.key", "tally.db"} <= names_of(data_dir)
    key = (data_dir / "ledger.key").read_bytes()
    (data_dir / "server.lock").unlink()  # that process is gone, and its lock with it
    server = build_server(data_dir)
    server.start()
    assert server.ledger.size > 0
    server.stop()
    assert (data_dir / "ledger.key").read_bytes() == key


@pytest.mark.parametrize("case", ["the database is gone", "it is no database", "the key is gone"])
def test_a_refused_start_is_told_in_three_lines_and_by_its_exit_code(
    data_dir: Path, case: str
) -> None:
    damage, code, named = REFUSED[case]
    damage(data_dir)
    ended = subprocess.run(
        [sys.executable, "-m", "tallystick", "up", "--port", "0", "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == (1 if code == "key_missing" else 4)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    first, second = ended.stderr.splitlines()[:2]
    assert first.startswith("error: ")
    assert first.endswith(f"[{code}]")
    assert named in first
    assert second.startswith("  hint: ")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path) as running:
        yield running


@pytest.mark.timeout(180)
def test_a_run_outlives_a_tampered_ledger_and_is_recorded_once_it_is_restored(
    server: ServerProcess,
) -> None:
    sweep = server.sweep()
    gate = server.workspace / "gate"
    run = server.run(sweep, f"while ! test -e '{gate}'; do sleep 0.1; done; exit 7")["id"]
    waiting = server.run(sweep, "true", auto_start=False)["id"]
    eventually(lambda: server.get(f"/runs/{run}")["status"] == "running")
    server.stop()
    database = server.data_dir / "tally.db"
    backup = server.data_dir.parent / "tally.db.backup"
    shutil.copy(database, backup)
    sql(f"DELETE FROM entries WHERE seq = {NEWEST}")(server.data_dir)

    server.start()
    found = read_only(server, run)
    assert "expected" in found
    refused(server, "POST", "/sweeps/wild", {"name": "s", "chat_session_id": "chat-1"})
    refused(server, "POST", f"/runs/{waiting}/start", {})
    refused(server, "POST", f"/runs/{run}/stop", {})
    refused(server, "PUT", "/policy", {"session": "warn"}, token="admin")
    gate.touch()  # the command ends now, and its supervisor has nobody to tell
    journal = next((server.data_dir / "runs" / run).glob("att_*/journal.jsonl"))
    eventually(lambda: b'"ended"' in journal.read_bytes())
    assert server.get(f"/runs/{run}")["status"] == "running"
    assert server.stop() == 0

    shutil.copy(backup, database)
    server.start()
    assert server.get("/health", token=None)["status"] == "ok"
    assert server.ended(run)["exit_code"] == 7
    assert server.get(f"/runs/{waiting}")["status"] == "ready"
    server.stop()
    assert verify(server, "--data-dir", str(server.data_dir)).returncode == 0


@pytest.mark.timeout(120)
def test_torn_files_of_a_run_cost_that_run_alone(server: ServerProcess) -> None:
    sweep = server.sweep()
    env = {"API_TOKEN": "sk-0123456789abcdef0123456789abcdef"}
    secret = server.run(sweep, "true", auto_start=False, env=env)["id"]
    path = server.data_dir / "runs" / secret / "secrets.json"
    path.write_bytes(path.read_bytes()[:20])
    server.post(f"/runs/{secret}/start", {})
    ended = server.ended(secret)
    assert ended["status"] == "failed"
    assert "the secrets of run" in ended["reason"]

    stopped = server.run(sweep, "sleep 60")["id"]
    eventually(lambda: server.get(f"/runs/{stopped}")["status"] == "running")
    attempt = next((server.data_dir / "runs" / stopped).glob("att_*"))
    (attempt / "stop.json").write_bytes(b"")  # a stop that was cut short is asked for again
    (attempt / "bundle.json").write_bytes(b"{")  # has been read
    (server.data_dir / "server.json").write_bytes(b'{"url": "ht')  # is read until it is whole
    server.post(f"/runs/{stopped}/stop", {})
    server.stop()
    server.start()
    assert server.ended(stopped)["status"] == "stopped"
    with (attempt / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"mac":"00')  # the line that a crash has torn
    server.stop()
    assert verify(server, "--data-dir", str(server.data_dir)).returncode == 0


def read_only(server: ServerProcess, run: str) -> str:
    """What /health says of the damage; questions are answered all the same."""
    health = server.get("/health", token=None)
    assert health["status"] == "read_only"
    for path in ("/runs", f"/runs/{run}", "/sweeps", "/sessions", "/ledger/checkpoint", "/docs"):
        server.get(path)
    log = server.log()
    assert "READ-ONLY" in log
    assert f"tally server doctor --data-dir {server.data_dir}" in log
    assert "Traceback" not in log
    return str(health["reason"])


def refused(
    server: ServerProcess, method: str, path: str, body: object, *, token: str = "agent"
) -> None:
    """A write is answered with what is wrong and what to do."""
    answer = server.call(method, path, body, token=token)
    assert answer.status == 500, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["code"] == "corrupt_ledger"
    assert answer.body["expected"]
    assert answer.body["found"]
    assert answer.body["hint"]
    assert "tally server doctor" in answer.body["next_actions"]


def rows_of(data_dir: Path) -> list[object]:
    """Everything that the ledger's tables hold."""
    connection = sqlite3.connect(data_dir / "tally.db")
    connection.text_factory = bytes
    tables = ("checkpoints", "tiles", "op_positions", "sweeps")
    rows: list[object] = [
        connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables
    ]
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
        rows += connection.execute("SELECT * FROM entries ORDER BY seq").fetchall()
    connection.close()
    return rows


def names_of(data_dir: Path) -> set[str]:
    """The files of a directory, but for those that SQLite makes and removes."""
    return {path.name for path in data_dir.iterdir()} - {"tally.db-wal", "tally.db-shm"}
