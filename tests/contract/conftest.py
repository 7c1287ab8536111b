"""Where the databases of the contract suite live: a file, and a real PostgreSQL server."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.testing.contract.database_home import DatabaseHome
from tallystick.testing.postgres import PostgresCluster, find_programs, running_postgres
from tests.contract.database_homes import PostgresHome, SqliteHome

pytest.register_assert_rewrite("tallystick.testing.contract.database")

MISSING = (
    "PostgreSQL server programs are not installed: this half of the database contract did NOT run "
    "(on Debian and Ubuntu: apt-get install postgresql)"
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    if find_programs() is None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture
def postgres_home(postgres: PostgresCluster) -> Iterator[PostgresHome]:
    with postgres.fresh_database() as url:
        home = PostgresHome(url)
        yield home
        home.close_all()


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Iterator[SqliteHome]:
    home = SqliteHome(tmp_path / "data" / "tally.db")
    yield home
    home.close_all()


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest) -> DatabaseHome:
    place: DatabaseHome = request.getfixturevalue(f"{request.param}_home")
    return place
