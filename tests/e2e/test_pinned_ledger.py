"""Whoever saw a ledger notices when it is another: real servers, real backups, real clients."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.client.known import KnownLedgers
from tallystick.ledger import verify
from tallystick.testing.server import ServerProcess, running_server

AT_ONCE = 8
EACH = 5

CREATING = f"""
from tallystick import Client
sizes = []
with Client() as client:
    sweep = client.create_sweep("at once").id
    for _ in range({EACH}):
        run = client.create_run("n", "true", sweep=sweep)
        sizes.append(int(run.receipt.checkpoint.split("\\n")[1]))
print(max(sizes))
"""


@dataclass
class Place:
    """A server, and one user of it with a home of their own."""

    server: ServerProcess
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TALLY_")}
        return {
            **kept,
            "HOME": str(self.home),
            "TALLY_DATA_DIR": str(self.server.data_dir),
            "TALLY_CHAT_SESSION_ID": "pinning",
        }

    def popen(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.server.workspace,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tally(self, *words: str) -> tuple[int, str, str]:
        process = self.popen("-m", "tallystick", *words)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def create(self) -> dict[str, Any]:
        """A run that is not started, so that nothing moves but what the test moves."""
        code, out, err = self.tally("run", "create", "--no-start", "--json", "--", "true")
        assert code == 0, err
        made: dict[str, Any] = json.loads(out)
        return made

    def pinned(self) -> str:
        pins, broken = KnownLedgers(self.home / ".tally" / "known_ledgers").all()
        assert broken == []
        [pin] = pins
        return pin.checkpoint

    def back_up(self) -> Path:
        """A copy of the data directory, taken while nobody writes to it."""
        self.server.stop()
        copy = self.server.data_dir.with_name("backup")
        shutil.copytree(self.server.data_dir, copy)
        self.server.start()
        return copy

    def restore(self, copy: Path) -> None:
        self.server.stop()
        shutil.rmtree(self.server.data_dir)
        shutil.copytree(copy, self.server.data_dir)
        self.server.start()

    def head(self) -> tuple[str, int]:
        """The server's newest checkpoint, asked for without a memory."""
        note: str = self.server.get("/ledger/checkpoint")
        return note, int(note.split("\n")[1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "home").mkdir()
    with running_server(tmp_path) as server:
        yield Place(server, tmp_path / "home")


def test_a_restored_backup_verifies_and_whoever_saw_more_knows(place: Place) -> None:
    receipt = place.create()
    copy = place.back_up()
    lost = place.create()
    trusted = place.pinned()
    place.restore(copy)

    code, out, err = place.tally("ledger", "verify")
    assert (code, out.splitlines()[0]) == (0, "ok: the ledger verifies")
    assert "a restored backup verifies too" in err

    presented, _size = place.head()
    code, out, err = place.tally("ledger", "show")
    assert (code, out) == (4, "")
    assert trusted in err
    assert presented in err
    assert "[ledger_forked]" in err
    origin = trusted.partition("\n")[0]
    assert f"tally ledger forget {origin}" in err
    kept = place.home / "lost.json"
    kept.write_text(json.dumps(lost))
    code, _out, err = place.tally("ledger", "check", str(kept))
    assert code == 4
    assert lost["receipt"]["checkpoint"] in err

    assert place.tally("ledger", "forget", origin)[0] == 0
    place.create()
    kept.write_text(json.dumps(receipt))
    assert place.tally("ledger", "check", str(kept))[0] == 0, "older than the backup"


def test_another_history_on_top_of_a_backup_is_seen(place: Place) -> None:
    sweep = place.server.sweep()
    place.create()
    copy = place.back_up()
    place.create()
    trusted, size = place.head()
    assert place.pinned() == trusted
    place.restore(copy)
    while place.head()[1] < size:  # made of other runs, by somebody else
        place.server.run(sweep, "false", auto_start=False)
    presented, found = place.head()
    assert (found, presented == trusted) == (size, False)
    code, _out, err = place.tally("ledger", "show")
    assert (code, trusted in err, presented in err) == (4, True, True)

    place.server.run(sweep, "false", auto_start=False)
    words = ("run", "create", "--no-start", "--sweep", sweep, "--json", "--", "true")
    code, out, err = place.tally(*words)
    made = json.loads(out)
    assert code == 4
    assert place.server.get(f"/runs/{made['id']}")["status"] == "ready", "accepted, and answered"
    assert trusted in err
    assert made["receipt"]["checkpoint"] in err
    assert place.pinned() == trusted


@pytest.fixture
def quiet(server: ServerProcess, tmp_path: Path) -> Place:
    """A place at the server that the tests of this module share."""
    return Place(server, tmp_path)


def test_clients_at_once_leave_the_largest_pinned(quiet: Place) -> None:
    processes = [quiet.popen("-c", CREATING) for _ in range(AT_ONCE)]
    sizes = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        sizes.append(int(out))
    _note, size = quiet.head()
    assert max(sizes) == size
    assert int(quiet.pinned().split("\n")[1]) == size


def test_a_run_is_proven_to_a_stranger_who_has_the_key_and_no_server(
    quiet: Place, tmp_path: Path
) -> None:
    run = quiet.server.run(quiet.server.sweep(), "true")["id"]
    quiet.server.ended(run)
    proof = tmp_path / "kept.tlog-proof"
    code, _out, err = quiet.tally("ledger", "proof", run, "--out", str(proof))
    assert code == 0, err
    vkey = quiet.server.get("/ledger/vkey").strip()

    code, out, err = quiet.tally("ledger", "check", "--offline", "--vkey", vkey, str(proof))
    assert code == 0, err
    assert '"type":"run.ended"' in out
    assert by_hand(proof.read_text(), vkey)["stream"] == run


def by_hand(text: str, vkey: str) -> dict[str, Any]:
    """The entry of a proof file, verified with hashes and the export's verifier alone."""
    opening, checkpoint = text.split("\n\n", 1)
    _first, extra, index, *hashes = opening.split("\n")
    entry = base64.b64decode(extra.removeprefix("extra "))
    size, root = verify.open_checkpoint(checkpoint, *verify.parse_vkey(vkey))
    place, last = int(index.removeprefix("index ")), size - 1
    node = hashlib.sha256(b"\x00" + entry).digest()
    for sibling in map(base64.b64decode, hashes):
        while not place & 1 and place == last:  # alone at the right edge of its level
            place, last = place >> 1, last >> 1
        pair = sibling + node if place & 1 else node + sibling
        node, place, last = hashlib.sha256(b"\x01" + pair).digest(), place >> 1, last >> 1
    assert node == root
    document: dict[str, Any] = json.loads(entry)
    return document
