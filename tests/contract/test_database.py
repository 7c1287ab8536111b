"""Both databases keep the promises of tallystick.db.database; PostgreSQL also survives its server.

The class of promises runs once for each home: sqlite and postgres.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import URL, select, text
from sqlalchemy.exc import IntegrityError

from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.errors import InvalidError, UnavailableError
from tallystick.testing.contract.database import DatabaseContract
from tallystick.testing.contract.database_home import (
    COUNTERS,
    DEADLINE_SECONDS,
    FACTS,
    METADATA,
    counter,
    increment,
    prepared,
    soon,
)
from tallystick.testing.postgres import PostgresCluster
from tests.contract.database_homes import PostgresHome


class TestDatabase(DatabaseContract):
    pass


def end_sessions(home: PostgresHome) -> None:
    """As an administrator would: every session of the database but our own."""
    with home.stranger.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    soon(lambda: home.open_connections() == 0)


def test_a_session_that_died_while_idle_is_replaced_unnoticed(postgres_home: PostgresHome) -> None:
    database = prepared(postgres_home)
    with database.read(), database.read():
        pass
    end_sessions(postgres_home)
    increment(database)
    with database.read() as tx:
        assert counter(tx) == 1


def test_a_session_that_dies_inside_a_block_makes_it_unavailable_and_is_replaced(
    postgres_home: PostgresHome,
) -> None:
    database = prepared(postgres_home)

    def write() -> None:
        with database.write() as tx:
            tx.insert(FACTS, [{"seq": 1}])
            end_sessions(postgres_home)
            counter(tx)

    def read() -> None:
        with database.read() as tx:
            end_sessions(postgres_home)
            counter(tx)

    for block in (write, read):
        with pytest.raises(UnavailableError) as caught:
            block()
        assert caught.value.code == "database_unreachable"
    with database.read() as tx:
        assert tx.fetch(select(FACTS)) == []
    increment(database)


def test_a_commit_whose_answer_was_lost_says_so(postgres_home: PostgresHome) -> None:
    database = prepared(postgres_home)

    def write() -> None:
        with database.write() as tx:
            tx.upsert(COUNTERS, [{"name": "n", "value": 5}])
            end_sessions(postgres_home)

    with pytest.raises(UnavailableError) as caught:
        write()
    assert caught.value.facts["outcome"] == "unknown"
    increment(database)


def test_a_server_that_crashed_is_unreachable_until_it_is_back(
    postgres: PostgresCluster, postgres_home: PostgresHome
) -> None:
    database = prepared(postgres_home)
    increment(database)
    assert database.wait(0) is False  # now a thread listens
    postgres.halt()
    try:
        for block in (database.read, database.write):
            with pytest.raises(UnavailableError) as caught, block():
                pass
            assert caught.value.code == "database_unreachable"
        database.wake()  # a hint that is lost must not fail anybody
        with pytest.raises(UnavailableError) as caught:
            postgres_home.open()
        assert caught.value.code == "database_unreachable"
    finally:
        postgres.start()
    with database.read() as tx:
        assert counter(tx) == 1
    increment(database)
    other = postgres_home.open()
    soon(lambda: wakes(other, database))


def wakes(sender: Database, sleeper: Database) -> bool:
    sender.wake()
    return sleeper.wait(0.1)


def test_wake_reaches_other_openers_and_rings_once_for_its_own(postgres_home: PostgresHome) -> None:
    sender, sleeper = prepared(postgres_home), postgres_home.open()
    assert sleeper.wait(0) is False
    assert sender.wait(0) is False
    with ThreadPoolExecutor(1) as pool:
        listening = threading.Event()

        def sleep() -> bool:
            sleeper.wait(0)
            listening.set()
            return sleeper.wait(DEADLINE_SECONDS)

        asleep = pool.submit(sleep)
        assert listening.wait(DEADLINE_SECONDS)
        sender.wake()
        assert asleep.result(DEADLINE_SECONDS) is True
    # What the other heard has come back to the sender too, and is not news to it.
    assert sender.wait(DEADLINE_SECONDS) is True
    assert sender.wait(0.1) is False


def test_truncate_is_refused_on_append_only_tables(postgres_home: PostgresHome) -> None:
    database = prepared(postgres_home)
    database.create(METADATA, append_only=[FACTS])
    with pytest.raises(IntegrityError, match="append-only"), database.write() as tx:
        tx.execute(text("TRUNCATE facts"))


def test_commits_are_durable_even_where_the_role_says_otherwise(
    postgres_home: PostgresHome,
) -> None:
    with postgres_home.stranger.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database()"
            " || ' SET synchronous_commit = off'; END $$"
        )
    with postgres_home.open().write() as tx:
        (row,) = tx.fetch(text("SHOW synchronous_commit"))
    assert row["synchronous_commit"] == "on"


def test_a_database_without_unicode_is_refused(postgres: PostgresCluster) -> None:
    with (
        postgres.fresh_database(encoding="LATIN1") as url,
        pytest.raises(InvalidError) as caught,
    ):
        open_database(url.render_as_string(hide_password=False))
    assert caught.value.code == "database_encoding"


def test_no_server_is_unreachable_and_the_error_keeps_the_password() -> None:
    url = URL.create(
        "postgresql",
        username="tally",
        password="hunter2",
        host="127.0.0.1",
        port=1,
        database="x",
        query={"sslpassword": "hunter3"},
    )
    with pytest.raises(UnavailableError) as caught:
        open_database(url.render_as_string(hide_password=False))
    assert caught.value.code == "database_unreachable"
    assert "127.0.0.1" in caught.value.detail
    assert "hunter" not in f"{caught.value.detail} {caught.value.facts}"
