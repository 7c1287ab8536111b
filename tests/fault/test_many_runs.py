"""500 short runs that fail at random and are tried again, over two cards, while the server is
killed three times: every run ends once, each attempt is executed once, every lease is given back.

The seed is fixed: TALLY_SEED gives another, TALLY_SOAK=1 ten times as many runs and kills.
"""

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.db.open import open_database
from tallystick.projections import attempts
from tallystick.projections.replay import entries_of
from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.e2e.gpus.fake import FakeCard, FakeNvml, build, compiler
from tests.fault.house import check_ledger

SOAK = os.environ.get("TALLY_SOAK") == "1"
SEED = int(os.environ.get("TALLY_SEED", "20261123"))
RUNS = 5_000 if SOAK else 500
KILLS = 30 if SOAK else 3
CLIENTS = 4
SESSIONS = 3
RETRIES = 2
PATIENCE_SECONDS = 3_000 if SOAK else 150


@dataclass(frozen=True)
class Part:
    """One run: how its attempts end, and whether it asks for a card."""

    number: int
    codes: tuple[int, ...]
    gpus: int

    @property
    def attempts(self) -> int:
        """So many are to be executed."""
        return len(self.codes)

    def command(self, folder: Path) -> str:
        """Notes each execution, holds its card for itself, ends as its attempt is to end."""
        trace = folder / f"r{self.number}"
        cases = " ".join(f"{n}) exit {code};;" for n, code in enumerate(self.codes, 1))
        lease = (
            f'mkdir "{folder}/card-$CUDA_VISIBLE_DEVICES" || echo twice >> {folder}/twice; '
            f'rmdir "{folder}/card-$CUDA_VISIBLE_DEVICES"; '
            if self.gpus
            else ""
        )
        return (
            f'printf x >> {trace}; {lease}read -r seen < {trace}; case "${{#seen}}" in {cases} esac'
        )


def parts(choice: random.Random, *, cards: bool) -> list[Part]:
    """A fixed play: every sixth attempt fails, so some fail for good."""
    made = []
    for number in range(RUNS):
        codes: list[int] = []
        while len(codes) < RETRIES + 1 and (not codes or codes[-1] != 0):
            codes.append(choice.choice((0,) * 10 + (1, 3)))
        made.append(Part(number, tuple(codes), gpus=int(cards and choice.random() < 0.3)))
    return made


@pytest.mark.timeout(3600 if SOAK else 240)
def test_many_runs_with_failures_and_kills_each_end_once_with_the_attempts_they_were_allowed(
    tmp_path: Path,
) -> None:
    print(f"TALLY_SEED={SEED}")
    choice = random.Random(SEED)
    environment = {
        "TALLY_EXECUTION_MAX_CONCURRENT": "8",
        "TALLY_EXECUTION_POLL_SECONDS": "0.5",
        "TALLY_EXECUTION_RECORD_TREE": "false",
        "TALLY_EXECUTION_BREAKER_FAILURES": "0",
    }
    cards = compiler() is not None
    if cards:
        (tmp_path / "nvml").mkdir()
        nvml = FakeNvml(build(tmp_path / "nvml"), tmp_path / "cards", cards=[FakeCard()] * 2)
        nvml.write()
        environment |= nvml.environment
    with running_server(tmp_path, environment=environment) as server:
        made = submit(server, parts(choice, cards=cards))
        for kill in range(KILLS):
            until_begun(server, RUNS * (kill + choice.random()) / (KILLS + 1))
            server.kill()
            server.start()
        until_begun(server, RUNS)
        eventually(lambda: done(server) == RUNS, within_seconds=PATIENCE_SECONDS)
        judge(server, made)
        server.stop()
        judge_ledger(server, made)


def submit(server: ServerProcess, planned: list[Part]) -> dict[str, Part]:
    """Register all of them, from several clients and sessions at a time."""
    sweeps = [server.sweep(session=f"chat-{number}") for number in range(SESSIONS)]

    def register(part: Part) -> tuple[str, Part]:
        body = {
            "name": f"r{part.number}",
            "command": part.command(server.workspace),
            "sweep_id": sweeps[part.number % SESSIONS],
            "chat_session_id": f"chat-{part.number % SESSIONS}",
            "gpus": part.gpus,
            "retries": RETRIES,
            "retry_delay_seconds": 0,
            "priority": part.number % 3,
            "auto_start": True,
        }
        return server.post("/runs", body)["id"], part

    with ThreadPoolExecutor(CLIENTS) as clients:
        return dict(clients.map(register, planned))


def until_begun(server: ServerProcess, count: float) -> None:
    """Wait for so many first executions; by their traces, for asking would take the server's time.

    With eight places there were never more than eight runs at a time.
    """
    folder = server.workspace
    eventually(lambda: len(list(folder.glob("r*"))) >= count, within_seconds=PATIENCE_SECONDS)
    done(server)


def done(server: ServerProcess) -> int:
    health = server.get("/wild/v2/system-health")
    assert health["running"] <= health["max_concurrent"], health
    return int(health["completed"] + health["failed"])


def judge(server: ServerProcess, made: dict[str, Part]) -> None:
    """What is told of each run against what it left behind."""
    cursor: str | None = ""
    told: dict[str, Any] = {}
    while cursor is not None:
        page = server.get(f"/runs?limit=1000&cursor={cursor}")
        told |= {run["id"]: run for run in page["items"]}
        cursor = page["next_cursor"]
    assert told.keys() == made.keys()
    for key, part in made.items():
        run = told[key]
        executed = len((server.workspace / f"r{part.number}").read_text())
        expected = "finished" if part.codes[-1] == 0 else "failed"
        assert (run["status"], run["exit_code"]) == (expected, part.codes[-1]), (run, part)
        assert (run["attempts"], executed) == (part.attempts, part.attempts), (run, part)
    assert not (server.workspace / "twice").exists(), "two runs had one card"
    queue = server.get("/queue")
    assert (queue["queued"], queue["slots_used"], queue["items"]) == (0, 0, [])
    assert {device["state"] for device in queue["devices"]} <= {"free"}


def judge_ledger(server: ServerProcess, made: dict[str, Part]) -> None:
    """With no server alive: it verifies from outside, and holds one final end for each run."""
    check_ledger(server.data_dir)
    database = open_database(f"sqlite:///{server.data_dir / 'tally.db'}")
    ends: Counter[str] = Counter()
    held: set[str] = set()
    leased: dict[str, tuple[str, ...]] = {}
    with database.read() as tx:
        for entry in entries_of(tx):
            if entry.type == "attempt.assigned":
                mine = tuple(entry.data.get("gpus", ()))
                assert not held & set(mine), entry
                assert len(mine) == made[entry.stream].gpus, entry
                held |= set(mine)
                leased[entry.stream] = mine
            elif entry.type in {"attempt.ended", "run.ended"}:
                held -= set(leased.pop(entry.stream))
                ends[entry.stream] += entry.type == "run.ended"
        assert attempts.active(tx) == []
    database.close()
    assert not held
    assert not leased
    assert ends == Counter(made.keys())
