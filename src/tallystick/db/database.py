"""The only door to a database engine: one write transaction at a time, reads of one moment.

`Database` and `Transaction` are the seam; `SqliteDatabase` and `PostgresDatabase` keep its
promises, and `tallystick.testing.contract.database` tests them alike. What both engines really do
alike stands here too, in SQLAlchemy Core; there is no ORM, and no question about runs.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, Executable, Insert, MetaData, RowMapping, Table
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from tallystick.errors import UnavailableError

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]

BUSY_TIMEOUT_SECONDS: Final = 5.0
"""How long a write waits for another process: longer than any commit takes, and then no longer."""

IDLE_READERS: Final = 16
"""Read connections kept open: more than the threads that usually read at once; each is small."""


class Transaction(Protocol):
    """What can be done inside one `write` or `read` block; of no use after the block has ended.

    Statements are SQLAlchemy Core. Integers hold 64 bits, text any Unicode but NUL, bytes are
    bytes. A broken constraint raises `sqlalchemy.exc.IntegrityError`: that is a bug of the caller.
    After any error the block is lost: let it end (PostgreSQL refuses all that would follow).
    """

    def fetch(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[RowMapping]:
        """Every row of the answer, in memory; page through what may be large."""
        ...

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a change and return how many rows it touched; a sequence runs it once for each."""
        ...

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in bulk, all with the same keys; no rows is no work.

        A column that is not named takes its default.
        """
        ...

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in bulk, replacing the whole row wherever the primary key is already there.

        All rows have the same keys, the primary key among them. A column that is not named falls
        back to its default. Of two rows with one key the later wins.
        """
        ...


class Database(Protocol):
    """Tables, written by one block at a time and read as they were at one moment.

    - `write` blocks are a total order across threads and processes: each sees all that earlier
      ones committed, and nothing changes under it. When the block ends well the changes are
      durable before control returns; when it raises, nothing of it remains.
    - All that one `read` block fetches is from a single moment, no earlier than the block's start;
      it neither waits for a writer nor holds one up, and it cannot change anything.
    - All methods may be called from any number of threads at once. Blocks do not nest for writing.
    - What passes by itself raises UnavailableError (`database_busy`, `database_unreachable`,
      `database_closed`, `storage_full`, `storage_failed`); a file that is damaged raises
      CorruptLedgerError (`database_corrupt`). Either way the block has been rolled back.
    """

    name: str
    """Which engine this is: "sqlite" or "postgres"."""

    def create(self, metadata: MetaData, *, append_only: Sequence[Table] = ()) -> None:
        """Create the tables that are missing; rows of `append_only` tables can then only be added.

        May be repeated, and may be done by several processes at once. Existing tables are left as
        they are. A change or removal in an append-only table raises IntegrityError.
        """
        ...

    def write(self) -> AbstractContextManager[Transaction]:
        """A block that changes tables; serialised, and durable once it has ended without error."""
        ...

    def read(self) -> AbstractContextManager[Transaction]:
        """A block that sees one moment; a change raises `sqlalchemy.exc.DBAPIError`."""
        ...

    def wake(self) -> None:
        """Tell those who `wait` that something changed. A hint: it may be lost."""
        ...

    def wait(self, timeout_seconds: float) -> bool:
        """True when woken since this thread last waited, False after `timeout_seconds`.

        May also return True for no reason: look, and wait again.
        """
        ...

    def close(self) -> None:
        """Release every connection, and end every `wait`; may be repeated.

        A write block in progress is let finish; a read block keeps its connection until it ends.
        """
        ...


class Statements:
    """The inserts and upserts of one dialect, built once per table and reused by all threads."""

    def __init__(self, *, dialect: str) -> None:
        """`dialect` is "sqlite" or "postgres"; they spell the same upsert in their own classes."""
        self._insert_into = sqlite_insert if dialect == "sqlite" else postgres_insert
        self._inserts: dict[Table, Insert] = {}
        self._upserts: dict[Table, Insert] = {}

    def insert(self, table: Table) -> Insert:
        """INSERT INTO table."""
        statement = self._inserts.get(table)
        if statement is None:
            statement = self._inserts[table] = table.insert()
        return statement

    def upsert(self, table: Table) -> Insert:
        """INSERT … ON CONFLICT (primary key), replacing all other columns."""
        statement = self._upserts.get(table)
        if statement is None:
            statement = self._upserts[table] = self._build_upsert(table)
        return statement

    def _build_upsert(self, table: Table) -> Insert:
        key = list(table.primary_key)
        if not key:
            raise ValueError(f"upsert needs a primary key, and table {table.name} has none")
        statement = self._insert_into(table)
        rest = {c.name: statement.excluded[c.key] for c in table.columns if not c.primary_key}
        if not rest:
            return statement.on_conflict_do_nothing(index_elements=key)
        return statement.on_conflict_do_update(index_elements=key, set_=rest)


