"""The policy of the queue: who starts, with which devices, and why everybody else waits: P3.2."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tallystick.domain.capacity import Capacity, Device
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId, SessionId, SweepId
from tallystick.domain.queue import (
    MOST_PASSES,
    Candidate,
    Decision,
    Holding,
    Situation,
    assign,
)
from tallystick.domain.reasons import (
    Drained,
    ForCpus,
    ForDevices,
    ForMemory,
    Impossible,
    Reason,
    SweepLimit,
    Turn,
)

NOW = 1_700_000_000_000  # 22:13:20 UTC
SWEEP = SweepId("swp_00000000000b")


def device(index: int, **changes: Any) -> Device:
    return Device(id=f"GPU-{index}{index}", index=index, memory_mb=16_000, **changes)


def host(slots: int = 4, gpus: int = 0, **changes: Any) -> Capacity:
    devices = tuple(device(index) for index in range(gpus))
    return Capacity(slots=slots, **{"cpus": 16, "memory_mb": 64_000, "devices": devices, **changes})


def run(number: int, session: str = "a", *, sweep: SweepId | None = None, **asks: Any) -> Candidate:
    """A candidate; its number is its age."""
    return Candidate(
        run=RunId(f"run_{number:012x}"),
        session=SessionId(session),
        sweep=sweep,
        demands=Demands(**asks),
        queued_seq=number,
    )


def active(number: int, session: str = "a", gpus: tuple[str, ...] = (), **changes: Any) -> Holding:
    known = {"demands": Demands(), "since": NOW, **changes}
    return Holding(run=RunId(f"run_{number:012x}"), session=SessionId(session), gpus=gpus, **known)


def decide(*candidates: Candidate, capacity: Capacity | None = None, **around: Any) -> Decision:
    return assign(candidates, Situation(capacity=capacity or host(), **around))


def started(decision: Decision) -> list[int]:
    return [int(start.run[4:], 16) for start in decision.starts]


def reason(decision: Decision, candidate: Candidate) -> Reason:
    return decision.waits[candidate.run]


def words(decision: Decision, candidate: Candidate) -> str:
    return reason(decision, candidate).words(now=NOW)


def test_the_older_run_starts_first_and_a_higher_priority_before_it() -> None:
    waiting = run(3), run(1), run(2, priority=5)
    assert started(decide(*waiting)) == [2, 1, 3]
    assert started(decide(*waiting, capacity=host(slots=1))) == [2]


def test_priority_counts_within_a_session_only() -> None:
    loud = [run(n, "loud", priority=100) for n in range(1, 5)]
    meek = run(9, "meek")
    decision = decide(*loud, meek, capacity=host(slots=2), served={SessionId("loud"): 5})
    assert started(decision) == [9, 1]


def test_the_session_with_the_smaller_share_is_next() -> None:
    many = [run(n, "many") for n in range(1, 9)]
    few = [run(n, "few") for n in range(11, 13)]
    holdings = (active(90, "many"), active(91, "many"))
    decision = decide(*many, *few, capacity=host(slots=5), holdings=holdings)
    assert started(decision) == [11, 12, 1]


def test_a_share_of_devices_counts_as_a_share_of_slots() -> None:
    capacity = host(slots=10, gpus=2)
    holdings = (active(90, "gpu", ("GPU-00",)), active(91, "cpu"), active(92, "cpu"))
    decision = decide(
        run(1, "gpu", gpus=1), run(2, "cpu", gpus=1), capacity=capacity, holdings=holdings
    )
    assert started(decision) == [2]


def test_with_one_slot_sessions_take_turns_whatever_stands_before_them() -> None:
    crowd = [run(n, "crowd") for n in range(1, 20)]
    guest = run(99, "guest")
    one = host(slots=1)
    assert started(decide(*crowd, guest, capacity=one, served={SessionId("crowd"): 7})) == [99]
    served = {SessionId("crowd"): 7, SessionId("guest"): 8}
    assert started(decide(*crowd, guest, capacity=one, served=served)) == [1]


def test_who_has_just_been_served_is_behind_others_with_the_same_share() -> None:
    decision = decide(
        run(1, "new"),
        run(2, "new"),
        run(9, "old"),
        capacity=host(slots=3),
        holdings=(active(90, "old"),),
        served={SessionId("old"): 5},
    )
    assert started(decision) == [1, 9]


def test_nobody_starts_beyond_the_slots_and_the_reason_says_so() -> None:
    first, second, third = run(1), run(2), run(3)
    decision = decide(first, second, third, capacity=host(slots=2), holdings=(active(90, "b"),))
    assert started(decision) == [1]
    assert words(decision, second) == "waits for a free slot: all 2 are used"
    assert reason(decision, third) == Turn(0)


def test_more_active_runs_than_slots_start_nothing() -> None:
    decision = decide(run(1), capacity=host(slots=1), holdings=(active(90), active(91)))
    assert started(decision) == []


def test_devices_are_disjoint_and_each_goes_to_one_run() -> None:
    waiting = [run(n, gpus=1) for n in range(1, 6)]
    decision = decide(*waiting, capacity=host(slots=9, gpus=3))
    assert [start.gpus for start in decision.starts] == [("GPU-00",), ("GPU-11",), ("GPU-22",)]
    holders = "run_000000000001, which starts now"
    assert words(decision, waiting[3]).startswith(
        f"waits for 1 GPU; GPU 0 is held by {holders}; GPU 1"
    )


def test_a_run_that_does_not_say_gets_the_default_of_the_host() -> None:
    plain, none = run(1), run(2, gpus=0)
    decision = decide(plain, none, capacity=host(gpus=2), default_gpus=1)
    assert [start.gpus for start in decision.starts] == [("GPU-00",), ()]


def test_who_waits_for_a_device_is_told_who_holds_it() -> None:
    waiting = run(5, gpus=1)
    holder = active(7, "b", ("GPU-00",))
    decision = decide(waiting, capacity=host(gpus=1), holdings=(holder,))
    assert words(decision, waiting) == (
        "waits for 1 GPU; run_000000000007 holds GPU 0 since 22:13 UTC"
    )


def test_a_strangers_device_is_never_handed_out_and_the_stranger_is_named() -> None:
    stranger = "pid 4211 (python, alice)"
    devices = (device(0), device(1, held_by=stranger))
    two, one, pinned = run(1, gpus=2), run(2, gpus=1), run(3, pins=("1",))
    decision = decide(two, one, pinned, capacity=host(devices=devices))
    assert [start.gpus for start in decision.starts] == [("GPU-00",)]
    assert started(decision) == [2]
    assert words(decision, pinned) == f"waits for GPU 1, held by {stranger}"
    assert f"GPU 1 is held by {stranger}" in words(decision, two)


def test_a_free_device_is_taken_although_a_stranger_has_one_that_comes_before_it() -> None:
    devices = (device(0, held_by="pid 4211 (python, alice)"), device(1))
    decision = decide(run(1, gpus=1), capacity=host(devices=devices))
    assert [start.gpus for start in decision.starts] == [("GPU-11",)]


def test_pins_take_exactly_those_devices_by_index_or_uuid() -> None:
    devices = host(slots=9, gpus=4)
    by_index, by_uuid, by_prefix = run(1, pins=("2",)), run(2, pins=("GPU-33", "GPU-11")), None
    decision = decide(by_index, by_uuid, capacity=devices)
    assert [start.gpus for start in decision.starts] == [("GPU-22",), ("GPU-11", "GPU-33")]
    by_prefix = run(3, pins=("GPU-0",))
    assert decide(by_prefix, capacity=devices).starts[0].gpus == ("GPU-00",)


def test_a_pinned_device_that_is_leased_is_waited_for_and_others_are_not_taken() -> None:
    pinned, other = run(1, pins=("0",)), run(2, gpus=1)
    decision = decide(pinned, other, capacity=host(gpus=2), holdings=(active(7, "b", ("GPU-00",)),))
    assert [start.gpus for start in decision.starts] == [("GPU-11",)]
    assert words(decision, pinned) == "waits for GPU 0, held by run_000000000007 since 22:13 UTC"


def test_a_device_must_have_the_memory_that_is_asked_for() -> None:
    small, large = device(0), replace(device(1), memory_mb=80_000)
    capacity = host(devices=(small, large))
    asks, plain = run(1, gpus=1, gpu_memory_mb=40_000), run(2, gpus=1)
    decision = decide(asks, plain, capacity=capacity)
    assert [start.gpus for start in decision.starts] == [("GPU-11",), ("GPU-00",)]
    assert decide(plain, capacity=capacity).starts[0].gpus == ("GPU-00",)  # the smallest that does
    unknown = host(devices=(replace(small, memory_mb=0),))
    assert started(decide(asks, capacity=unknown)) == [1]


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({"gpus": 3}, "asks for 3 GPUs, this host has 2: it can never start here"),
        ({"pins": ("7",)}, "asks for GPU 7, this host has GPUs 0, 1: it can never start here"),
        (
            {"gpus": 1, "gpu_memory_mb": 80_000},
            (
                "asks for 1 GPU with 80000 MB, this host has none that large, the largest has "
                "16000 MB: it can never start here"
            ),
        ),
        (
            {"pins": ("0",), "gpu_memory_mb": 80_000},
            (
                "asks for 1 GPU with 80000 MB, this host has none that large, the largest has "
                "16000 MB: it can never start here"
            ),
        ),
        ({"cpus": 17}, "asks for 17 CPUs, this host has 16: it can never start here"),
        (
            {"memory_mb": 64_001},
            "asks for 64001 MB of memory, this host has 64000 MB: it can never start here",
        ),
    ],
)
def test_what_no_end_of_a_run_makes_room_for_says_so_and_holds_up_nobody(
    asks: dict[str, Any], said: str
) -> None:
    large, small = run(1, **asks), run(2)
    decision = decide(large, small, capacity=host(gpus=2), default_gpus=1)
    assert started(decision) == [2]
    assert words(decision, large) == said


def test_a_device_that_is_named_and_too_small_is_said_although_another_is_large_enough() -> None:
    devices = (device(0), replace(device(1), memory_mb=40_000))
    named = run(1, pins=("0",), gpu_memory_mb=32_000)
    decision = decide(named, capacity=host(devices=devices))
    assert isinstance(reason(decision, named), Impossible)


def test_on_a_host_without_gpus_a_run_that_asks_for_one_is_told_clearly() -> None:
    waiting = run(1, gpus=1)
    decision = decide(waiting)
    assert words(decision, waiting) == (
        "asks for 1 GPU, this host has none: it can never start here"
    )
    pinned = run(1, pins=("0",))
    assert "this host has none" in words(decide(pinned), pinned)
    assert isinstance(reason(decision, waiting), Impossible)


def test_cpus_and_memory_count_where_they_were_asked_for() -> None:
    capacity = host(slots=9)
    hungry, wide, plain = run(1, memory_mb=60_000), run(2, cpus=12), run(3)
    busy = active(90, "b", demands=Demands(cpus=8, memory_mb=8_000))
    decision = decide(hungry, wide, plain, capacity=capacity, holdings=(busy, active(91, "b")))
    assert started(decision) == [3]
    assert reason(decision, hungry) == ForMemory(60_000, 56_000, 64_000)
    assert reason(decision, wide) == ForCpus(12, 8, 16)
    assert words(decision, hungry) == ("waits for 60000 MB of memory: 56000 of 64000 MB are free")
    assert words(decision, wide) == "waits for 12 CPUs: 8 of 16 are free"
    nobody_knows = replace(capacity, memory_mb=0)
    assert started(decide(run(1, memory_mb=10**6), capacity=nobody_knows)) == [1]


def test_a_large_run_keeps_what_it_needs_and_who_needs_none_of_it_passes() -> None:
    large, small, plain = run(1, gpus=2), run(2, gpus=1), run(3, gpus=0)
    holdings = (active(90, "b", ("GPU-00",)),)
    decision = decide(large, small, plain, capacity=host(slots=9, gpus=2), holdings=holdings)
    assert started(decision) == [3]
    assert reason(decision, small) == Turn(0)
    assert isinstance(reason(decision, large), ForDevices)


def test_only_the_first_that_lacks_something_has_the_rest_set_aside() -> None:
    """Else a long queue for the one GPU would hold every core idle, too."""
    for_gpu = [run(n, gpus=1, cpus=4) for n in range(1, 9)]
    for_cores = run(20, gpus=0, cpus=4)
    busy = active(90, "b", ("GPU-00",), demands=Demands(cpus=4))
    decision = decide(*for_gpu, for_cores, capacity=host(slots=9, gpus=1), holdings=(busy,))
    assert started(decision) == [20]


def test_what_waits_for_a_stranger_keeps_nothing_from_others() -> None:
    devices = (device(0), device(1, held_by="pid 1"))
    decision = decide(run(1, gpus=2), run(2, gpus=1), capacity=host(devices=devices))
    assert started(decision) == [2]


def test_a_sweep_runs_at_most_so_many_at_a_time_counting_those_that_run() -> None:
    own = [run(n, sweep=SWEEP) for n in range(1, 5)]
    decision = decide(
        *own,
        run(9),
        capacity=host(slots=9),
        holdings=(active(90, sweep=SWEEP),),
        parallel={SWEEP: 2},
    )
    assert started(decision) == [1, 9]
    assert words(decision, own[1]) == f"sweep {SWEEP} runs at most 2 at a time"
    assert reason(decision, own[1]) == SweepLimit(SWEEP, 2)


def test_what_is_held_up_is_left_alone_and_holds_up_nobody() -> None:
    waiting = replace(run(1, gpus=1), held_up=Drained("maintenance"))
    decision = decide(waiting, run(2, gpus=1), capacity=host(gpus=1))
    assert started(decision) == [2]
    assert words(decision, waiting) == "the server is drained: maintenance"


def test_the_same_question_has_the_same_answer_in_whatever_order_it_is_put() -> None:
    waiting = [run(1, "a", gpus=2), run(2, "b", gpus=1), run(3, "a"), run(4, "b", priority=2)]
    capacity = host(slots=3, gpus=2)
    answers = [decide(*those, capacity=capacity) for those in itertools.permutations(waiting)]
    assert all(answer.starts == answers[0].starts for answer in answers)
    assert all(answer.waits == answers[0].waits for answer in answers)


def test_a_large_run_is_not_passed_for_ever_by_a_session_whose_share_falls_at_each_end() -> None:
    """`a` has a long run, so the share of `b` is smaller whenever one of its runs has ended."""
    large = run(1, "a", gpus=2)
    small = (run(number, "b", gpus=1) for number in itertools.count(10))
    capacity, long = host(slots=4, gpus=2), active(90, "a")
    passed: dict[RunId, int] = {}
    for round_number in range(MOST_PASSES * 2 + 2):
        decision = decide(large, next(small), capacity=capacity, holdings=(long,), passed=passed)
        if started(decision) == [1]:
            assert round_number > 0
            return
        passed = dict(decision.passed)
    pytest.fail("never started")


def test_who_was_passed_too_often_is_first_and_the_count_ends_with_its_start() -> None:
    waiting, others = run(1, "a"), [run(n, "b") for n in range(10, 20)]
    one = host(slots=1)
    holdings: tuple[Holding, ...] = ()
    served = {SessionId("a"): 5}
    decision = decide(waiting, *others, capacity=one, holdings=holdings, served=served)
    assert started(decision) == [10]
    assert decision.passed == {waiting.run: 1}
    overdue = {waiting.run: MOST_PASSES * 2}
    decision = decide(waiting, *others, capacity=one, served=served, passed=overdue)
    assert started(decision) == [1]
    assert waiting.run not in decision.passed


@pytest.mark.parametrize("asks", [{"pins": ("0",)}, {"gpu_memory_mb": 32_000}], ids=str)
def test_a_run_is_not_passed_for_ever_while_an_older_one_of_its_session_waits_for_another_device(
    asks: dict[str, Any],
) -> None:
    large = replace(device(0), memory_mb=40_000)
    capacity = host(slots=8, devices=(large, device(1), device(2), device(3)))
    long = (
        active(90, "long", ("GPU-00",)),
        active(91, "large", ("GPU-22",)),
        active(92, "large", ("GPU-33",)),
    )
    first, second = run(1, "large", **{"gpus": 1, **asks}), run(2, "large", gpus=1)
    passed: Mapping[RunId, int] = {}
    for number in itertools.count(10):
        small = (run(number, "small", gpus=1), run(number + 1, "small", gpus=1))
        served = {SessionId("large"): 5, SessionId("small"): number}
        decision = decide(
            first, second, *small, capacity=capacity, holdings=long, served=served, passed=passed
        )
        if second.run in {start.run for start in decision.starts}:
            break
        passed = decision.passed
        assert number < 10 + 3 * MOST_PASSES, passed


def test_a_start_on_a_device_that_it_could_not_have_passes_nobody() -> None:
    waiting, other = run(1, "a", pins=("0",)), run(2, "b", pins=("1",))
    decision = decide(
        waiting,
        other,
        capacity=host(gpus=2),
        holdings=(active(90, "a", ("GPU-00",)),),
        served={SessionId("a"): 5},
    )
    assert (started(decision), decision.passed) == ([2], {})


def test_of_devices_that_would_do_the_smallest_is_handed_out() -> None:
    devices = (replace(device(0), memory_mb=80_000), device(1))
    decision = decide(run(1, gpus=1), capacity=host(devices=devices))
    assert [start.gpus for start in decision.starts] == [("GPU-11",)]
