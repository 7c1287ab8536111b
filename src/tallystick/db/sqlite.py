"""A Database in one SQLite file: write-ahead log, one write connection, readers that never wait.

Invariant: a commit is on the disk when `write` returns (WAL with synchronous=FULL). Threads take
turns at a lock, processes at BEGIN IMMEDIATE. `wake` reaches the threads of this process only;
other processes notice a change when they next look. Not for network file systems.
"""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, MetaData, NullPool, Table, create_engine, event
from sqlalchemy.exc import DBAPIError

from tallystick.db.database import (
    BUSY_TIMEOUT_SECONDS,
    Bell,
    CoreTransaction,
    Readers,
    Statements,
    Transaction,
    Turn,
    closed_error,
)
from tallystick.db.sqlite_bulk import Bulk, SqliteTransaction, driver_of
from tallystick.errors import CorruptLedgerError, TallystickError, UnavailableError

RETRY_SECONDS: Final = 0.02
"""Between two tries to switch a new file to WAL, which SQLite may refuse without waiting."""

_WAL: Final = "PRAGMA journal_mode=WAL"  # once per file; it answers with the mode it is in
_WRITER_PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",  # the log reaches the disk before COMMIT returns
    "PRAGMA foreign_keys=OFF",
    "PRAGMA recursive_triggers=ON",  # else INSERT OR REPLACE would slip past append-only triggers
    "PRAGMA cache_size=-16384",  # 16 MiB: a group's index pages stay in memory between commits
    "PRAGMA journal_size_limit=67108864",  # a log that a long read let grow shrinks to 64 MiB
    "PRAGMA wal_autocheckpoint=8000",  # 32 MiB: pages that many commits change are copied once
)
_READER_PRAGMAS: Final = ("PRAGMA query_only=ON",)

_INDEX_BYTES: Final = 65_536
"""By so much the index of a log grows at a time, with the page that it begins on."""

_STORAGE_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class SqliteDatabase:
    """Keeps every promise of `Database` in the file at `path`."""

    name: str = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        """Open the file, creating it 0600 (and its directory 0700) when it is missing.

        A write waits `busy_timeout_seconds` for another process. UnavailableError when the file
        cannot be opened, CorruptLedgerError when it is not a SQLite database.
        """
        self._statements = Statements(dialect="sqlite")
        self._bulk = Bulk()
        self._bell = Bell()
        self._turn = Turn()
        self._closed = False  # guarded by _turn
        self._path = path
        with _opening(path):
            _create_file(path)
            writers = _engine(path, busy_timeout_seconds, pragmas=_WRITER_PRAGMAS)
            event.listen(writers, "begin", _begin_immediate)
            readers = _engine(path, busy_timeout_seconds, pragmas=_READER_PRAGMAS)
            event.listen(readers, "begin", _begin_deferred)
            self._readers = Readers(readers)
            self._writer = writers.connect()  # guarded by _turn
            try:
                _enter_wal(self._writer, tries=int(busy_timeout_seconds / RETRY_SECONDS) + 1)
            except BaseException:
                self._writer.close()
                raise

    def create(self, metadata: MetaData, *, append_only: Sequence[Table] = ()) -> None:
        """Create the missing tables in one write transaction, so that processes take turns."""
        with self._writing() as connection:
            metadata.create_all(connection)
            for table in append_only:
                for action in ("UPDATE", "DELETE"):
                    connection.exec_driver_sql(_refusing_trigger(table.name, action))

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write block on the one write connection."""
        with self._writing() as connection:
            yield SqliteTransaction(connection, self._statements, self._bulk)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A read block on a connection of the pool; its first statement takes the snapshot."""
        with _translated(self._path, writing=False):
            connection = self._readers.take()
            try:
                with connection.begin():
                    yield CoreTransaction(connection, self._statements)
            finally:
                self._readers.give_back(connection)

    def wake(self) -> None:
        """Wake the waiting threads of this process."""
        self._bell.ring()

    def wait(self, timeout_seconds: float) -> bool:
        """True when woken since this thread last waited, False after `timeout_seconds`."""
        return self._bell.wait(timeout_seconds)

    def close(self) -> None:
        """Close the connections; the last to leave a file folds the log into it."""
        with self._turn:
            self._closed = True
            self._readers.close()
            self._writer.close()
        self._bell.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._turn:
            if self._closed:
                raise closed_error()
            with _translated(self._path, writing=True), self._writer.begin():
                yield self._writer


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # mknod opens nothing. Closing a second descriptor of a database file would drop the locks
        # that SQLite holds on it in this process (POSIX record locks belong to the process).
        os.mknod(path, stat.S_IFREG | 0o600)
    except FileExistsError:
        return


