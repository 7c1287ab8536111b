"""How long does the list of the 100 newest runs take, among many?

Beside a bare read of the same 100 rows of the same table by its index, and beside MLflow's search
among as many runs.
"""

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

from bench import mlflow_server, servers
from bench.figures import Row, at_most, percentile
from bench.load import LoadError, parsed, timed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "List of the 100 newest runs"
LIMIT = 100


def answer(bench: Workbench) -> list[Row]:
    """One row for each thing it is compared with."""
    seen = Collected()
    asked = 20 if bench.quick else 100
    with ExitStack() as stack:
        directory = bench.stored(bench.runs)
        server = stack.enter_context(servers.tallystick(directory))
        peer = (
            stack.enter_context(mlflow_server.server(bench, runs=bench.runs))
            if bench.mlflow
            else None
        )
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            with bench.timed() as section:
                spent = time_list(server, count=asked)
            seen.add(section.foreign, tally=percentile(spent, 0.5), p99=percentile(spent, 0.99))
            with bench.timed() as section:
                spent = _time_reads(directory / "data" / "tally.db", count=asked)
            seen.add(section.foreign, floor=percentile(spent, 0.5))
            for quickack in (False, True):
                if peer is None:
                    continue
                with bench.timed() as section:
                    spent = mlflow_server.time_list(peer, count=20, quickack=quickack)
                key = "mlflow_quickack" if quickack else "mlflow_default"
                seen.add(section.foreign, **{key: percentile(spent, 0.5)})
    return _rows(bench, seen)


def _rows(bench: Workbench, seen: Collected) -> list[Row]:
    what = f"list of 100 among {bench.runs:,} runs, p50"
    figure = seen.figure("tally", "ms")
    rows = [
        Row(
            what=what,
            figure=figure,
            floor="bare indexed SQLite read of 100 rows",
            floor_figure=seen.figure("floor", "ms"),
            target=at_most(30),
        ),
        Row(what=what.replace("p50", "p99"), figure=seen.figure("p99", "ms")),
    ]
    if bench.mlflow is None:
        return [*rows, Row(what="the same by MLflow", figure=None, note="MLflow is not installed")]
    for key, how in (("mlflow_default", "as users see it"), ("mlflow_quickack", "TCP_QUICKACK")):
        beside = seen.figure(key, "ms")
        rows.append(Row(what=what, figure=figure, floor=f"MLflow, {how}", floor_figure=beside))
    return rows


def time_list(server: Started, *, count: int) -> list[float]:
    """Milliseconds of asking for the newest runs, `count` times."""
    path = f"/runs?limit={LIMIT}"
    with server.connect() as connection:
        found = parsed(connection.request("GET", path, headers=server.headers))
        if len(found) != LIMIT:
            raise LoadError(f"asked for {LIMIT} runs, got {len(found)}")
        return timed(connection, [("GET", path, b"")] * count, server.headers)


def _time_reads(path: Path, *, count: int) -> list[float]:
    """Milliseconds of the read that the list is made of: no HTTP, no JSON, no texts."""
    connection = sqlite3.connect(path)
    query = "SELECT * FROM runs ORDER BY created_seq DESC LIMIT 100"
    spent = []
    for _ in range(count):
        at = time.perf_counter()
        connection.execute(query).fetchall()
        spent.append((time.perf_counter() - at) * 1e3)
    connection.close()
    return spent


if __name__ == "__main__":
    alone(TITLE, answer)
