"""The real MLflow client, by environment alone: what it logged is what is stored."""

import hashlib
import signal
import time
from typing import Any

import pytest

from tallystick.testing.server import eventually
from tests.clients.conftest import Bench, sorted_points

VERSIONS = ["mlflow2", "mlflow3"]


@pytest.mark.parametrize("client", VERSIONS)
def test_what_was_logged_is_what_is_stored_and_read_back(bench: Bench, client: str) -> None:
    run = bench.start(client, "track_mlflow.py")
    bench.ended(run)
    said = bench.printed(run)
    assert (said["run"], said["experiment"]) == (run, bench.sweep)
    stored = bench.metrics(run)
    for name, points in said["logged"].items():
        same = sorted_points if name == "async" else list
        assert same(stored[name]) == same(points), name
    assert said["history"] == said["logged"]["out of order"]
    assert said["times"] == [1_700_000_000_000, 1_700_000_000_001]
    assert said["last"]["loss"] == str(1 / 30)
    assert said["status"] == "RUNNING"
    assert (said["params"]["lr"], said["params"]["p"], said["params"]["param/149"]) == (
        "0.1", "v", "149",
    )  # fmt: skip
    tags = said["tags"]
    assert (tags["kept"], tags["t"], tags["tally.run"]) == ("1", "w", run)
    assert "gone" not in tags
    assert said["found"] == [said["inner"]]
    assert said["listed"] == sorted([run, said["inner"]])
    inner = said["inner"].removeprefix(f"{run}-")
    second = said["second"].removeprefix(f"{run}-")
    assert stored[f"nested-{inner}/loss"] == [[7, "42.0"]]
    assert stored[f"nested-{second}/loss"] == [[0, "43.0"]]


@pytest.mark.parametrize("client", VERSIONS)
def test_the_raw_stream_is_sealed_whole_when_the_run_has_ended(bench: Bench, client: str) -> None:
    run = bench.start(client, "many_mlflow.py", "5")
    bench.ended(run)
    content = bench.stored(run, "client.mlflow").read_bytes()
    bench.restart(kill=False)  # a sealer begins with a look
    seal = eventually(lambda: bench.seals(run, "client.mlflow"))[-1]
    assert (seal["bytes"], seal["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("client", VERSIONS)
@pytest.mark.parametrize("how", ["killed", "stopped", "silent"])
def test_nothing_is_lost_or_doubled_when_the_server_goes_away(
    bench: Bench, client: str, how: str
) -> None:
    run = bench.start(client, "many_mlflow.py", "400")
    bench.grown(run, "client.mlflow", 40)
    if how == "silent":
        process = bench.server.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
    else:
        bench.restart(kill=how == "killed")
    bench.ended(run)
    assert bench.metrics(run)["loss"] == [[step, str(step / 7)] for step in range(400)]


@pytest.mark.parametrize("client", VERSIONS)
def test_code_that_makes_its_own_run_gets_the_registered_one(bench: Bench, client: str) -> None:
    run = bench.start(client, "adopted_mlflow.py")
    found = bench.ended(run)
    assert bench.output(run).split()[-2:] == [run, "RUNNING"]
    assert bench.metrics(run)["loss"] == [[3, "0.25"]]
    assert found["outcome"] == "succeeded"
    assert found["claims"]["status"]["status"] == "FAILED"


def test_a_job_with_a_tracker_of_its_own_is_left_alone_and_warned(bench: Bench) -> None:
    store = f"file://{bench.server.workspace}/mlruns"
    made: Any = bench.server.post(
        "/runs",
        {
            "name": "own",
            "command": "env | grep -c ^MLFLOW_ || true; env | grep ^MLFLOW_TRACKING_URI",
            "sweep_id": bench.sweep,
            "chat_session_id": "chat-1",
            "auto_start": True,
            "env": {"MLFLOW_TRACKING_URI": store},
        },
    )
    assert "tracker_named" in {warning["code"] for warning in made["warnings"]}
    bench.ended(made["id"])
    assert bench.output(made["id"]).split() == ["1", f"MLFLOW_TRACKING_URI={store}"]
