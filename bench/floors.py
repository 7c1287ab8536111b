"""What the work would cost with nothing around it: a commit, a read, a hash."""

import os
import sqlite3
import time
from pathlib import Path

from bench.figures import percentile
from bench.load import Throughput


def sqlite_commits(directory: Path, *, seconds: float) -> Throughput:
    """One row a transaction, in WAL mode with synchronous=FULL: durable when it returns."""
    path = directory / f"floor-{time.monotonic_ns()}.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    body = "x" * 300
    spent = []
    began = time.perf_counter()
    while (at := time.perf_counter()) < began + seconds:
        connection.execute("INSERT INTO rows (body) VALUES (?)", (body,))
        spent.append(time.perf_counter() - at)
    taken = time.perf_counter() - began
    connection.close()
    return Throughput(
        len(spent), taken, percentile(spent, 0.5) * 1e3, percentile(spent, 0.99) * 1e3
    )


def synced_appends(directory: Path, *, count: int) -> list[float]:
    """Milliseconds of each of `count` appends of 100 bytes, durable when they return."""
    spent = []
    with (directory / f"floor-{time.monotonic_ns()}.bin").open("wb", buffering=0) as file:
        for _ in range(count):
            at = time.perf_counter()
            file.write(b"x" * 100)
            os.fsync(file.fileno())
            spent.append((time.perf_counter() - at) * 1e3)
    return spent
