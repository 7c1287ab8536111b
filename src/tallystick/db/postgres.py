"""A Database in PostgreSQL, for several servers or a disk elsewhere; needs the `postgres` extra.

Invariant: writers of all processes queue at one advisory lock, and each sees all that the one
before it committed. A commit is durable when the server runs with fsync, which is its default.
`wake` reaches other processes by NOTIFY.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    NullPool,
    RootTransaction,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError

from tallystick.db.database import (
    BUSY_TIMEOUT_SECONDS,
    IDLE_READERS,
    Bell,
    CoreTransaction,
    Readers,
    Statements,
    Transaction,
    Turn,
    closed_error,
)
from tallystick.db.postgres_signal import PostgresSignal
from tallystick.errors import CorruptLedgerError, InvalidError, TallystickError, UnavailableError

WRITE_LOCK: Final = 0x74616C6C79
"""The advisory lock of writers, "tally" in ASCII; it counts within one PostgreSQL database."""

CONNECT_TIMEOUT_SECONDS: Final = 5
"""For a first connection: long enough for another continent, short enough for a person."""

_BUSY_STATES: Final = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
        "53000",  # insufficient resources
        "53200",  # out of memory
        "53400",  # a limit of the configuration
        "55P03",  # the lock was not to be had in time
        "57014",  # cancelled
    }
)
_LOST_STATES: Final = frozenset(
    {
        "3D000",  # no such database
        "53300",  # too many connections
        "57P01",  # shut down by its administrator
        "57P02",  # shut down after a crash
        "57P03",  # starting up
        "57P05",  # idle for too long
    }
)

_TRIGGER_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION tallystick_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING
    MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' refused',
    ERRCODE = 'integrity_constraint_violation';
END $$
"""

# Per row, so that an upsert that only adds is let through, as on SQLite; TRUNCATE has no rows.
_TRIGGERS: Final = (
    ("refuses_change", "UPDATE OR DELETE", "ROW"),
    ("refuses_truncate", "TRUNCATE", "STATEMENT"),
)


class PostgresDatabase:
    """Keeps every promise of `Database` in the PostgreSQL database at `url`."""

    name: str = "postgres"

    def __init__(self, url: URL, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        """Connect once, to say at once what is wrong.

        A write waits `busy_timeout_seconds` for other processes. UnavailableError when the server
        cannot be reached, InvalidError when its database does not hold Unicode or when the driver
        is not installed.
        """
        self._url = url
        self._statements = Statements(dialect="postgres")
        self._bell = Bell()
        self._turn = Turn()
        self._closed = False  # guarded by _turn
        self._engine = _engine(url, isolation_level="READ COMMITTED")
        event.listen(self._engine, "connect", _WriterSettings(busy_timeout_seconds))
        readers = _engine(url, isolation_level="REPEATABLE READ")
        event.listen(readers, "connect", _make_read_only)
        self._readers = Readers(readers)
        self._signal = PostgresSignal(_engine(url, isolation_level="AUTOCOMMIT"), self._bell)
        with _translated(url, writing=True):
            self._writer = self._engine.connect()  # guarded by _turn
            try:
                _require_unicode(self._writer)
            except BaseException:
                self._writer.close()
                raise

    def create(self, metadata: MetaData, *, append_only: Sequence[Table] = ()) -> None:
        """Create the missing tables in one write transaction, so that processes take turns."""
        with self._writing() as connection:
            metadata.create_all(connection)
            if append_only:
                connection.exec_driver_sql(_TRIGGER_FUNCTION)
            for table in append_only:
                _add_triggers(connection, table)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write block on the one write connection, which is made again when it was lost."""
        with self._writing() as connection:
            yield CoreTransaction(connection, self._statements)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A read block on a connection of the pool; its snapshot is taken at once."""
        with _translated(self._url, writing=False):
            connection = self._begin_reading()
            try:
                yield CoreTransaction(connection, self._statements)
            finally:
                try:
                    connection.rollback()  # nothing to commit
                finally:
                    self._readers.give_back(connection)

    def wake(self) -> None:
        """Wake the waiting threads of this process, and of all that listen to this database."""
        self._bell.ring()
        self._signal.send()

    def wait(self, timeout_seconds: float) -> bool:
        """True when woken since this thread last waited, False after `timeout_seconds`."""
        self._signal.listen()
        return self._bell.wait(timeout_seconds)

    def close(self) -> None:
        """Close the connections and end the listening thread."""
        with self._turn:
            self._closed = True
            self._readers.close()
            self._writer.close()
        self._bell.close()
        self._signal.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._turn:
            if self._closed:
                raise closed_error()
            with _translated(self._url, writing=True):
                transaction = self._begin_writing()
                try:
                    yield self._writer
                except BaseException:
                    transaction.close()  # rolls back
                    raise
                self._commit(transaction)

    def _begin_writing(self) -> RootTransaction:
        if not self._writer.closed:
            try:
                return _begin_locked(self._writer)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # It died while it was idle. Nothing was done on it: go on with a new one.
            self._writer.close()
        self._writer = self._engine.connect()
        return _begin_locked(self._writer)

    def _commit(self, transaction: RootTransaction) -> None:
        try:
            transaction.commit()
        except DBAPIError as error:
            transaction.close()
            if not error.connection_invalidated:
                raise
            raise UnavailableError(
                "The connection to the database was lost during a commit.",
                code="database_unreachable",
                hint="The change may or may not have been made: look before trying again.",
                outcome="unknown",
            ) from error

    def _begin_reading(self) -> Connection:
        for _ in range(IDLE_READERS):
            connection = self._readers.take()
            try:
                connection.exec_driver_sql("SELECT 1")  # begins, and takes the snapshot
            except BaseException as error:
                connection.close()
                if not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    raise
                # It died while it was idle, and so may others have; a new one fails in `take`.
            else:
                return connection
        raise UnavailableError(
            "The PostgreSQL server ends every connection.", code="database_unreachable"
        )


class _WriterSettings:
    """Sets a fresh write connection up; a "connect" listener of SQLAlchemy."""

    def __init__(self, busy_timeout_seconds: float) -> None:
        """`busy_timeout_seconds` bounds the wait for other writers, and for locks on tables."""
        self._milliseconds = max(1, round(busy_timeout_seconds * 1000))

    def __call__(self, connection: Any, _record: object) -> None:
        """Ask for a bounded wait and for commits that are durable on return."""
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {self._milliseconds}")
            # A stricter setting of the server, such as remote_apply, is left alone.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.autocommit = False


def _make_read_only(connection: Any, _record: object) -> None:
    connection.read_only = True


def _engine(url: URL, *, isolation_level: str) -> Engine:
    try:
        return create_engine(
            url,
            isolation_level=isolation_level,
            poolclass=NullPool,  # connections are kept by PostgresDatabase itself
            connect_args={
                "application_name": "tallystick",
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                # A server that vanished without a word is noticed after about a minute.
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
            },
        )
    except ModuleNotFoundError as error:
        raise InvalidError(
            "PostgreSQL needs a driver that is not installed.",
            code="database_driver",
            hint="Install it with: pip install 'tallystick[postgres]'",
        ) from error


def _begin_locked(connection: Connection) -> RootTransaction:
    transaction = connection.begin()
    try:
        # READ COMMITTED, and the lock first: every later statement then takes its own snapshot,
        # after the writer before us has committed, and nobody commits until we release the lock.
        # REPEATABLE READ would take its one snapshot in this very statement, before the lock is
        # ours, and the block would work on a state that others have since replaced.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
    except BaseException:
        transaction.close()
        raise
    return transaction


def _require_unicode(connection: Connection) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    connection.rollback()
    if encoding != "UTF8":
        raise InvalidError(
            f"The PostgreSQL database stores text as {encoding}; UTF8 is needed.",
            code="database_encoding",
            hint="Create one with: createdb --encoding=UTF8 --template=template0 NAME",
        )


def _add_triggers(connection: Connection, table: Table) -> None:
    quoted = connection.dialect.identifier_preparer.format_table(table)
    present = set(
        connection.scalars(
            text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass)"),
            {"name": quoted},
        )
    )
    for suffix, actions, level in _TRIGGERS:
        name = f"{table.name}_{suffix}"
        if name not in present:  # replacing one would wait for every reader of the table
            connection.exec_driver_sql(
                f'CREATE TRIGGER "{name}" BEFORE {actions} ON {quoted} '
                f"FOR EACH {level} EXECUTE FUNCTION tallystick_refuse_change()"
            )


