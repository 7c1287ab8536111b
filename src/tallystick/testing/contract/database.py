"""What every Database must do; a class of tests to inherit, over a `home` fixture.

The suite proves the promises of `tallystick.db.database` from the outside: threads, other
processes, and strangers to Tallystick are real.
"""

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from select import select as wait_readable
from typing import Any, Final

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tallystick.db.database import Database, Transaction
from tallystick.errors import UnavailableError
from tallystick.testing.contract.database_home import (
    COUNTERS,
    DEADLINE_SECONDS,
    FACTS,
    METADATA,
    PAIRS,
    DatabaseHome,
    count,
    counter,
    increment,
    prepared,
    soon,
    started,
)

CHANGES: Final[Sequence[Callable[[Transaction], object]]] = (
    lambda tx: tx.insert(COUNTERS, [{"name": "m", "value": 1}]),
    lambda tx: tx.upsert(COUNTERS, [{"name": "n", "value": 1}]),
    lambda tx: tx.execute(COUNTERS.update().values(value=1)),
    lambda tx: tx.execute(COUNTERS.delete()),
    lambda tx: tx.fetch(COUNTERS.delete().returning(COUNTERS.c.name)),
    lambda tx: tx.execute(text("CREATE TABLE intruder (x INTEGER)")),
)
"""Every way to change something; a read block must refuse each."""


