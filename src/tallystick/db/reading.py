"""A SQLite file opened so that looking at it changes nothing: for those who only examine.

No file is made, no log is folded in, no lock is taken that a server would notice. With PostgreSQL
the ordinary `Database.read` does that already.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import NullPool, create_engine

from tallystick.db.database import CoreTransaction, Statements, Transaction
from tallystick.db.sqlite import _opening

_JOURNAL_AT: Final = 18  # the write version in the file's header: 1 is a rollback journal, 2 WAL
_HEADER: Final = b"SQLite format 3\x00"

_STEPS: Final = 10_000  # of SQLite's machine between two looks at the time: about a millisecond


class SqliteReading:
    """One SQLite file, for reading alone; usable while a server writes, and beside none."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        # Without a log nobody has the file open, and nothing but the file itself is to be read.
        alone = not path.with_name(f"{path.name}-wal").exists()
        self._uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
        self._engine = create_engine("sqlite+pysqlite://", creator=self._open, poolclass=NullPool)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A block that sees one moment; raises like `Database.read`."""
        with _opening(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield CoreTransaction(connection, Statements(dialect="sqlite"))

    def is_wal(self) -> bool:
        """Whether the file is in the mode in which readers and a writer do not wait."""
        with _opening(self._path), self._path.open("rb") as file:
            header = file.read(_JOURNAL_AT + 2)
        return header.startswith(_HEADER) and header[_JOURNAL_AT : _JOURNAL_AT + 2] == b"\x02\x02"

    def damage(self, *, limit_seconds: float) -> list[str] | None:
        """What `PRAGMA quick_check` finds wrong; None when it takes longer than the limit."""
        with _opening(self._path), closing(self._open()) as connection:
            is_over = threading.Event()
            connection.set_progress_handler(is_over.is_set, _STEPS)
            stopper = threading.Timer(limit_seconds, is_over.set)
            stopper.daemon = True
            stopper.start()
            try:
                rows = connection.execute("PRAGMA quick_check(5)").fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    return None
                raise
            finally:
                stopper.cancel()
                stopper.join()
        return [str(row[0]) for row in rows if row[0] != "ok"]

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._uri, uri=True, timeout=0.5, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only=ON")
        return connection


def log_bytes(path: Path) -> int:
    """The size of the write-ahead log beside a database file; 0 when there is none."""
    with suppress(OSError):
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116 - a name, not a path
    return 0
