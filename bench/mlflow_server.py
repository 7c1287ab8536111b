"""MLflow as a peer: its default server, as its users see it and with what TCP adds taken away.

By default a kept-alive client waits about 45 ms longer for each write, because the server's socket
holds back the end of an answer until the beginning was acknowledged (Nagle), and the client's
kernel delays that. Acknowledging at once (TCP_QUICKACK) shows what MLflow itself needs. Both are
quoted: the first is what people get, the second what it costs to compute.
"""

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench import servers
from bench.figures import percentile
from bench.load import Load, LoadError, Throughput, by_threads, parsed
from bench.servers import Started
from bench.workbench import Collected, Workbench

NAME = "MLflow"
WARM_SECONDS = 3.0
"""Its processes go on importing after the first answer."""
COPIED = {"run_uuid": "printf('%032x', i)", "start_time": "start_time - i"}
"""What differs between the copies of a run."""
STALL_SECONDS = 45.0
"""With many clients on SQLite it can freeze for 30 s (a pool of connections that runs dry)."""


@contextlib.contextmanager
def server(bench: Workbench, *, runs: int = 0, warm: bool = True) -> Iterator[Started]:
    """`mlflow server` with nothing but a port, over a new directory."""
    assert bench.mlflow is not None
    directory = bench.directory / f"mlflow-{time.monotonic_ns()}"
    directory.mkdir()
    port = servers.free_port()
    command = [bench.mlflow, "-m", "mlflow", "server", "--port", str(port)]
    settings = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    log = directory / "server.log"
    started = servers.start(
        command,
        url=f"http://127.0.0.1:{port}",
        ready_path="/health",
        log=log,
        environment=settings,
        cwd=directory,
    )
    try:
        if warm:
            _warm(started)
        if runs:
            _clone(directory, runs)
        yield started
    finally:
        started.stop()


def _warm(started: Started) -> None:
    """Until a load is answered: the workers come up one by one, some after the first answer."""
    until = time.monotonic() + servers.PATIENCE_SECONDS
    while True:
        time.sleep(WARM_SECONDS)
        try:
            by_threads(creates(started), clients=4, seconds=1.0, quickack=True)
        except LoadError:
            if time.monotonic() > until:
                raise
        else:
            return


def creates(started: Started) -> Load:
    """A new run in the default experiment."""
    body = {"experiment_id": "0", "run_name": "a trial", "tags": [{"key": "seed", "value": "%d"}]}
    return Load(url=f"{started.url}/api/2.0/mlflow/runs/create", body=json.dumps(body))


def measure_creates(
    bench: Workbench, seen: Collected, started: Started, *, clients: int, quickack: bool
) -> None:
    """Throughput and latency of creates, under the names that `creates_key` gives."""
    with bench.timed() as section:
        result = by_threads(
            creates(started),
            clients=clients,
            seconds=bench.seconds,
            quickack=quickack,
            patience=STALL_SECONDS,
        )
    key = creates_key(clients, quickack=quickack)
    seen.add(section.foreign, **{key: result.per_second, f"{key}_p50": result.p50_ms})


def creates_key(clients: int, *, quickack: bool) -> str:
    """What `measure_creates` calls its figures."""
    return f"mlflow_{clients}_{'quickack' if quickack else 'default'}"


def by_its_own_client(bench: Workbench, started: Started, *, count: int) -> Throughput:
    """`MlflowClient.create_run`, one after another."""
    program = Path(__file__).with_name("mlflow_client.py")
    answer = subprocess.run(
        [str(bench.mlflow), str(program), started.url, str(count)],
        capture_output=True,
        check=True,
    )
    spent = [float(value) for value in json.loads(answer.stdout)]
    return Throughput(count, sum(spent) / 1e3, percentile(spent, 0.5), percentile(spent, 0.99))


def time_list(started: Started, *, count: int, quickack: bool) -> list[float]:
    """Milliseconds of asking for the 100 newest runs."""
    body = json.dumps({"experiment_ids": ["0"], "max_results": 100}).encode()
    spent = []
    with started.connect(quickack=quickack) as connection:
        for _ in range(count):
            at = time.perf_counter()
            answer = connection.request("POST", "/api/2.0/mlflow/runs/search", body)
            spent.append((time.perf_counter() - at) * 1e3)
    assert len(parsed(answer)["runs"]) == 100, "MLflow lists fewer runs"
    return spent


def _clone(directory: Path, count: int) -> None:
    """Copies of one run's rows, as it would have taken an hour to create them."""
    path = next(directory.rglob("*.db"))
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        shown = ", ".join(names)
        copied = ", ".join(COPIED.get(name, name) for name in names)
        connection.execute(
            # The names of the columns come from the database itself.
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?), "  # noqa: S608
            "newest AS (SELECT * FROM runs ORDER BY start_time DESC LIMIT 1) "
            f"INSERT INTO runs ({shown}) SELECT {copied} FROM n, newest",
            (count,),
        )
    connection.close()
