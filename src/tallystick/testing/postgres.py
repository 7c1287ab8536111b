"""A private, real PostgreSQL for tests: its own data, its own socket, gone afterwards.

It listens on a Unix socket in a directory that only its owner may enter, so that neither a port
nor a password is needed. It runs with fsync, as a real one does, and as the user `postgres` when
the caller is root, because PostgreSQL refuses to run as root.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, NullPool, create_engine

from tallystick.errors import UnavailableError

INSTALLED: Final = Path("/usr/lib/postgresql")
"""Where Debian and its children keep each major version's programs, which are not on the PATH."""

START_SECONDS: Final = 60
"""More than any machine that still answers needs to start or to stop a fresh server."""


def find_programs() -> Path | None:
    """The directory of the newest `initdb`, `pg_ctl` and `postgres`, or None."""
    versions = [
        path for path in INSTALLED.glob("*/bin") if path.parent.name.isdigit() and _complete(path)
    ]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    if found is None:
        return None
    directory = Path(found).resolve().parent
    return directory if _complete(directory) else None


def _complete(directory: Path) -> bool:
    return all((directory / name).exists() for name in ("initdb", "pg_ctl", "postgres"))


class PostgresCluster:
    """One running server; `fresh_database` lends an empty database in it."""

    def __init__(self) -> None:
        """Create the cluster and start it: about two seconds.

        UnavailableError (`postgres_missing`, `postgres_failed`) when there is nothing to start, or
        when it does not start; the detail then ends with what it said.
        """
        programs = find_programs()
        if programs is None:
            raise UnavailableError(
                "The programs of a PostgreSQL server are not installed.",
                code="postgres_missing",
                hint="On Debian and Ubuntu: apt-get install postgresql",
            )
        self._programs = programs
        self._numbers = itertools.count(1)
        self._running = False
        # Not pytest's own directory: the user postgres may not enter that.
        self._directory = Path(tempfile.mkdtemp(prefix="tallystick-postgres-"))
        self._as_owner: tuple[str, ...] = ()
        try:
            if os.geteuid() == 0:
                self._give_to(_unprivileged_user())
            self._call("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                       "--locale=C", "--no-instructions", str(self._data))  # fmt: skip
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def start(self) -> None:
        """Start the server, and return when it lets clients in."""
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": str(self._directory),
            "fsync": "on",
            "synchronous_commit": "on",
            "max_connections": "200",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._control("start", "-o", options, "-l", str(self._directory / "server.log"))
        self._running = True

    def halt(self) -> None:
        """Stop the server at once, as a crash would; `start` brings it back."""
        if self._running:
            self._running = False
            self._control("stop", "-m", "immediate")

    def stop(self) -> None:
        """End the server and remove all that it stored; may be repeated."""
        try:
            self.halt()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str = "postgres") -> URL:
        """Where a database of this server is reached."""
        return URL.create(
            "postgresql+psycopg",
            username="postgres",
            database=database,
            query={"host": str(self._directory)},
        )

    @contextmanager
    def fresh_database(self, *, encoding: str = "UTF8") -> Iterator[URL]:
        """Where an empty database is reached, which is dropped after the block."""
        name = f"test_{next(self._numbers)}"
        engine = create_engine(self.url(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'"
            )
        yield self.url(name)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _give_to(self, user: pwd.struct_passwd) -> None:
        os.chown(self._directory, user.pw_uid, user.pw_gid)
        self._as_owner = (
            "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--",
        )  # fmt: skip

    def _control(self, action: str, *arguments: str) -> None:
        waiting = ("-D", str(self._data), "-w", "-t", str(START_SECONDS), "-s")
        self._call("pg_ctl", action, *waiting, *arguments)

    def _call(self, program: str, *arguments: str) -> None:
        # Into a file, not a pipe: the server inherits it, and a pipe would never end.
        said = self._directory / f"{program}.log"
        with said.open("wb") as output:
            done = subprocess.run(
                [*self._as_owner, str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                check=False,
            )
        if done.returncode:
            log = self._directory / "server.log"
            lines = said.read_text(errors="replace") + (
                log.read_text(errors="replace")[-2000:] if log.exists() else ""
            )
            raise UnavailableError(
                f"{program} {arguments[0]} failed: {lines.strip()}", code="postgres_failed"
            )


def _unprivileged_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise UnavailableError(
            "PostgreSQL refuses to run as root, and there is no user named postgres.",
            code="postgres_missing",
            hint="Run the tests as another user, or install the distribution's PostgreSQL.",
        ) from None


@contextmanager
def running_postgres() -> Iterator[PostgresCluster]:
    """A server that is there for the length of the block."""
    cluster = PostgresCluster()
    try:
        yield cluster
    finally:
        cluster.stop()
