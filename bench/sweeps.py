"""How long does a large grid take until it is registered, and what do answers cost beside it?

The answers meanwhile are those of /health. Afterwards every point is queued and nothing starts (the
server is drained), which is when the queue is longest; the same questions are asked beside a grid
of 100 points.
"""

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import seeding, servers
from bench.figures import Row, at_most, percentile
from bench.load import LoadError, parsed, timed
from bench.servers import Started
from bench.workbench import Collected, Workbench, alone

TITLE = "Sweeps of many points"
MANY = 13_020
FEW = 100
GROUP = 500
PAGES: Mapping[str, str] = {
    "the sweep": "/sweeps/{sweep}",
    "100 runs with their reasons": "/runs?sweep_id={sweep}&limit=100",
    "100 places of the queue": "/queue?limit=100",
    "the last run and its place": "/runs/{run}",
}


def answer(bench: Workbench) -> list[Row]:
    """Rows for registering, for answers meanwhile, and for each page afterwards."""
    seen = Collected()
    asked = 10 if bench.quick else 50
    for repeat in range(bench.repeats):
        bench.say(f"{TITLE}: repeat {repeat + 1} of {bench.repeats}")
        for points in (FEW, MANY):
            _repeat(bench, seen, points=points, asked=asked)
        with bench.timed() as section:
            spent = _insert(bench.directory / f"floor-{repeat}.db")
        seen.add(section.foreign, floor=spent)
    many, few = f"of {MANY:,} queued", f"of {FEW} queued"
    return [
        Row(
            what=f"a grid of {MANY:,} points, from the request to the last run",
            figure=seen.figure(f"registered {MANY}", "s"),
            floor=f"bare SQLite, as many rows in groups of {GROUP}",
            floor_figure=seen.figure("floor", "s"),
        ),
        Row(what="/health meanwhile, worst", figure=seen.figure(f"health {MANY}", "ms")),
        *(
            Row(
                what=f"{page}, {many}, p50",
                figure=seen.figure(f"{page} {MANY}", "ms"),
                floor=few,
                floor_figure=seen.figure(f"{page} {FEW}", "ms"),
                target=at_most(5),
            )
            for page in PAGES
        ),
    ]


def _repeat(bench: Workbench, seen: Collected, *, points: int, asked: int) -> None:
    """One grid on a server of its own."""
    directory = bench.stored(0)
    with servers.tallystick(directory) as server:
        admin = (directory / "data" / "admin.token").read_text().strip()
        _post(server, "/cluster/drain", {}, {"X-Auth-Token": admin})
        with bench.timed() as section:
            began = time.perf_counter()
            sweep = _declare(server, points)
            worst = _await_registered(server, sweep, points)
            spent = time.perf_counter() - began
        seen.add(section.foreign, **{f"registered {points}": spent, f"health {points}": worst})
        with server.connect() as connection:
            newest = f"/runs?sweep_id={sweep}&limit=1"
            run = parsed(connection.request("GET", newest, headers=server.headers))[0]["id"]
        for page, path in PAGES.items():
            request = ("GET", path.format(sweep=sweep, run=run), b"")
            with bench.timed() as section, server.connect() as connection:
                times = timed(connection, [request] * asked, server.headers)
            seen.add(section.foreign, **{f"{page} {points}": percentile(times, 0.5)})


def _declare(server: Started, points: int) -> str:
    """A grid that is to be started; its id."""
    body = {
        "name": "a grid",
        "base_command": "python train.py",
        "parameters": {"lr": [0.1, 0.01]},
        "seeds": points // 2,
        "auto_start": True,
        "chat_session_id": seeding.SESSION,
    }
    return str(_post(server, "/sweeps", body, server.headers)["id"])


def _await_registered(server: Started, sweep: str, points: int) -> float:
    """Until every run exists and is queued; the longest answer of /health meanwhile, in ms."""
    worst = 0.0
    with server.connect() as connection:
        while True:
            worst = max(worst, *timed(connection, [("GET", "/health", b"")] * 20, {}))
            path = f"/sweeps/{sweep}"
            found = parsed(connection.request("GET", path, headers=server.headers))
            if found["progress"]["queued"] == points:
                return worst
            if found["status"] in {"completed", "failed", "canceled"}:
                raise LoadError(f"the sweep is {found['status']}")


def _post(server: Started, path: str, body: Any, headers: Mapping[str, str]) -> Any:
    """One request that must succeed; its answer."""
    with server.connect() as connection:
        sent = {"Content-Type": "application/json", **headers}
        return parsed(connection.request("POST", path, json.dumps(body).encode(), sent))


def _insert(path: Path) -> float:
    """Seconds for as many rows of 300 bytes, a commit for each group; nothing is hashed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)")
    began = time.perf_counter()
    for first in range(0, MANY, GROUP):
        connection.execute("BEGIN")
        rows = ((number, b"x" * 300) for number in range(first, min(MANY, first + GROUP)))
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    spent = time.perf_counter() - began
    connection.close()
    return spent


if __name__ == "__main__":
    alone(TITLE, answer)
