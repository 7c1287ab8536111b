"""Waiting without a thread: P4.2."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tallystick.control.commands import Committed
from tallystick.control.feed import REMEMBERED, Feed

LONG = 30.0
T = TypeVar("T")


def on_loop(test: Callable[[Feed], Awaitable[T]], *, position: int = 4) -> T:
    async def attached() -> T:
        feed = Feed()
        feed.attach(asyncio.get_running_loop(), position=position)
        return await test(feed)

    return asyncio.run(attached())


def commit(position: int, *streams: str) -> Committed:
    return Committed(position, tuple((stream, position) for stream in streams), frozenset())


async def waiting(feed: Feed, stream: str, after: int) -> "asyncio.Task[bool]":
    task = asyncio.create_task(feed.wait_for(stream, after_seq=after, timeout_seconds=LONG))
    await asyncio.sleep(0)
    return task


def test_a_commit_wakes_those_who_wait_for_its_stream_and_nobody_else() -> None:
    async def test(feed: Feed) -> None:
        mine, other = await waiting(feed, "run_1", 4), await waiting(feed, "run_2", 4)
        thread = threading.Thread(target=feed.committed, args=(commit(5, "run_1"),))
        thread.start()
        assert await mine
        thread.join()
        assert feed.position == 5
        assert not other.done()
        feed.committed(commit(6, "run_2"))
        assert await other

    on_loop(test)


def test_what_was_committed_before_the_wait_began_is_not_missed() -> None:
    async def test(feed: Feed) -> None:
        feed.committed(commit(5, "run_1"))
        await asyncio.sleep(0)
        assert await feed.wait_for("run_1", after_seq=4, timeout_seconds=LONG)
        assert await feed.wait_any(after_seq=4, timeout_seconds=LONG) == 5
        assert not await feed.wait_for("run_1", after_seq=5, timeout_seconds=0)

    on_loop(test)


def test_word_of_an_entry_that_the_waiter_has_seen_already_does_not_end_the_wait() -> None:
    async def test(feed: Feed) -> None:
        mine = await waiting(feed, "run_1", 5)
        anyone = asyncio.create_task(feed.wait_any(after_seq=5, timeout_seconds=LONG))
        await asyncio.sleep(0)
        feed.committed(commit(5, "run_1"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not mine.done()
        assert not anyone.done()
        feed.committed(commit(6, "run_1"))
        assert (await mine, await anyone) == (True, 6)

    on_loop(test)


def test_when_the_time_is_up_nothing_has_come_and_nothing_is_left_behind() -> None:
    async def test(feed: Feed) -> None:
        assert not await feed.wait_for("run_1", after_seq=4, timeout_seconds=0.001)
        assert await feed.wait_any(after_seq=4, timeout_seconds=0.001) == 4
        assert not feed._waiters
        assert not feed._anyone

    on_loop(test)


def test_a_waiter_that_goes_away_leaves_nothing_behind() -> None:
    async def test(feed: Feed) -> None:
        tasks = [await waiting(feed, f"run_{n}", 4) for n in range(50)]
        assert len(feed._waiters) == 50
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not feed._waiters

    on_loop(test)


def test_closing_lets_everybody_go_and_keeps_nobody_afterwards() -> None:
    async def test(feed: Feed) -> None:
        mine = await waiting(feed, "run_1", 4)
        anyone = asyncio.create_task(feed.wait_any(after_seq=4, timeout_seconds=LONG))
        await asyncio.sleep(0)
        feed.close()
        assert (await mine, await anyone) == (False, 4)
        assert feed.closed
        assert not await feed.wait_for("run_1", after_seq=4, timeout_seconds=LONG)
        assert await feed.wait_any(after_seq=4, timeout_seconds=LONG) == 4

    on_loop(test)


def test_a_commit_after_the_loop_is_gone_or_before_it_came_harms_nobody() -> None:
    kept: list[Feed] = []

    async def test(feed: Feed) -> None:
        kept.append(feed)

    on_loop(test)
    kept[0].committed(commit(9, "run_1"))
    Feed().committed(commit(1, "run_1"))


def test_only_so_many_streams_are_remembered() -> None:
    async def test(feed: Feed) -> None:
        streams = tuple((f"run_{n}", n) for n in range(REMEMBERED + 10))
        feed.committed(Committed(REMEMBERED + 9, streams, frozenset()))
        await asyncio.sleep(0)
        assert len(feed._last) == REMEMBERED
        assert "run_9" not in feed._last
        assert feed.position == REMEMBERED + 9

    on_loop(test)


def test_the_position_never_goes_back() -> None:
    async def test(feed: Feed) -> None:
        feed.attach(asyncio.get_running_loop(), position=2)
        assert feed.position == 4
        feed.committed(commit(3, "a"))
        await asyncio.sleep(0)
        assert feed.position == 4

    on_loop(test)
