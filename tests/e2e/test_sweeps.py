"""Sweeps with real runs: started to completion at their parallelism, stopped, resumed (P2.2)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually

AT_ONCE = """
import os, sys, time
here = sys.argv[1]
name = f"{here}/{os.getpid()}"
open(name, "w").close()
seen = len(os.listdir(here))
with open(f"{here}.seen", "a") as log: log.write(f"{seen}\\n")
time.sleep(0.15)
os.remove(name)
"""
"""Says how many of its kind are alive at the same time."""


VALLEY = """
import json, os, sys
x = float(sys.argv[1])
with open(os.environ["TALLY_METRICS"], "a") as rows:
    rows.write(json.dumps({"step": 0, "loss": 1e9}) + "\\n")
    rows.write(json.dumps({"step": 1, "loss": (x - 0.3) ** 2}) + "\\n")
"""
"""A loss with its least value at 0.3."""


def declare(server: ServerProcess, **fields: Any) -> Any:
    body = {"name": "s", "chat_session_id": "chat-1", "parameters": {}, **fields}
    return server.post("/sweeps", body)


def ended(server: ServerProcess, sweep: str) -> Any:
    def look() -> Any:
        found = server.get(f"/sweeps/{sweep}?wait=5")
        return found if found["status"] in {"completed", "failed", "canceled"} else None

    return eventually(look)


def runs_of(server: ServerProcess, sweep: str) -> list[Any]:
    found = server.get(f"/runs?sweep_id={sweep}&limit=1000")
    return sorted(found, key=lambda run: run["point"])


def test_parallel_is_kept_steadily_until_every_run_has_ended(server: ServerProcess) -> None:
    script, here = server.workspace / "at_once.py", server.workspace / "alive"
    script.write_text(AT_ONCE)
    here.mkdir()
    sweep = declare(
        server, base_command=f"{sys.executable} {script} {here}", seeds=7, status="draft"
    )["id"]
    started = server.post(f"/sweeps/{sweep}/start?parallel=2")
    assert started["message"] == "Started 7/7 runs"
    done = ended(server, sweep)
    assert (done["status"], done["progress"]["completed"]) == ("completed", 7)
    seen = [int(line) for line in Path(f"{here}.seen").read_text().split()]
    assert len(seen) == 7
    assert max(seen) == 2
    assert server.post(f"/sweeps/{sweep}/start")["already"]


def test_the_values_of_a_run_are_what_its_program_gets(server: ServerProcess) -> None:
    nasty = ["a b", "; touch broken", "$(touch broken)", "", "it's"]
    show = f"{sys.executable} -c 'import json,sys; print(json.dumps(sys.argv[1:]))'"
    sweep = declare(server, base_command=show, parameters={"v": nasty}, auto_start=True)["id"]
    assert ended(server, sweep)["status"] == "completed"
    for run, value in zip(runs_of(server, sweep), nasty, strict=True):
        printed = server.get(f"/runs/{run['id']}/logs?offset=0")["content"]
        assert json.loads(printed) == [f"--v={value}"]
    assert not (server.workspace / "broken").exists()


def test_a_resume_executes_only_what_is_missing_failed_or_was_stopped(
    server: ServerProcess,
) -> None:
    log = server.workspace / "executed"
    command = f"echo {{n}} >> {log}; if [ {{n}} = 2 ] && [ ! -e fixed ]; then exit 3; fi; {{do}}"
    points = [{"n": n, "do": "sleep 60" if n == 3 else "true"} for n in range(1, 6)]
    sweep = declare(
        server, base_command=command.replace("{do}", "eval {do}"), points=points, parallel=1,
        auto_start=True,
    )["id"]  # fmt: skip
    eventually(lambda: log.exists() and "3" in log.read_text().split())
    stopped = server.post(f"/sweeps/{sweep}/stop")
    assert not stopped["already"]
    halted = ended(server, sweep)
    assert [run["status"] for run in runs_of(server, sweep)] == [
        "finished", "failed", "stopped", "stopped", "stopped",
    ]  # fmt: skip
    assert halted["status"] == "failed"
    ids = [run["id"] for run in runs_of(server, sweep)]
    (server.workspace / "fixed").touch()
    assert log.read_text().split() == ["1", "2", "3"]
    resumed = server.post(f"/sweeps/{sweep}/resume?parallel=4")
    assert resumed["message"] == "Resumed 4/5 runs"
    eventually(lambda: sorted(log.read_text().split()) == ["1", "2", "2", "3", "3", "4", "5"])
    eventually(lambda: server.get(f"/sweeps/{sweep}")["progress"]["completed"] == 4)
    server.post(f"/runs/{ids[2]}/stop")
    final = ended(server, sweep)
    assert [run["id"] for run in runs_of(server, sweep)] == ids
    assert [run["attempts"] for run in runs_of(server, sweep)] == [1, 2, 2, 1, 1]
    assert final["progress"]["completed"] == 4


def tally(server: ServerProcess, *words: str, expect: int = 0) -> str:
    environment = {
        **os.environ, "SERVER_URL": server.url, "AUTH_TOKEN": server.token(),
        "CHAT_SESSION_ID": "chat-1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tallystick", "sweep", *words], env=environment,
        cwd=server.workspace, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.timeout(120)
def test_a_sweep_is_declared_started_and_followed_from_a_command_line(
    server: ServerProcess,
) -> None:
    space = ("--command", "echo", "--param", "lr=0.1,0.01", "--param", "wd=log:1e-4:1e-2:3")
    before = len(server.get("/sweeps?limit=1000"))
    shown = tally(server, "create", "grid", *space, "--dry-run")
    assert "runs    6" in shown
    assert "echo --lr=0.1 --wd=0.0001" in shown
    assert len(server.get("/sweeps?limit=1000")) == before
    sweep = tally(server, "create", "grid", *space, "--parallel", "3", "--start")
    assert "completed: 6 completed" in tally(server, "wait", sweep)
    made = server.get(f"/sweeps/{sweep}")
    assert f"digest  {made['plan']['digest']}" in shown
    (server.workspace / "points.jsonl").write_text('{"a": 1}\n\n{"a": 2, "b": "x"}\n')
    listed = tally(server, "create", "pts", "-c", "echo", "--points", "points.jsonl", "--draft")
    assert "draft" in tally(server, "show", listed)
    tally(server, "edit", listed, "--goal", "to see")
    assert "Started 2/2 runs" in tally(server, "start", listed)
    tally(server, "wait", listed)
    assert "Nothing is left" in tally(server, "resume", listed)
    tally(server, "archive", listed)
    assert listed not in tally(server, "list")
    assert listed in tally(server, "list", "--archived")


def test_an_adaptive_search_sees_the_metrics_of_every_run_and_abandons_none(
    server: ServerProcess,
) -> None:
    """X12: each choice follows from what the runs before it measured."""
    script = server.workspace / "valley.py"
    script.write_text(VALLEY)
    sweep = server.sweep(name="ternary search")

    def losses(*candidates: float) -> list[float]:
        made = [
            server.run(sweep, f"{sys.executable} {script} {x}", params={"x": x})["id"]
            for x in candidates
        ]
        return [server.ended(run)["metrics"]["loss"] for run in made]

    low, high = 0.0, 1.0
    for _ in range(5):
        third = (high - low) / 3
        left, right = losses(low + third, high - third)
        low, high = (low, high - third) if left < right else (low + third, high)
    assert low < 0.3 < high
    assert high - low < 0.14
    found = server.get(f"/sweeps/{sweep}")
    assert (found["status"], found["progress"]["completed"]) == ("completed", 10)
