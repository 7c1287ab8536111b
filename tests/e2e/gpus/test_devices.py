"""What is known of the GPUs of a host: NVIDIA's own binding, over a library that tests command."""

import os
import pwd
import signal
from pathlib import Path

from tallystick import proc
from tallystick.testing.server import eventually
from tests.e2e.gpus.conftest import Read
from tests.e2e.gpus.fake import GIB, FakeCard, FakeNvml, before_others, stranger, uuid

UNKNOWN, NOT_LOADED, MISMATCH, GPU_IS_LOST, NO_PERMISSION, NOT_SUPPORTED = 999, 9, 18, 15, 4, 3
"""Error codes of NVML."""


def parent_of(pid: int) -> int:
    fields = proc.stat_fields(pid)
    assert fields is not None
    return int(fields[1])


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def test_cards_are_counted_and_described(read: Read, nvml: FakeNvml) -> None:
    nvml.cards = [FakeCard("NVIDIA A100", 40 * GIB), FakeCard("NVIDIA H200", 141 * GIB)]
    nvml.write()
    assert read().devices() == [
        {"id": uuid(0), "index": 0, "name": "NVIDIA A100", "memory_mb": 40_960, "held_by": None},
        {"id": uuid(1), "index": 1, "name": "NVIDIA H200", "memory_mb": 144_384, "held_by": None},
    ]


def test_there_is_a_slot_for_each_card_and_for_each_cpu(read: Read, nvml: FakeNvml) -> None:
    cpus = len(os.sched_getaffinity(0))
    nvml.cards = [FakeCard()] * (cpus + 3)
    nvml.write()
    room = read().look()
    assert (room["slots"], room["cpus"]) == (cpus + 3, cpus)
    assert room["memory_mb"] > 0


def test_a_host_without_a_driver_has_no_devices_and_pays_for_nothing(
    read: Read, tmp_path: Path
) -> None:
    """An empty file in its place is the same on every host: nothing that can be loaded."""
    (tmp_path / "libnvidia-ml.so.1").touch()
    reading = read(environment={"LD_LIBRARY_PATH": before_others(tmp_path)})
    room = reading.look()
    assert (room["devices"], room["loaded"]) == ([], False)
    assert room["slots"] == room["cpus"]
    assert reading.call("log") == []


def test_a_library_without_a_driver_means_no_devices_too(read: Read, nvml: FakeNvml) -> None:
    nvml.failing["nvmlInit"] = NOT_LOADED
    nvml.write()
    reading = read()
    assert reading.devices() == []
    assert reading.call("log") == ["NVIDIA driver: Driver Not Loaded"]


def test_a_stranger_is_seen_and_named(read: Read, nvml: FakeNvml) -> None:
    with stranger() as pid:
        nvml.uses = [(2, pid, 31 * GIB)]
        nvml.write()
        held = f"pid {pid} (sleep, {me()}), which holds 31 GiB"
        assert read().held() == [None, None, held, None]