def _engine(path: Path, busy_timeout_seconds: float, *, pragmas: Sequence[str]) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path.absolute())),
        poolclass=NullPool,  # connections are kept by SqliteDatabase itself
        connect_args={
            "timeout": busy_timeout_seconds,
            "isolation_level": None,  # the driver begins nothing by itself; the "begin" event does
            "check_same_thread": False,  # handed from thread to thread, never used by two at once
            "cached_statements": 512,
        },
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    event.listen(engine, "connect", prepare)
    return engine


def _begin_immediate(connection: Connection) -> None:
    # Taking the lock first means that a block never discovers half-way that another was faster.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _enter_wal(connection: Connection, *, tries: int) -> None:
    pause = threading.Event()
    raw = driver_of(connection)
    while True:
        tries -= 1
        try:
            (mode,) = raw.execute(_WAL).fetchone()
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_BUSY or tries <= 0:
                raise
            pause.wait(RETRY_SECONDS)
        else:
            break
    if mode != "wal":
        raise UnavailableError(
            f"The file system refuses SQLite's write-ahead log (journal mode is {mode}).",
            code="storage_failed",
            hint="Keep the data directory on a local disk, not on a network file system.",
        )


def _refusing_trigger(table: str, action: str) -> str:
    name = f"{table}_refuses_{action.lower()}"
    return (
        f'CREATE TRIGGER IF NOT EXISTS "{name}" BEFORE {action} ON "{table}" '
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {action} refused'); END"
    )


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """While opening, the driver's own errors and those of the file system are ours to explain."""
    try:
        yield
    except DBAPIError as error:
        raise _explain(error.orig, path=path) or error from error
    except (sqlite3.Error, OSError) as error:
        raise _explain(error, path=path) or error from error


@contextmanager
def _translated(path: Path, *, writing: bool) -> Iterator[None]:
    """Turn what passes, and damage, into our errors; a bug passes through as it is."""
    try:
        yield
    except DBAPIError as error:
        if not writing and _primary_code(error.orig) == sqlite3.SQLITE_READONLY:
            raise  # a read block that tried to write: a bug, not a read-only disk
        explained = _explain(error.orig, path=path)
        if explained is None:
            raise
        raise explained from error


def _primary_code(error: BaseException | None) -> int:
    # Extended result codes keep the primary one in their lowest byte (sqlite.org/rescode.html).
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _explain(error: BaseException | None, *, path: Path) -> TallystickError | None:
    """What happened and what to do next; None for what only a bug can cause."""
    code = _primary_code(error)
    facts = {"path": str(path), "cause": str(error)}
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return UnavailableError(
            f"Another process holds the database {path}; nothing was changed.",
            code="database_busy",
            hint="Try again; if it lasts, find the holder with `fuser` on the file and end it.",
            **facts,
        )
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _has_no_room(path)):
        return UnavailableError(
            f"The disk that holds {path} is full; nothing was changed.",
            code="storage_full",
            hint="Free space on that disk, then try again; nothing needs repair.",
            **facts,
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return CorruptLedgerError(
            f"The file {path} is damaged or is not a SQLite database.",
            code="database_corrupt",
            hint="Stop the server, keep a copy of the file, and restore the newest backup.",
            **facts,
        )
    if isinstance(error, OSError) or code in _STORAGE_CODES:
        return UnavailableError(
            f"The disk refused an operation on {path}: {error}.",
            code="storage_failed",
            hint="See the kernel log, the mount and the file's owner and mode; then try again.",
            **facts,
        )
    return None


def _has_no_room(path: Path) -> bool:
    """Whether the disk is full: of the index of its log, SQLite only says that it failed."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _INDEX_BYTES
