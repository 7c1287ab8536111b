"""The two homes of a database: a file, and a database of a PostgreSQL server."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine

from tallystick.db.database import BUSY_TIMEOUT_SECONDS, Database
from tallystick.db.open import open_database
from tallystick.db.postgres import WRITE_LOCK


class SqliteHome:
    """A SQLite file."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist, nor its directory."""
        self.path = path
        self.url = f"sqlite:///{path}"
        self._opened: list[Database] = []

    def open(self, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Database:
        database = open_database(self.url, busy_timeout_seconds=busy_timeout_seconds)
        self._opened.append(database)
        return database

    @contextmanager
    def hold(self) -> Iterator[None]:
        stranger = sqlite3.connect(self.path, isolation_level=None)
        try:
            stranger.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            stranger.close()

    def open_connections(self) -> int:
        def target(descriptor: Path) -> str:
            try:
                return str(descriptor.readlink())
            except FileNotFoundError:  # the descriptor of this very listing
                return ""

        return sum(target(each) == str(self.path) for each in Path("/proc/self/fd").iterdir())

    def close_all(self) -> None:
        for database in self._opened:
            database.close()


class PostgresHome:
    """A database of a running PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        """`url` is that of an empty database, which others create and drop."""
        self.url = url.render_as_string(hide_password=False)
        self.stranger = create_engine(url, poolclass=NullPool)
        self._opened: list[Database] = []

    def open(self, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Database:
        database = open_database(self.url, busy_timeout_seconds=busy_timeout_seconds)
        self._opened.append(database)
        return database

    @contextmanager
    def hold(self) -> Iterator[None]:
        with self.stranger.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            yield

    def open_connections(self) -> int:
        with self.stranger.connect() as connection:
            count: int = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).scalar_one()
        return count

    def close_all(self) -> None:
        for database in self._opened:
            database.close()