def test_strangers_are_told_the_largest_first_and_not_without_end(
    read: Read, nvml: FakeNvml
) -> None:
    """Those that cannot be seen from here (another container's, say) count as well."""
    nvml.uses = [(0, 4_000_000 + number, number * GIB // 2) for number in range(1, 5)]
    nvml.write()
    assert read().held()[0] == (
        "pid 4000004 (not visible from here), which holds 2 GiB; "
        "pid 4000003 (not visible from here), which holds 2 GiB; and 2 more"
    )


def test_small_and_unknown_amounts_have_words(read: Read, nvml: FakeNvml) -> None:
    nvml.uses = [(0, 4_000_001, 350 * 1024**2), (1, 4_000_002, 2**64 - 1)]
    nvml.write()
    assert read().held()[:2] == [
        "pid 4000001 (not visible from here), which holds 350 MiB",
        "pid 4000002 (not visible from here), which holds memory of it",
    ]


def test_a_run_of_ours_on_the_card_that_it_leases_is_no_stranger(
    read: Read, nvml: FakeNvml
) -> None:
    """Nor is what descends from it; on any other card it is one."""
    reading = read()
    command = "sleep 60 & echo $$ $!; wait"
    attempt, pids = reading.call("submit", [command, {"CUDA_VISIBLE_DEVICES": uuid(1)}])
    nvml.uses = [(card, int(pid), GIB) for card in (1, 2) for pid in pids]
    nvml.write()
    held = reading.held()
    assert (held[0], held[1], held[3]) == (None, None, None)
    assert f"pid {pids[0]} (bash, {me()}), which holds 1 GiB" in str(held[2])
    assert f"for {attempt}, without a lease" in str(held[2])


def test_a_run_that_was_told_nothing_of_devices_is_no_stranger_anywhere(
    read: Read, nvml: FakeNvml
) -> None:
    reading = read()
    _, pids = reading.call("submit", ["echo $$; exec sleep 60", {}])
    nvml.uses = [(card, int(pids[0]), GIB) for card in (0, 3)]
    nvml.write()
    assert reading.held() == [None] * 4


def test_a_process_is_known_by_its_descent_whatever_its_environment(
    read: Read, nvml: FakeNvml
) -> None:
    """And once the run is over and forgotten, what was left of it would be a stranger."""
    reading = read()
    command = "exec env -i /bin/sh -c 'echo $$; exec /bin/sleep 60'"
    _, pids = reading.call("submit", [command, {"CUDA_VISIBLE_DEVICES": uuid(1)}])
    nvml.uses = [(1, int(pids[0]), GIB)]
    nvml.write()
    assert reading.held() == [None] * 4
    reading.call("end")
    assert "not visible from here" in str(reading.held()[1])


def test_a_process_that_lost_its_supervisor_is_known_by_its_environment(
    read: Read, nvml: FakeNvml
) -> None:
    reading = read()
    command = "setsid sleep 60 & echo $PPID $$ $!; wait"
    _, pids = reading.call("submit", [command, {"CUDA_VISIBLE_DEVICES": uuid(1)}])
    supervisor, shell, left = map(int, pids)
    for pid in (supervisor, shell):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: parent_of(left) not in {supervisor, shell})
    nvml.uses = [(1, left, GIB)]
    nvml.write()
    assert reading.held() == [None] * 4


def test_an_answer_is_good_for_two_seconds(read: Read, nvml: FakeNvml) -> None:
    reading = read()
    assert len(reading.devices()) == 4
    nvml.uses = [(0, 4_000_000, GIB)]
    nvml.write()
    reading.call("advance", 1.9)
    assert reading.look()["devices"][0]["held_by"] is None
    reading.call("advance", 0.1)
    assert reading.look()["devices"][0]["held_by"] is not None


def test_a_driver_that_fails_keeps_its_devices_in_sight_and_out_of_use(
    read: Read, nvml: FakeNvml
) -> None:
    reading = read()
    before = reading.devices()
    nvml.failing["nvmlDeviceGetCount"] = MISMATCH
    nvml.write()
    for _ in range(3):
        after = reading.devices()
        assert [device["id"] for device in after] == [device["id"] for device in before]
        assert {device["held_by"] for device in after} == {
            "its driver, which does not answer: RM has detected an NVML/RM version mismatch."
        }
    nvml.failing.clear()
    nvml.write()
    assert reading.devices() == before
    assert reading.call("log") == [
        "NVIDIA driver: RM has detected an NVML/RM version mismatch.",
        "NVIDIA driver: all is well again",
    ]


def test_a_driver_that_is_broken_from_the_start_is_found_once_it_works(
    read: Read, nvml: FakeNvml
) -> None:
    nvml.failing["nvmlInit"] = UNKNOWN
    nvml.write()
    reading = read()
    assert reading.devices() == []
    nvml.failing.clear()
    nvml.write()
    assert len(reading.devices()) == 4


def test_a_card_that_fails_does_not_take_the_others_with_it(read: Read, nvml: FakeNvml) -> None:
    reading = read()
    assert reading.held() == [None] * 4
    nvml.cards[2] = FakeCard(error=GPU_IS_LOST)
    nvml.write()
    assert reading.held() == [
        None, None, "its driver, which does not answer: GPU is lost", None,
    ]  # fmt: skip
    assert reading.call("log") == ["NVIDIA driver: GPU 2: GPU is lost"]


def test_a_card_that_never_answered_is_left_out(read: Read, nvml: FakeNvml) -> None:
    nvml.cards[0] = FakeCard(error=UNKNOWN)
    nvml.write()
    assert [device["index"] for device in read().devices()] == [1, 2, 3]


def test_cards_that_vanish_are_gone_after_half_a_minute_and_come_back(
    read: Read, nvml: FakeNvml
) -> None:
    """NVML sees that its cards are others only when it is opened anew."""
    reading = read()
    assert reading.held() == [None] * 4
    nvml.cards = [FakeCard()] * 2
    nvml.write()
    lost = "its driver, which does not answer: GPU is lost"
    assert reading.held() == [None, None, lost, lost]
    reading.call("advance", 30)
    assert reading.held() == [None, None]
    nvml.cards = [FakeCard()] * 4
    nvml.failing["nvmlDeviceGetCount"] = UNKNOWN  # as when the driver is loaded anew
    nvml.write()
    assert len(reading.held()) == 2
    nvml.failing.clear()
    nvml.write()
    assert reading.held() == [None] * 4


def test_a_driver_that_hangs_holds_up_nobody_for_long(
    read: Read, nvml: FakeNvml, tmp_path: Path
) -> None:
    """A moment once, then not at all; after ten seconds without a word it is not used any more."""
    reading = read()
    before = reading.devices()
    nvml.hanging["nvmlDeviceGetName"] = tmp_path / "go"
    nvml.write()
    for _ in range(4):
        assert reading.devices() == before
    for _ in range(20):
        assert set(reading.held()) == {"its driver, which does not answer: no answer for 10 s"}
    (tmp_path / "go").touch()
    assert eventually(lambda: reading.devices() == before)


def test_what_a_driver_does_not_offer_is_not_asked_of_it(read: Read, nvml: FakeNvml) -> None:
    """Who uses a card is not told to everybody, and not in WSL: it can be used all the same."""
    nvml.uses = [(0, 4_000_000, GIB)]
    for error in (NO_PERMISSION, NOT_SUPPORTED):
        nvml.failing["nvmlDeviceGetComputeRunningProcesses"] = error
        nvml.write()
        reading = read()
        assert reading.held() == [None] * 4
        assert reading.call("log") == []


def test_a_driver_before_510_tells_its_processes_too(
    read: Read, nvml: FakeNvml, old_library: Path
) -> None:
    nvml.folder = old_library
    nvml.uses = [(0, 4_000_000, GIB)]
    nvml.write()
    assert read().held()[0] == "pid 4000000 (not visible from here), which holds 1 GiB"


def test_only_chosen_devices_are_handed_out(read: Read) -> None:
    for choice, indexes in {
        "all": [0, 1, 2, 3],
        "none": [],
        "1": [1],
        "3,0": [0, 3],
        uuid(2): [2],
        f"{uuid(2)[:14].upper()}, 3": [2, 3],
    }.items():
        assert [device["index"] for device in read(choice).devices()] == indexes


def test_a_choice_that_is_not_there_is_told_once(read: Read) -> None:
    reading = read("1,7")
    for _ in range(3):
        assert [device["index"] for device in reading.devices()] == [1]
    assert reading.call("log") == [
        "NVIDIA driver: no GPU of this host is 7, which execution.gpus names"
    ]
