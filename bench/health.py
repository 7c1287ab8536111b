"""Does the server still answer at once while 200 runs are submitted and executed?

`/health` is asked again and again over one connection, first on an idle server, then while another
process submits 200 runs of `true`, until the last one has ended. The target is the 99th percentile
then, as a multiple of the idle median; beside it the same of a bare FastAPI while xargs starts as
many processes, which shows what sharing the cores alone costs.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench import servers
from bench.figures import Figure, Row, percentile
from bench.load import Connection, parsed
from bench.servers import REPOSITORY, Started
from bench.workbench import Collected, Workbench, alone

TITLE = "/health under 200 submits"
RUNS = 200
IDLE_SECONDS = 2.0


def answer(bench: Workbench) -> list[Row]:
    """The percentiles, and what they are multiples of."""
    seen = Collected()
    with ExitStack() as stack:
        directory = bench.stored(0)
        server = stack.enter_context(servers.tallystick(directory, "--max-concurrent", "2"))
        floor = None
        if bench.fastapi:
            floor = stack.enter_context(servers.echo(bench.directory, python=bench.fastapi))
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            _idle(bench, seen, "tally", server)
            with bench.timed() as section:
                submitting, working = _under_submits(server)
            seen.add(section.foreign, p99=percentile(submitting, 0.99), worst=max(submitting))
            seen.add(section.foreign, all99=percentile(submitting + working, 0.99))
            if floor:
                _idle(bench, seen, "echo", floor)
                with bench.timed() as section:
                    spent = _beside_xargs(floor)
                seen.add(section.foreign, echo99=percentile(spent, 0.99))
    return _rows(bench, seen)


def _rows(bench: Workbench, seen: Collected) -> list[Row]:
    idle = seen.figure("tally_idle", "ms")
    shown = "/health p99 while 200 runs are submitted"
    rows = [
        Row(
            what=shown,
            figure=seen.figure("p99", "ms"),
            floor="its idle median",
            floor_figure=idle,
        ),
        Row(
            what="/health p99 until the 200 have ended",
            figure=seen.figure("all99", "ms"),
            floor="its idle median",
            floor_figure=idle,
        ),
        Row(
            what="/health at worst while 200 runs are submitted", figure=seen.figure("worst", "ms")
        ),
    ]
    if bench.fastapi:
        echo: Figure = seen.figure("echo_idle", "ms")
        rows += [
            Row(
                what="bare FastAPI: p99 beside xargs -P2",
                figure=seen.figure("echo99", "ms"),
                floor="its idle median",
                floor_figure=echo,
            ),
            Row(what="/health, idle median", figure=idle, floor="bare FastAPI", floor_figure=echo),
        ]
    return rows


def _idle(bench: Workbench, seen: Collected, name: str, server: Started) -> None:
    with bench.timed() as section:
        until = time.perf_counter() + IDLE_SECONDS
        spent = _ask_while(server, lambda: time.perf_counter() < until)
    seen.add(section.foreign, **{f"{name}_idle": percentile(spent, 0.5)})


def _under_submits(server: Started) -> tuple[list[float], list[float]]:
    """Milliseconds of each answer while runs are submitted, then until all have ended."""
    sweep = servers.create_sweep(server)
    token = server.headers["X-Auth-Token"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.submitting", server.url, token, sweep, str(RUNS)],
        cwd=REPOSITORY,
    )
    submitting = _ask_while(server, lambda: process.poll() is None)
    if process.returncode:
        raise RuntimeError("the runs could not be submitted")
    with server.connect() as connection:
        asked = [0.0]

        def working() -> bool:
            """Looks at the sweep twice a second: the counting must not be the load."""
            if time.perf_counter() < asked[0] + 0.5:
                return True
            asked[0] = time.perf_counter()
            return not _all_ended(server, connection, sweep)

        return submitting, _ask_while(server, working)


def _all_ended(server: Started, connection: Connection, sweep: str) -> bool:
    found = parsed(connection.request("GET", f"/sweeps/{sweep}", headers=server.headers))
    progress = found["progress"]
    return bool(progress["completed"] + progress["failed"] >= RUNS)


def _beside_xargs(server: Started) -> list[float]:
    process = subprocess.Popen(
        [sys.executable, "-c", f"from bench import spooler; spooler.xargs({RUNS * 10})"],
        cwd=REPOSITORY,
    )
    return _ask_while(server, lambda: process.poll() is None)


def _ask_while(server: Started, going_on: Callable[[], bool]) -> list[float]:
    """Milliseconds of each answer, one after another with a millisecond between."""
    spent = []
    with server.connect() as connection:
        while going_on():
            at = time.perf_counter()
            connection.request("GET", "/health", headers=server.headers)
            spent.append((time.perf_counter() - at) * 1e3)
            time.sleep(0.001)
    return spent


if __name__ == "__main__":
    alone(TITLE, answer)
