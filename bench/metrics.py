"""How fast do metrics get in and out, beside MLflow, trackio and what a disk needs?

Points over HTTP in large batches and one by one, one call of the SDK, the reading of long series,
and the bytes of a file. What is acknowledged is on disk; MLflow is asked by its best batch path.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench import floors, mlflow_server, servers
from bench.figures import Row, at_least, at_most, percentile
from bench.load import Connection, parsed, timed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Metrics"
METRICS = 10
ROWS = 1_000
"""Rows of a batch, each with `METRICS` points."""
BATCHES = 20
MLFLOW_POINTS = 1_000
"""The most that MLflow takes at once."""
SERIES, LENGTH, BUCKETS = 20, 100_000, 2_000
FILE_BYTES = 64 * 1024 * 1024
ECHO = json.dumps(
    {"name": "a", "command": "true", "sweep_id": "s", "chat_session_id": "c"}
).encode()


def answer(bench: Workbench) -> list[Row]:
    """In, out, and the floor of each."""
    seen = Collected()
    with servers.tallystick(bench.directory / "metrics") as server, server.connect() as connection:
        sweep = servers.create_sweep(server)
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            run = servers.run_until(server, connection, sweep, command="true", status="finished")
            _ingest(bench, seen, connection, server, run)
            _files(bench, seen, connection, server, run)
            _floors(bench, seen)
        _reading(
            bench,
            seen,
            connection,
            server,
            servers.run_until(server, connection, sweep, command="true", status="finished"),
        )
    _calls(bench, seen)
    if bench.mlflow is not None:
        _mlflow(bench, seen)
    return _rows(bench, seen)


def _batch(first: int, rows: int) -> bytes:
    lines = [
        {"_step": step, **{f"m{number}": step / (number + 7) for number in range(METRICS)}}
        for step in range(first, first + rows)
    ]
    return json.dumps({"rows": lines}).encode()


def _ingest(
    bench: Workbench, seen: Collected, connection: Connection, server: Started, run: str
) -> None:
    """Large batches, single rows, and the time until all of it can be read."""
    path = f"/runs/{run}/metrics"
    many = [("POST", path, _batch(at * ROWS, ROWS)) for at in range(BATCHES)]
    with bench.timed() as section:
        began = time.perf_counter()
        spent = timed(connection, many, server.headers)
        while True:
            told = parsed(
                connection.request("GET", f"{path}?keys=m0&buckets=1", headers=server.headers)
            )
            if told["rows"] >= BATCHES * ROWS:
                break
        readable = time.perf_counter() - began
    points = BATCHES * ROWS * METRICS
    seen.add(section.foreign, points=points / (sum(spent) / 1e3), readable=points / readable)
    ones = [("POST", path, _batch(at, 1)) for at in range(200)]
    with bench.timed() as section:
        spent = timed(connection, ones, server.headers)
    seen.add(section.foreign, one=percentile(spent, 0.5))


def _files(
    bench: Workbench, seen: Collected, connection: Connection, server: Started, run: str
) -> None:
    """A file over HTTP, beside hashing and writing the same bytes."""
    content = os.urandom(FILE_BYTES)
    with bench.timed() as section:
        at = time.perf_counter()
        connection.request("PUT", f"/runs/{run}/artifacts/model.bin", content, server.headers)
        spent = time.perf_counter() - at
    seen.add(section.foreign, file=FILE_BYTES / 1e6 / spent)
    with bench.timed() as section:
        at = time.perf_counter()
        hashlib.sha256(content).digest()
        path = bench.directory / "floor.bin"
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        spent = time.perf_counter() - at
    seen.add(section.foreign, file_floor=FILE_BYTES / 1e6 / spent)


def _floors(bench: Workbench, seen: Collected) -> None:
    """One durable append, and an echo over HTTP."""
    with bench.timed() as section:
        spent = floors.synced_appends(bench.directory, count=200)
    sync = percentile(spent, 0.5)
    if bench.fastapi is None:
        return
    with (
        servers.echo(bench.directory, python=bench.fastapi) as server,
        server.connect() as connection,
        bench.timed() as section,
    ):
        asked = [("POST", "/runs", ECHO)] * 300
        echo = percentile(timed(connection, asked, {}), 0.5)
    seen.add(section.foreign, echo=echo + sync)


def _reading(
    bench: Workbench, seen: Collected, connection: Connection, server: Started, run: str
) -> None:
    """Twenty series of 100,000 points each, thinned."""
    length = LENGTH // 10 if bench.quick else LENGTH
    path = f"/runs/{run}/metrics"
    for first in range(0, length, 2_000):
        rows = [
            {"_step": step, **{f"s{number}": step * number % 977 for number in range(SERIES)}}
            for step in range(first, first + 2_000)
        ]
        connection.request("POST", path, json.dumps({"rows": rows}).encode(), server.headers)
    while (
        parsed(connection.request("GET", f"{path}?buckets=1", headers=server.headers))["rows"]
        < length
    ):
        time.sleep(0.1)
    for repeat in range(bench.repeats):
        asked = [("GET", f"{path}?buckets={BUCKETS - repeat}", b"")]  # another answer each time
        with bench.timed() as section:
            spent = timed(connection, asked, server.headers)
        seen.add(section.foreign, reading=spent[0])


def _calls(bench: Workbench, seen: Collected) -> None:
    """One call of each client."""
    scratch = bench.directory / "log.jsonl"
    scratch.touch()
    for repeat in range(bench.repeats):
        bench.say(f"{TITLE}: calls {repeat + 1} of {bench.repeats}")
        scratch.write_bytes(b"")
        with bench.timed() as section:
            own = _logged(sys.executable, "tallystick", {"TALLY_METRICS": str(scratch)})
        seen.add(section.foreign, call=percentile(own, 0.5), call99=percentile(own, 0.99))
        if bench.trackio is not None:
            home = {"TRACKIO_DIR": str(bench.directory / f"trackio-{repeat}")}
            with bench.timed() as section:
                theirs = _logged(bench.trackio, "trackio", home)
            seen.add(section.foreign, their_call=percentile(theirs, 0.5))


def _logged(python: str, client: str, variables: Mapping[str, str]) -> list[float]:
    """Microseconds of each call, by a process of its own."""
    program = Path(__file__).with_name("log_calls.py")
    done = subprocess.run(
        [python, str(program), client, "2000"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [
        line for line in done.stdout.splitlines() if line.startswith("[") and line.endswith("]")
    ]
    found: list[float] = json.loads(lines[-1])
    return found


def _mlflow(bench: Workbench, seen: Collected) -> None:
    """Its largest batches, one after another."""
    with mlflow_server.server(bench) as server, server.connect(quickack=True) as connection:
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: MLflow {repeat + 1} of {bench.repeats}")
            made = connection.request(
                "POST", "/api/2.0/mlflow/runs/create", b'{"experiment_id": "0"}'
            )
            run = parsed(made)["run"]["info"]["run_id"]
            asked = [
                ("POST", "/api/2.0/mlflow/runs/log-batch", _mlflow_batch(run, at))
                for at in range(5)
            ]
            with bench.timed() as section:
                spent = timed(connection, asked, {})
            seen.add(section.foreign, mlflow=5 * MLFLOW_POINTS / (sum(spent) / 1e3))


def _mlflow_batch(run: str, number: int) -> bytes:
    metrics = [
        {
            "key": f"m{place % METRICS}",
            "value": place / 7,
            "timestamp": 1_700_000_000_000 + place,
            "step": number * MLFLOW_POINTS + place // METRICS,
        }
        for place in range(MLFLOW_POINTS)
    ]
    return json.dumps({"run_id": run, "metrics": metrics}).encode()


def _rows(bench: Workbench, seen: Collected) -> list[Row]:
    length = LENGTH // 10 if bench.quick else LENGTH
    return [
        Row(
            what=f"points a second over HTTP, on disk, {ROWS * METRICS:,} a request",
            figure=seen.figure("points", "/s"),
            floor="MLflow, 1,000 a request",
            floor_figure=seen.figure("mlflow", "/s") if seen.has("mlflow") else None,
            target=at_least(40),
        ),
        Row(
            what="points a second until they can be read",
            figure=seen.figure("readable", "/s"),
            floor="on disk",
            floor_figure=seen.figure("points", "/s"),
        ),
        Row(
            what="one row posted, p50",
            figure=seen.figure("one", "ms"),
            floor="FastAPI echo and one synced append",
            floor_figure=seen.figure("echo", "ms") if seen.has("echo") else None,
            target=at_most(1.5),
        ),
        Row(
            what="one call of tallystick.log, p50",
            figure=seen.figure("call", "us"),
            floor="trackio.log",
            floor_figure=seen.figure("their_call", "us") if seen.has("their_call") else None,
            target=at_most(1),
        ),
        Row(what="one call of tallystick.log, p99", figure=seen.figure("call99", "us")),
        Row(
            what=f"{SERIES} series of {length:,} points, thinned to {BUCKETS:,} stretches",
            figure=seen.figure("reading", "ms"),
        ),
        Row(
            what="megabytes of a file a second, PUT",
            figure=seen.figure("file", "/s"),
            floor="SHA-256 and a synced write",
            floor_figure=seen.figure("file_floor", "/s"),
        ),
    ]


if __name__ == "__main__":
    alone(TITLE, answer)
