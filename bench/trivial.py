"""How long do 200 runs of `true` take at two slots, each registered, supervised and recorded?

From the first request until the ledger holds the end of the last one. Beside task-spooler, which
keeps a list and the output, and xargs, which keeps nothing.
"""

import json
import time
from contextlib import ExitStack

from bench import seeding, servers, spooler
from bench.figures import Row, at_most
from bench.load import Connection, LoadError, parsed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Trivial runs"
RUNS = 200
PATIENCE_SECONDS = 300.0
ENDED = frozenset({"finished", "failed", "stopped"})


def answer(bench: Workbench) -> list[Row]:
    """One row for each thing it is compared with."""
    seen = Collected()
    has_spooler = spooler.Spooler.found()
    with ExitStack() as stack:
        directory = bench.stored(0)
        server = stack.enter_context(servers.tallystick(directory, "--max-concurrent", "2"))
        _runs(server, 4)  # starts what starts once
        for repeat in range(bench.repeats):
            bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
            with bench.timed() as section:
                submitted, ended = _runs(server, RUNS)
            seen.add(section.foreign, tally=ended, submitted=submitted)
            if has_spooler:
                with bench.timed() as section, spooler.Spooler(bench.directory, slots=2) as queue:
                    taken = queue.trivial(RUNS)
                seen.add(section.foreign, tsp=taken)
            with bench.timed() as section:
                taken = spooler.xargs(RUNS)
            seen.add(section.foreign, xargs=taken)
    figure = seen.figure("tally", "s")
    what = f"{RUNS} x true at 2 slots, until all are recorded"
    return [
        Row(
            what=what,
            figure=figure,
            floor="task-spooler",
            floor_figure=seen.figure("tsp", "s") if has_spooler else None,
            target=at_most(5),
            note="" if has_spooler else "task-spooler is not installed",
        ),
        Row(what=what, figure=figure, floor="xargs -P2", floor_figure=seen.figure("xargs", "s")),
        Row(what=f"of that, until {RUNS} are submitted", figure=seen.figure("submitted", "s")),
    ]


def _runs(server: Started, count: int) -> tuple[float, float]:
    """Seconds until all were submitted, and until all have ended; each of them is looked at."""
    sweep = servers.create_sweep(server)
    body = {
        "name": "a trial",
        "command": "true",
        "sweep_id": sweep,
        "chat_session_id": seeding.SESSION,
        "auto_start": True,
    }
    content = json.dumps(body).encode()
    with server.connect() as connection:
        began = time.perf_counter()
        made = [
            parsed(connection.request("POST", "/runs", content, server.headers))["id"]
            for _ in range(count)
        ]
        submitted = time.perf_counter() - began
        # The last one first: nothing is asked while the others are at work.
        _await_end(server, connection, made[-1], until=began + PATIENCE_SECONDS)
        path = f"/runs?sweep_id={sweep}&limit={count}"
        while True:
            runs = parsed(connection.request("GET", path, headers=server.headers))
            if all(run["status"] in ENDED for run in runs):
                break
        ended = time.perf_counter() - began
    good = [run for run in runs if run["status"] == "finished" and run["exit_code"] == 0]
    if len(good) != count:
        raise LoadError(f"{count} runs of true, but {len(good)} are recorded as finished with 0")
    return submitted, ended


def _await_end(server: Started, connection: Connection, run: str, *, until: float) -> None:
    while time.perf_counter() < until:
        path = f"/runs/{run}?wait=30"
        if parsed(connection.request("GET", path, headers=server.headers))["status"] in ENDED:
            return
    raise TimeoutError(f"{run} has not ended within {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    alone(TITLE, answer)