class DatabaseContract:
    """Inherit this where a fixture `home` gives a DatabaseHome; every test is one promise."""

    # --- commit and rollback

    def test_a_commit_is_seen_by_every_other_opener_and_after_reopening(
        self, home: DatabaseHome
    ) -> None:
        database, other = prepared(home), home.open()
        increment(database)
        with other.read() as tx:
            assert counter(tx) == 1
        database.close()
        other.close()
        with home.open().read() as tx:
            assert counter(tx) == 1

    def test_a_commit_outlives_a_process_killed_right_after_it(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with started(home, "die") as process:
            pass
        assert process.returncode == -signal.SIGKILL
        with database.read() as tx:
            assert counter(tx) == 1

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_leaves_nothing_of_its_block(
        self, home: DatabaseHome, error: type[BaseException]
    ) -> None:
        database = prepared(home)

        def fail() -> None:
            with database.write() as tx:
                tx.insert(FACTS, [{"seq": 1, "words": "gone"}])
                tx.upsert(COUNTERS, [{"name": "n", "value": 9}])
                raise error

        with pytest.raises(error):
            fail()
        with database.read() as tx:
            assert count(tx, FACTS) == 0
            assert counter(tx) == 0
        increment(database)
        with database.read() as tx:
            assert counter(tx) == 1

    def test_a_broken_constraint_stays_an_exception_and_undoes_its_block(
        self, home: DatabaseHome
    ) -> None:
        database = prepared(home)

        def repeat_a_key() -> None:
            with database.write() as tx:
                tx.insert(FACTS, [{"seq": 1}])
                tx.insert(COUNTERS, [{"name": "n", "value": 1}])

        with pytest.raises(IntegrityError):
            repeat_a_key()
        with database.read() as tx:
            assert count(tx, FACTS) == 0
        increment(database)

    # --- writers take turns

    def test_fifty_threads_that_increment_lose_nothing(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with ThreadPoolExecutor(50) as pool:
            done = [pool.submit(increment, database, times=4) for _ in range(50)]
        for each in done:
            each.result()
        with database.read() as tx:
            assert counter(tx) == 200

    def test_processes_that_increment_lose_nothing(self, home: DatabaseHome) -> None:
        database = prepared(home, busy_timeout_seconds=DEADLINE_SECONDS)
        with started(home, "increment") as one, started(home, "increment") as two:
            increment(database, times=40)
        assert (one.returncode, two.returncode) == (0, 0)
        with database.read() as tx:
            assert counter(tx) == 120

    def test_another_process_waits_for_our_block_and_then_sees_what_it_did(
        self, home: DatabaseHome
    ) -> None:
        database = prepared(home)
        with ExitStack() as stack:
            with database.write() as tx:
                tx.upsert(COUNTERS, [{"name": "n", "value": 7}])
                process = stack.enter_context(started(home, "report"))
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                assert not wait_readable([process.stdout], [], [], 0.3)[0]
            assert process.stdout.readline() == "7\n"
        assert process.returncode == 0

    def test_a_write_block_inside_a_write_block_is_refused(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with (
            database.write(),
            pytest.raises(RuntimeError, match="inside a write block"),
            database.write(),
        ):
            pass
        increment(database)

    def test_a_stranger_who_keeps_writers_out_makes_it_unavailable_for_a_while(
        self, home: DatabaseHome
    ) -> None:
        database = prepared(home, busy_timeout_seconds=0.05)
        with home.hold():
            with pytest.raises(UnavailableError) as caught:
                increment(database)
            assert caught.value.code == "database_busy"
            assert caught.value.hint
            with pytest.raises(UnavailableError):
                database.create(METADATA)
        increment(database)
        with database.read() as tx:
            assert counter(tx) == 1

    # --- reads

    def test_a_read_block_sees_one_moment_while_writers_go_on(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.read() as tx:
            assert counter(tx) == 0
            increment(database)
            with database.write() as writer:
                writer.insert(FACTS, [{"seq": 1}])
            assert counter(tx) == 0
            assert count(tx, FACTS) == 0
        with database.read() as tx:
            assert (counter(tx), count(tx, FACTS)) == (1, 1)

    def test_a_read_block_does_not_wait_for_a_writer_nor_see_half_of_it(
        self, home: DatabaseHome
    ) -> None:
        database = prepared(home)
        with database.write() as writer:
            writer.insert(FACTS, [{"seq": 1}])
            with database.read() as tx:
                assert count(tx, FACTS) == 0
            assert count(writer, FACTS) == 1

    @pytest.mark.parametrize("change", CHANGES)
    def test_a_read_block_refuses_every_change(
        self, home: DatabaseHome, change: Callable[[Transaction], object]
    ) -> None:
        database = prepared(home)
        with pytest.raises(DBAPIError), database.read() as tx:
            change(tx)
        with database.read() as tx:
            assert (counter(tx), count(tx, COUNTERS)) == (0, 1)
        increment(database)

    def test_many_threads_read_and_write_at_once(self, home: DatabaseHome) -> None:
        database = prepared(home)

        def look(_turn: int) -> bool:
            with database.read() as tx:
                return counter(tx) == counter(tx)

        with ThreadPoolExecutor(24) as pool:
            writes = pool.submit(increment, database, times=30)
            assert all(pool.map(look, range(200)))
            writes.result()

    # --- tables

    def test_create_may_be_repeated_and_keeps_rows_and_adds_what_is_missing(
        self, home: DatabaseHome
    ) -> None:
        database = prepared(home)
        increment(database)
        larger = MetaData()
        COUNTERS.to_metadata(larger)
        extra = Table("extra", larger, Column("x", BigInteger, primary_key=True))
        for _ in range(2):
            database.create(larger, append_only=[extra])
        with database.write() as tx:
            tx.insert(extra, [{"x": 1}])
            assert counter(tx) == 1

    def test_several_may_create_at_once(self, home: DatabaseHome) -> None:
        opened = [home.open(busy_timeout_seconds=DEADLINE_SECONDS) for _ in range(4)]
        together = threading.Barrier(len(opened))

        def create(database: Database) -> None:
            together.wait(DEADLINE_SECONDS)
            database.create(METADATA, append_only=[FACTS])

        with started(home, "create") as process, ThreadPoolExecutor(len(opened)) as pool:
            for each in [pool.submit(create, database) for database in opened]:
                each.result()
        assert process.returncode == 0
        with opened[0].write() as tx:
            tx.insert(FACTS, [{"seq": 1}])

    def test_rows_of_an_append_only_table_can_only_be_added(self, home: DatabaseHome) -> None:
        database = prepared(home)
        database.create(METADATA, append_only=[FACTS])
        with database.write() as tx:
            tx.insert(FACTS, [{"seq": 1, "words": "first"}, {"seq": 2, "words": "second"}])
            tx.upsert(FACTS, [{"seq": 3, "words": "third"}])
        changes: list[Callable[[Transaction], object]] = [
            lambda tx: tx.execute(FACTS.update().values(words="forged")),
            lambda tx: tx.execute(FACTS.delete().where(FACTS.c.seq == 2)),
            lambda tx: tx.upsert(FACTS, [{"seq": 1, "words": "forged"}]),
        ]
        for change in changes:
            with pytest.raises(IntegrityError, match="append-only"), database.write() as tx:
                change(tx)
        with database.read() as tx:
            rows = tx.fetch(select(FACTS.c.words).order_by(FACTS.c.seq))
        assert [row["words"] for row in rows] == ["first", "second", "third"]

    # --- rows

    def test_insert_is_bulk_and_all_or_nothing(self, home: DatabaseHome) -> None:
        database = prepared(home)
        rows = [{"seq": n, "words": f"row {n}", "data": bytes([n % 256])} for n in range(10_000)]
        with database.write() as tx:
            tx.insert(FACTS, rows)
        with pytest.raises(IntegrityError), database.write() as tx:
            tx.insert(FACTS, [*({**row, "seq": row["seq"] + 10_000} for row in rows), rows[0]])  # type: ignore[operator]
        with database.read() as tx:
            assert count(tx, FACTS) == 10_000
            (last,) = tx.fetch(FACTS.select().where(FACTS.c.seq == 9_999))
        assert dict(last) == rows[-1]

    def test_upsert_replaces_the_whole_row(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.write() as tx:
            tx.upsert(COUNTERS, [{"name": "n", "value": 1, "note": "kept until replaced"}])
            tx.upsert(COUNTERS, [{"name": name, "value": 2} for name in ("n", "m")])
            tx.upsert(PAIRS, [{"a": 1, "b": 2}])
            tx.upsert(PAIRS, [{"a": 1, "b": 2}, {"a": 1, "b": 3}])
        with database.read() as tx:
            rows = [dict(row) for row in tx.fetch(COUNTERS.select().order_by(COUNTERS.c.name))]
            assert rows == [{"name": name, "value": 2, "note": "none"} for name in ("m", "n")]
            assert count(tx, PAIRS) == 2

    def test_of_two_rows_with_one_key_the_later_is_kept(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.write() as tx:
            tx.upsert(COUNTERS, [{"name": "n", "value": value} for value in (5, 6)])
            assert counter(tx) == 6

    def test_rows_with_different_keys_are_a_bug(self, home: DatabaseHome) -> None:
        database = prepared(home)
        ragged = [{"seq": 1}, {"seq": 2, "words": "would be dropped in silence"}]
        for method in ("insert", "upsert"):
            with pytest.raises(ValueError, match="words"), database.write() as tx:
                getattr(tx, method)(FACTS, ragged)

    def test_no_rows_is_no_work(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.write() as tx:
            tx.insert(FACTS, [])
            tx.upsert(FACTS, [])
            assert tx.execute(FACTS.delete(), []) == 0
            assert count(tx, FACTS) == 0

    def test_execute_tells_how_many_rows_it_touched(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.write() as tx:
            tx.insert(FACTS, [{"seq": n, "words": "old"} for n in range(5)])
            assert tx.execute(FACTS.update().where(FACTS.c.seq < 3).values(words="new")) == 3
            one = text("DELETE FROM facts WHERE seq = :seq")
            assert tx.execute(one, {"seq": 0}) == 1
            assert tx.execute(one, [{"seq": 1}, {"seq": 2}, {"seq": 99}]) == 2
            rows = tx.fetch(text("SELECT seq FROM facts WHERE words = :w"), {"w": "old"})
        assert sorted(row["seq"] for row in rows) == [3, 4]

    def test_values_come_back_as_they_went_in(self, home: DatabaseHome) -> None:
        database = prepared(home)
        words = [
            "",
            "'; DROP TABLE facts; --",
            "café",
            "cafe\u0301",
            "\U0001f9ea \U00010348 \uffff",
        ]
        data = [b"", bytes(range(256)), b"\x00" * 100_000, None]
        numbers = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
        rows: list[dict[str, Any]] = [{"seq": n, "words": None, "data": None} for n in numbers]
        rows += [{"seq": 100 + n, "words": w, "data": None} for n, w in enumerate(words)]
        rows += [{"seq": 200 + n, "words": None, "data": d} for n, d in enumerate(data)]
        with database.write() as tx:
            tx.insert(FACTS, rows)
        with database.read() as tx:
            found = [dict(row) for row in tx.fetch(FACTS.select().order_by(FACTS.c.seq))]
        assert found == sorted(rows, key=lambda row: int(row["seq"]))
        assert all(type(row["data"]) in {bytes, type(None)} for row in found)

    # --- wake and wait

    def test_wait_times_out_when_nobody_wakes(self, home: DatabaseHome) -> None:
        assert prepared(home).wait(0.01) is False

    def test_wake_ends_every_wait(self, home: DatabaseHome) -> None:
        database = prepared(home)
        waiting = threading.Barrier(4)

        def sleep() -> bool:
            database.wait(0)
            waiting.wait(DEADLINE_SECONDS)
            return database.wait(DEADLINE_SECONDS)

        with ThreadPoolExecutor(3) as pool:
            sleepers: list[Future[bool]] = [pool.submit(sleep) for _ in range(3)]
            waiting.wait(DEADLINE_SECONDS)
            database.wake()
            assert all(each.result(DEADLINE_SECONDS) for each in sleepers)

    def test_a_wake_between_two_waits_is_not_lost(self, home: DatabaseHome) -> None:
        database = prepared(home)
        assert database.wait(0) is False
        database.wake()
        assert database.wait(DEADLINE_SECONDS) is True
        assert database.wait(0.01) is False

    # --- the end

    def test_close_may_be_repeated_and_leaves_no_connection(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with database.read(), database.read():
            pass
        database.wait(0)
        database.wake()
        assert home.open_connections() > 0
        database.close()
        database.close()
        soon(lambda: home.open_connections() == 0)
        for block in (database.write, database.read):
            with pytest.raises(UnavailableError) as caught, block():
                pass
            assert caught.value.code == "database_closed"
        database.wake()
        assert database.wait(DEADLINE_SECONDS) is False

    def test_close_ends_waits_and_lets_a_read_block_finish(self, home: DatabaseHome) -> None:
        database = prepared(home)
        with ThreadPoolExecutor(1) as pool, database.read() as tx:
            waiting = pool.submit(database.wait, DEADLINE_SECONDS * 10)
            database.close()
            assert wait([waiting], DEADLINE_SECONDS).done
            assert counter(tx) == 0
        soon(lambda: home.open_connections() == 0)
