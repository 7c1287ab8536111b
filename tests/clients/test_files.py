"""Files that real writers leave, and our own SDK: what was logged is what is stored."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import eventually
from tests.clients.conftest import JOBS, Bench, python_of


def test_event_files_are_followed_while_they_grow_and_to_their_end(bench: Bench) -> None:
    directory = bench.server.workspace / "logs"
    directory.mkdir()
    os.mkfifo(directory / "go")
    run = bench.start("tensorboard", "write_tensorboard.py", "--wait --logdir logs 300")

    def grown() -> Any:
        told = bench.server.get(f"/runs/{run}/metrics")
        return told if len(told.get("metricSeries", {}).get("loss", ())) == 300 else None

    eventually(grown)
    assert bench.server.get(f"/runs/{run}")["status"] == "running"
    bench.restart(kill=True)
    (directory / "go").open("w").close()  # the job waits at the other end
    bench.ended(run)
    assert bench.metrics(run) == bench.printed(run)["logged"]
    told = bench.server.get(f"/runs/{run}/metrics")
    assert told["metricSeries"]["loss"][0]["time"] > 1e9
    followed = list(bench.stored(run, ".").glob("*.tfevents"))
    assert sorted(path.stat().st_size for path in followed) == sorted(
        path.stat().st_size for path in directory.rglob("*tfevents*")
    )


@pytest.mark.parametrize("client", ["wandb19", "wandb31"])
def test_what_wandb_writes_beside_the_run_is_read_whole(bench: Bench, client: str) -> None:
    run = bench.start(client, "offline_wandb.py")
    ended = bench.ended(run)
    said = bench.printed(run)

    def complete() -> Any:
        found = bench.metrics(run, *said["logged"])
        return found if len(found.get("odd", ())) == 3 else None

    stored = eventually(complete)
    for name, points in said["logged"].items():
        found = stored[name]
        assert len(found) == said["points"][name]
        assert (found if len(found) < 10 else found[:3] + found[-3:]) == points
    told = bench.server.get(f"/runs/{run}")
    assert told["summary"]["best"] == 0.5
    assert told["logged_params"]["lr"] == 0.1
    assert ended["outcome"] == "succeeded"


@pytest.mark.parametrize("client", ["mlflow2", "mlflow3"])
def test_files_that_mlflow_keeps_are_kept_listed_and_read_back(bench: Bench, client: str) -> None:
    run = bench.start(client, "files_mlflow.py")
    bench.ended(run)
    said = bench.printed(run)
    assert said["uri"] == f"mlflow-artifacts:/{bench.sweep}/{run}/artifacts"
    assert said["listed"][""] == [
        ["config.json", False, 12], ["deep", True, None], ["models", True, None],
        ["notes", True, None],
    ]  # fmt: skip
    assert said["listed"]["models"] == [["models/model.bin", False, 256 * 40_000]]
    assert (said["same"], said["text"]) == (True, "hello")
    kept = {item["path"]: item["bytes"] for item in bench.server.get(f"/runs/{run}/artifacts")}
    assert kept["deep/a b.txt"] == 2
    assert kept["models/model.bin"] == 256 * 40_000


def own_job(bench: Bench, count: int) -> str:
    command = f"{sys.executable} {JOBS / 'log_tallystick.py'} {count}"
    return str(bench.server.run(bench.sweep, command)["id"])


def test_our_own_sdk_loses_nothing_while_the_server_is_away(bench: Bench) -> None:
    run = own_job(bench, 1_500)
    bench.grown(run, f"{launched(bench, run)}.jsonl", 1)
    bench.restart(kill=True)
    bench.ended(run)

    def complete() -> Any:
        found = bench.metrics(run)
        return found if len(found) == 5 and len(found["child/3"]) == 1_500 else None

    stored = eventually(complete)
    assert stored["loss"] == [[step, str(step / 7)] for step in range(1_500)]
    for number in range(4):
        assert stored[f"child/{number}"] == [[step, str(float(step))] for step in range(1_500)]
    assert bench.server.get(f"/runs/{run}")["summary"] == {"best": 0.25}


def launched(bench: Bench, run: str) -> str:
    def look() -> Any:
        return bench.server.get(f"/runs/{run}")["attempt"]

    return str(eventually(look))


def test_a_file_is_kept_as_it_was_when_it_was_named(bench: Bench) -> None:
    run = own_job(bench, 1)
    bench.ended(run)

    def collected() -> Any:
        return bench.server.get(f"/runs/{run}/artifacts")

    (kept,) = eventually(collected)
    assert (kept["path"], kept["bytes"]) == ("models/final.bin", len(b"weights"))
    answer = bench.server.call("GET", f"/runs/{run}/artifacts/models/final.bin")
    assert answer.body == b"weights"


def test_the_sdk_is_installed_without_anything_else(bench: Bench, tmp_path: Path) -> None:
    """`pip install --no-deps` is enough in a training environment."""
    python, site = python_of("mlflow3"), tmp_path / "site"
    project = Path(__file__).resolve().parents[2]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(project)], check=True, capture_output=True)
    assert (site / "tallystick" / "client" / "run.py").exists()
    command = f"PYTHONPATH={site} {python} {JOBS / 'log_tallystick.py'} 3"
    run = str(bench.server.run(bench.sweep, command)["id"])
    bench.ended(run)
    assert bench.metrics(run, "loss")["loss"] == [[s, str(s / 7)] for s in range(3)]


def test_many_runs_log_at_once_and_none_is_mixed_up_with_another(bench: Bench) -> None:
    """Posted rows of many runs, from many threads: each is answered and none is mixed up."""
    runs = [
        str(bench.server.run(bench.sweep, "true", name=f"r{number}")["id"]) for number in range(12)
    ]
    for run in runs:
        bench.ended(run)

    def post(run: str, number: int) -> None:
        for step in range(40):
            rows = [{"step": step, "a": number * 1_000 + step}]
            bench.server.post(f"/runs/{run}/metrics", {"rows": rows})

    threads = [threading.Thread(target=post, args=(run, number)) for number, run in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, run in enumerate(runs):
        expected = [[step, str(float(number * 1_000 + step))] for step in range(40)]
        assert bench.metrics(run)["a"] == expected


def test_what_the_processes_use_is_measured_beside_the_run(bench: Bench) -> None:
    command = f"{sys.executable} -c 'x = bytearray(80_000_000)\nwhile True: pass'"
    run = str(bench.server.run(bench.sweep, command)["id"])

    def measured() -> Any:
        found = bench.metrics(run, "system/cpu_percent", "system/memory_mb")
        return found if found.get("system/cpu_percent") else None

    found = eventually(measured)
    assert float(found["system/memory_mb"][-1][1]) > 80
    bench.server.post(f"/runs/{run}/stop")
    bench.server.ended(run)