class CoreTransaction:
    """A Transaction on one SQLAlchemy connection that has begun; others begin and end it."""

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: Connection, statements: Statements) -> None:
        """Both are borrowed from the database that opened the block."""
        self._connection = connection
        self._statements = statements

    def fetch(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[RowMapping]:
        """Every row of the answer."""
        return self._connection.execute(statement, parameters).mappings().all()

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a change and return how many rows it touched."""
        if parameters is not None and not isinstance(parameters, Mapping) and not parameters:
            return 0
        return self._connection.execute(statement, parameters).rowcount

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in bulk; ValueError when their keys differ."""
        if rows:
            _refuse_ragged(table, rows)
            self._connection.execute(self._statements.insert(table), rows)

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace rows in bulk; ValueError when their keys differ or the table has none."""
        if rows:
            _refuse_ragged(table, rows)
            # Row by row on both engines (psycopg pipelines them), so the later of two rows wins.
            self._connection.execute(self._statements.upsert(table), rows)


def _refuse_ragged(table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    # SQLAlchemy takes the columns from the first row and silently drops what later ones add.
    keys = rows[0].keys()
    for row in rows:
        if row.keys() != keys:
            odd = sorted(row.keys() ^ keys)
            raise ValueError(f"rows for {table.name} differ in their keys: {', '.join(odd)}")


class Turn:
    """Lets one thread of this process write at a time; a write inside a write is refused."""

    def __init__(self) -> None:
        """Nobody's turn."""
        self._lock = threading.Lock()
        self._owner: int | None = None  # only ever equal to our own ident when we set it

    def __enter__(self) -> None:
        """Wait for our turn, however long the threads before us take."""
        me = threading.get_ident()
        if self._owner == me:
            raise RuntimeError("a write block cannot be opened inside a write block")
        self._lock.acquire()
        self._owner = me

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next thread have it."""
        self._owner = None
        self._lock.release()


class Bell:
    """Wakes the waiting threads of this process; a ring between two waits of a thread is kept."""

    def __init__(self) -> None:
        """Not rung yet."""
        self._condition = threading.Condition()
        self._rings = 0  # guarded by _condition
        self._closed = False  # guarded by _condition
        self._heard = threading.local()

    def ring(self) -> None:
        """Wake everybody."""
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        """True when rung since this thread last waited; False on time-out or once closed."""
        with self._condition:
            heard: int = getattr(self._heard, "rings", self._rings)
            self._condition.wait_for(
                lambda: self._closed or self._rings != heard, timeout=max(0.0, timeout_seconds)
            )
            self._heard.rings = self._rings
            return not self._closed and self._rings != heard

    def close(self) -> None:
        """End every wait, now and later."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Readers:
    """The read connections of one engine: taken by one block at a time, kept open while idle."""

    def __init__(self, engine: Engine) -> None:
        """`engine` pools nothing itself (NullPool): closing a connection here really closes it."""
        self._engine = engine
        self._lock = threading.Lock()
        self._idle: list[Connection] = []  # guarded by _lock
        self._closed = False  # guarded by _lock

    def take(self) -> Connection:
        """An idle connection, or a new one; UnavailableError once closed."""
        with self._lock:
            if self._closed:
                raise closed_error()
            if self._idle:
                return self._idle.pop()
        return self._engine.connect()

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next block, unless it broke, many are idle, or the database closed."""
        with self._lock:
            keep = not (self._closed or connection.closed or connection.invalidated)
            if keep and len(self._idle) < IDLE_READERS:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle; what is taken is closed when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def closed_error() -> UnavailableError:
    """What every block raises once the database was closed."""
    return UnavailableError(
        "The database has been closed.",
        code="database_closed",
        hint="The server is stopping; send the request again once it runs.",
    )
