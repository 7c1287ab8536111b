"""What the suite of Database works on: a home for a database, tables, and a second process.

A `DatabaseHome` is where one database lives while it is opened, closed and opened again.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, Text, func, select

from tallystick.db.database import BUSY_TIMEOUT_SECONDS, Database, Transaction
from tallystick.db.open import open_database

DEADLINE_SECONDS: Final = 30.0
"""For what must happen soon, on a machine that is busy with other tests."""

METADATA: Final = MetaData()
COUNTERS: Final = Table(
    "counters",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("note", Text, server_default="none"),
)
FACTS: Final = Table(
    "facts",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("words", Text),
    Column("data", LargeBinary),
)
PAIRS: Final = Table(
    "pairs",
    METADATA,
    Column("a", BigInteger, primary_key=True, autoincrement=False),
    Column("b", BigInteger, primary_key=True, autoincrement=False),
)


class DatabaseHome(Protocol):
    """Where one database lives; it is empty at first."""

    url: str

    def open(self, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Database:
        """Open it, once more; closed at the end if the test did not."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """A stranger keeps every writer out for the length of the block."""
        ...

    def open_connections(self) -> int:
        """How many connections this process has to it now."""
        ...

    def close_all(self) -> None:
        """Close what `open` opened."""
        ...


def count(tx: Transaction, table: Table) -> int:
    """How many rows `table` has."""
    (row,) = tx.fetch(select(func.count().label("rows")).select_from(table))
    return int(row["rows"])


def counter(tx: Transaction, name: str = "n") -> int:
    """The value of one counter."""
    (row,) = tx.fetch(select(COUNTERS.c.value).where(COUNTERS.c.name == name))
    return int(row["value"])


def increment(database: Database, *, times: int = 1) -> None:
    """Read, then write what was read and one more: exact only when write blocks take turns."""
    for _ in range(times):
        with database.write() as tx:
            tx.upsert(COUNTERS, [{"name": "n", "value": counter(tx) + 1}])


def prepared(home: DatabaseHome, **options: float) -> Database:
    """A database with the suite's tables, and the counter `n` at 0."""
    database = home.open(**options)
    database.create(METADATA)
    with database.write() as tx:
        tx.insert(COUNTERS, [{"name": "n", "value": 0}])
    return database


def other_process(url: str, task: str) -> None:
    """What the suite asks of a second process: "create", "increment", "report" or "die"."""
    database = open_database(url, busy_timeout_seconds=DEADLINE_SECONDS)
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    match task:
        case "create":
            database.create(METADATA, append_only=[FACTS])
        case "increment":
            increment(database, times=40)
        case "report":
            with database.write() as tx:
                print(counter(tx), flush=True)  # noqa: T201 - the parent reads it
        case "die":
            increment(database)
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise ValueError(task)
    database.close()


@contextmanager
def started(home: DatabaseHome, task: str) -> Iterator[subprocess.Popen[str]]:
    """A second process at its task; it is over, one way or the other, after the block."""
    program = (
        "import sys; from tallystick.testing.contract.database_home import other_process; "
        "other_process(*sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, home.url, task], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
            process.wait(DEADLINE_SECONDS)
        finally:
            process.kill()


def soon(condition: Callable[[], bool]) -> None:
    """Wait until it holds: a server notices a closed connection a moment later."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)
