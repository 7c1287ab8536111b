"""Time, ids and chance, the real ones and the ones that a test moves."""

import re
import threading
import time

import pytest

from tallystick.clock import Clock, SystemClock
from tallystick.domain.ids import ID_PATTERN
from tallystick.testing.clock import ManualClock

CLOCKS = [SystemClock, ManualClock]


@pytest.mark.parametrize("make", CLOCKS)
@pytest.mark.parametrize("prefix", ["run", "swp", "att", "tok"])
def test_ids_are_of_the_protocols_form_and_never_the_same(make: type[Clock], prefix: str) -> None:
    clock = make()
    found = [clock.new_id(prefix) for _ in range(1000)]
    assert len(set(found)) == 1000
    assert all(ID_PATTERN.fullmatch(key) and key.startswith(f"{prefix}_") for key in found)


@pytest.mark.parametrize("make", CLOCKS)
@pytest.mark.parametrize("count", [0, 1, 6, 16, 17, 4096, 5000])
def test_as_many_bytes_as_asked_for(make: type[Clock], count: int) -> None:
    assert len(make().token_bytes(count)) == count


def test_no_byte_of_chance_is_handed_out_twice() -> None:
    clock, found, lock = SystemClock(), set(), threading.Lock()

    def draw() -> None:
        mine = {clock.token_bytes(16) for _ in range(500)}
        with lock:
            found.update(mine)

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2000


def test_now_is_whole_milliseconds_of_the_machines_clock() -> None:
    before = int(time.time() * 1000)
    now = SystemClock().now()
    assert isinstance(now, int)
    assert before - 1 <= now <= int(time.time() * 1000) + 1


def test_the_real_clock_really_sleeps() -> None:
    before = time.monotonic()
    SystemClock().sleep(0.005)
    assert time.monotonic() - before >= 0.005


def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(1_000)
    assert clock.now() == clock.now() == 1_000
    clock.sleep(2.5)
    assert clock.now() == 3_500
    clock.advance(-500)
    assert clock.now() == 3_000


def test_the_manual_clock_is_the_same_in_every_test() -> None:
    assert [ManualClock().new_id("run"), ManualClock().new_id("run")] == ["run_000000000001"] * 2
    assert re.fullmatch(r"[0-9a-f]{32}", ManualClock().token_bytes(16).hex())
