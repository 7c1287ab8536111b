"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is executed twice.

Three clients create sweeps and runs and stop some, each repeating what was not answered under the
same key. The seed is fixed: TALLY_SEED gives another, TALLY_SOAK=1 two hundred moments.
"""

import contextlib
import http.client
import itertools
import os
import random
import threading
import urllib.error
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tallystick.db.open import open_database
from tallystick.ledger.ledger import Ledger
from tallystick.testing.server import ServerProcess, eventually
from tests.fault.house import check_ledger
from tests.fault.preloaded import preloaded_server
from tests.fault.restart import executions, traced

SOAK = os.environ.get("TALLY_SOAK") == "1"
MOMENTS = 200 if SOAK else 25
CHECK_EVERY = 10
SEED = int(os.environ.get("TALLY_SEED", "20261122"))
CLIENTS = 3
MOST_RUNS = 2_000 if SOAK else 200
LONGEST_SECONDS = 0.5
ENDED = {"finished", "failed", "stopped"}
UNANSWERED = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)


@dataclass
class Load:
    """What the clients did, and what they were told."""

    server: ServerProcess
    over: threading.Event = field(default_factory=threading.Event)
    runs: dict[str, int] = field(default_factory=dict)
    """The number of each acknowledged run, by its id; its exit code is the number modulo 5."""
    stopped: set[str] = field(default_factory=set)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def client(self, seed: int) -> None:
        """One client, until the load is over."""
        try:
            choice = random.Random(seed)
            session = {"chat_session_id": f"chat-{seed}"}
            sweep = self.send("/sweeps/wild", {"name": "s", "goal": "g", **session})
            while sweep is not None and not self.over.is_set() and len(self.runs) < MOST_RUNS:
                number = next(self.numbers)
                body = {
                    "name": f"r{number}",
                    "command": traced(self.server.workspace, f"r{number}", 0, number % 5),
                    "sweep_id": sweep["id"],
                    "auto_start": True,
                    **session,
                }
                made = self.send("/runs", body)
                if made is not None:
                    self.runs[made["id"]] = number
                if made is not None and choice.random() < 0.2:
                    self.stop(made["id"])
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            self.faults.append(error)

    def send(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Repeat until it is answered; None when the load was over first."""
        key = {"Idempotency-Key": f"{body['name']}-{body['chat_session_id']}"}
        while True:
            with contextlib.suppress(*UNANSWERED):
                answer = self.server.call("POST", path, body, headers=key)
                if answer.status == 200:
                    self.receipts.append(answer.body["receipt"])
                    found: dict[str, Any] = answer.body
                    return found
                assert answer.status >= 500, answer
            if self.over.wait(0.02):
                return None

    def stop(self, run: str) -> None:
        with contextlib.suppress(*UNANSWERED):
            answer = self.server.call("POST", f"/runs/{run}/stop", {})
            if answer.status == 200:
                self.stopped.add(run)

    def check(self) -> None:
        """With no server alive: the ledger holds, and every receipt is in it."""
        check_ledger(self.server.data_dir)
        database = open_database(f"sqlite:///{self.server.data_dir / 'tally.db'}")
        with database.read() as tx:
            for receipt in list(self.receipts):
                (entry,) = Ledger.read(tx, after=receipt["seq"] - 1, limit=1)
                assert entry.leaf_hash.hex() == receipt["leaf_hash"], receipt
        database.close()


@pytest.mark.timeout(3600 if SOAK else 240)
def test_nothing_acknowledged_is_lost_whenever_the_server_dies(tmp_path: Path) -> None:
    print(f"TALLY_SEED={SEED}")
    moment = random.Random(SEED)
    with preloaded_server(tmp_path) as server:
        load = Load(server)
        clients = [threading.Thread(target=load.client, args=(n,)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for number in range(1, MOMENTS + 1):
                load.over.wait(moment.uniform(0, LONGEST_SECONDS))  # the random moment itself
                server.kill()
                if number % CHECK_EVERY == 0:
                    load.check()
                server.start()
        finally:
            load.over.set()
            for client in clients:
                client.join()
        assert not load.faults, load.faults
        eventually(lambda: not unfinished(server), within_seconds=120)
        judge(server, load)
        server.stop()
        load.check()


def unfinished(server: ServerProcess) -> list[Any]:
    return [
        run
        for status in ("queued", "launching", "running")
        for run in server.get(f"/runs?status={status}&limit=1000")
    ]


def judge(server: ServerProcess, load: Load) -> None:
    """What is said of every acknowledged run against what it left behind."""
    assert load.runs
    lost = 0
    for key, number in load.runs.items():
        run = server.get(f"/runs/{key}")
        count = executions(server.workspace, f"r{number}")
        assert run["status"] in ENDED, run
        assert count <= 1, run
        if run["outcome"] == "lost":
            lost += 1
        elif run["status"] == "stopped":
            assert key in load.stopped or number % 5 == 0 or run["exit_code"] is None, run
        else:
            assert (run["exit_code"], count) == (number % 5, 1), run
    assert lost == 0, f"{lost} runs lost, and no supervisor was killed"
    print(f"{MOMENTS} moments, {len(load.runs)} runs, {len(load.stopped)} stops")
