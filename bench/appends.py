"""Does a command, or a metric, cost the same whatever is stored already?

The road from command to commit without HTTP, one command at a time, on a ledger with no and with
many runs; and rows of metrics posted to a run that has none and to one that has 100,000.
Beside a bare durable commit.
"""

import json
import time
from contextlib import ExitStack
from pathlib import Path

from bench import floors, seeding, servers
from bench.figures import Row, at_most, percentile
from bench.load import timed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone
from tallystick.config import ServerSettings, Settings
from tallystick.control.texts import Texts
from tallystick.domain.commands import RegisterRun
from tallystick.domain.ids import SYSTEM, RunId
from tallystick.server import build

TITLE = "Appends"
POINTS = 100_000
BATCH = 1000


def answer(bench: Workbench) -> list[Row]:
    """Cost at the end beside cost at the beginning."""
    seen = Collected()
    stored = (0, bench.runs)
    directories = [bench.stored(count) for count in stored]
    for repeat in range(bench.repeats):
        bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
        with bench.timed() as section:
            floor = floors.sqlite_commits(bench.directory, seconds=1.0)
        seen.add(section.foreign, floor=floor.p50_ms)
        for count, directory in zip(stored, directories, strict=True):
            with bench.timed() as section:
                spent = _commands(directory, 200 if bench.quick else 1000)
            seen.add(section.foreign, **{f"command{count}": percentile(spent, 0.5)})
    with servers.tallystick(bench.stored(0)) as server:
        _metrics(bench, seen, server)
    return _rows(bench, seen)


def _rows(bench: Workbench, seen: Collected) -> list[Row]:
    return [
        Row(
            what="one command to its commit, p50, 0 runs",
            figure=seen.figure("command0", "ms"),
            floor="bare SQLite commit, one row",
            floor_figure=seen.figure("floor", "ms"),
        ),
        Row(
            what=f"one command to its commit, p50, {bench.runs:,} runs",
            figure=seen.figure(f"command{bench.runs}", "ms"),
            floor="the same at 0 runs",
            floor_figure=seen.figure("command0", "ms"),
            target=at_most(1.2),
        ),
        Row(
            what=f"one row of metrics posted, p50, {POINTS:,} rows stored",
            figure=seen.figure("metric1", "ms"),
            floor="the same with none stored",
            floor_figure=seen.figure("metric0", "ms"),
            target=at_most(1.2),
        ),
        Row(what=f"rows of metrics a second, {BATCH:,} a post", figure=seen.figure("rows", "/s")),
    ]


def _commands(directory: Path, count: int) -> list[float]:
    """Milliseconds from handing a command to the writer until it is durable."""
    settings = Settings(server=ServerSettings(data_dir=directory / "data", workspace=directory))
    server = build(settings)
    server.handler.start()
    spent = []
    try:
        sweep = seeding.new_sweep(server, 0)
        for number in range(count):
            texts = Texts(server.clock)
            command = RegisterRun(
                run=RunId(server.clock.new_id("run")),
                name=texts.add("a trial"),
                command=texts.add(f"python train.py --lr 1e-3 --seed {number}"),
                workdir=texts.add(str(directory)),
                sweep=sweep,
                session=seeding.SESSION,
            )
            at = time.perf_counter()
            server.handler.handle(command, by=SYSTEM, texts=texts)
            spent.append((time.perf_counter() - at) * 1e3)
    finally:
        server.stop()
    return spent


def _metrics(bench: Workbench, seen: Collected, server: Started) -> None:
    """Post single rows to a running run before and after many were stored."""
    with ExitStack() as stack:
        connection = stack.enter_context(server.connect())
        sweep = servers.create_sweep(server)
        for repeat in range(bench.repeats):
            run = servers.run_until(
                server, connection, sweep, command="sleep 600", status="running"
            )
            path = f"/runs/{run}/metrics"
            ones = [("POST", path, _points(number, 1)) for number in range(100)]
            with bench.timed() as section:
                spent = timed(connection, ones, server.headers)
            seen.add(section.foreign, metric0=percentile(spent, 0.5))
            many = [("POST", path, _points(at, BATCH)) for at in range(0, POINTS, BATCH)]
            with bench.timed() as section:
                spent = timed(connection, many, server.headers)
            seen.add(section.foreign, rows=POINTS / (sum(spent) / 1e3))
            with bench.timed() as section:
                spent = timed(connection, ones, server.headers)
            seen.add(section.foreign, metric1=percentile(spent, 0.5))
            connection.request("POST", path.replace("/metrics", "/stop"), b"{}", server.headers)
            bench.say(f"{TITLE}: metrics {repeat + 1} of {bench.repeats}")


def _points(first: int, count: int) -> bytes:
    """A body with `count` rows of two metrics."""
    rows = [
        {"step": first + number, "loss": 1 / (first + number + 1), "accuracy": 0.5}
        for number in range(count)
    ]
    return json.dumps({"rows": rows}).encode()


if __name__ == "__main__":
    alone(TITLE, answer)
