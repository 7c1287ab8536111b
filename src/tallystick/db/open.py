"""From a database URL to a Database; the only place that chooses between the engines."""

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tallystick.db.database import BUSY_TIMEOUT_SECONDS, Database
from tallystick.db.postgres import PostgresDatabase
from tallystick.db.sqlite import SqliteDatabase
from tallystick.errors import InvalidError

_EXPECTED: Final = (
    "Write sqlite:////absolute/path/tally.db, or postgresql+psycopg://user:password@host/database."
)
_POSTGRES_NAMES: Final = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


def open_database(url: str, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> Database:
    """Open `sqlite:///path` or `postgresql+psycopg://…`, creating a missing SQLite file.

    Raises InvalidError for any other URL, UnavailableError when the database cannot be reached,
    and CorruptLedgerError when a file is not a database. No error repeats the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise InvalidError(
            "The database URL cannot be read.", code="database_url", hint=_EXPECTED
        ) from error
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        return SqliteDatabase(_file(parsed), busy_timeout_seconds=busy_timeout_seconds)
    if parsed.drivername in _POSTGRES_NAMES:
        return PostgresDatabase(
            parsed.set(drivername="postgresql+psycopg"), busy_timeout_seconds=busy_timeout_seconds
        )
    raise InvalidError(
        f"There is no database engine called {parsed.drivername} here.",
        code="database_url",
        hint=_EXPECTED,
    )


def _file(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.query:
        raise InvalidError(
            "A SQLite URL names a file, and nothing else.", code="database_url", hint=_EXPECTED
        )
    return Path(url.database)