@contextmanager
def _translated(url: URL, *, writing: bool) -> Iterator[None]:
    """Turn what passes, and damage, into our errors; a bug passes through as it is."""
    try:
        yield
    except DBAPIError as error:
        explained = _explain(error, url=url, writing=writing)
        if explained is None:
            raise
        raise explained from error


def _explain(error: DBAPIError, *, url: URL, writing: bool) -> TallystickError | None:
    """What happened and what to do next, by SQLSTATE (PostgreSQL manual, appendix A)."""
    state: str = getattr(error.orig, "sqlstate", None) or ""
    shown = url.difference_update_query(("password", "sslpassword"))
    where = shown.render_as_string(hide_password=True)
    facts = {"database": where, "cause": str(error.orig).strip(), "sqlstate": state}
    if _is_lost(error, state) or (writing and state == "25006"):  # a standby cannot write
        return UnavailableError(
            f"The PostgreSQL server of {where} cannot be reached or does not serve us: "
            f"{facts['cause']}",
            code="database_unreachable",
            hint="See that it runs, takes writes and lets this user in; then try again.",
            **facts,
        )
    if state in _BUSY_STATES:
        return UnavailableError(
            "PostgreSQL is busy with other writers; nothing was changed.",
            code="database_busy",
            hint="Try again; if it lasts, look for the holder of an advisory lock in pg_locks.",
            **facts,
        )
    if state == "53100":
        return UnavailableError(
            "The disk of the PostgreSQL server is full; nothing was changed.",
            code="storage_full",
            hint="Free space on that server, then try again; nothing needs repair here.",
            **facts,
        )
    if state in {"58000", "58030"}:
        return UnavailableError(
            "The PostgreSQL server reports a failing disk; nothing was changed.",
            code="storage_failed",
            hint="See the logs of that server and of its kernel; then try again.",
            **facts,
        )
    if state in {"XX001", "XX002"}:
        return CorruptLedgerError(
            "PostgreSQL reports damaged data.",
            code="database_corrupt",
            hint="Stop the server, keep a copy of the cluster, and restore the newest backup.",
            **facts,
        )
    return None


def _is_lost(error: DBAPIError, state: str) -> bool:
    if error.connection_invalidated or state.startswith(("08", "28")):
        return True
    if state in _LOST_STATES:
        return True
    # A connection that never came to be carries no SQLSTATE.
    return not state and type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"}
