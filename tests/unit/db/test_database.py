"""The parts that both databases share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Integer, MetaData, NullPool, Table, create_engine

from tallystick.db.database import IDLE_READERS, Bell, Readers, Statements, Turn
from tallystick.errors import UnavailableError


def test_a_bell_keeps_a_ring_for_every_thread_that_has_waited_before() -> None:
    bell = Bell()
    assert bell.wait(0) is False
    bell.ring()
    bell.ring()
    assert bell.wait(0) is True
    assert bell.wait(0) is False


def test_a_ring_before_the_first_wait_of_a_thread_is_not_news_to_it() -> None:
    bell = Bell()
    bell.ring()
    assert bell.wait(0) is False


def test_a_closed_bell_lets_nobody_wait() -> None:
    bell = Bell()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bell.wait, 60)
        bell.close()
        assert waiting.result(30) is False
    bell.ring()
    assert bell.wait(60) is False


def test_a_turn_lets_one_thread_in_at_a_time_and_is_free_after_an_exception() -> None:
    turn = Turn()
    inside, tried = threading.Event(), []

    def enter() -> None:
        with turn:
            tried.append(inside.is_set())

    with turn:
        inside.set()
        thread = threading.Thread(target=enter)
        thread.start()
        inside.clear()
    thread.join(30)
    assert tried == [False]
    with pytest.raises(KeyError), turn:
        raise KeyError
    with turn:
        pass


def test_a_turn_inside_a_turn_is_refused_and_the_outer_one_goes_on() -> None:
    turn = Turn()
    with turn, pytest.raises(RuntimeError), turn:
        pass
    with turn:
        pass


def test_a_table_without_a_primary_key_cannot_be_upserted() -> None:
    table = Table("keyless", MetaData(), Column("x", Integer))
    for dialect in ("sqlite", "postgres"):
        with pytest.raises(ValueError, match="keyless"):
            Statements(dialect=dialect).upsert(table)


def test_statements_are_built_once_per_table() -> None:
    table = Table("t", MetaData(), Column("x", Integer, primary_key=True))
    statements = Statements(dialect="sqlite")
    assert statements.insert(table) is statements.insert(table)
    assert statements.upsert(table) is statements.upsert(table)


def test_readers_are_reused_and_only_so_many_are_kept() -> None:
    readers = Readers(create_engine("sqlite://", poolclass=NullPool))
    first = readers.take()
    readers.give_back(first)
    assert readers.take() is first
    taken = [first, *(readers.take() for _ in range(IDLE_READERS))]
    for connection in taken:
        readers.give_back(connection)
    assert [connection.closed for connection in taken] == [False] * IDLE_READERS + [True]
    readers.close()
    assert all(connection.closed for connection in taken)


def test_a_reader_given_back_after_closing_is_closed() -> None:
    readers = Readers(create_engine("sqlite://", poolclass=NullPool))
    connection = readers.take()
    readers.close()
    before = connection.closed
    readers.give_back(connection)
    assert (before, connection.closed) == (False, True)
    with pytest.raises(UnavailableError):
        readers.take()
