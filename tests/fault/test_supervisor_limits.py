"""Time limits, and out of memory, by real processes: every end has its true name."""

import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.execution.backend import Exited, Handle
from tallystick.execution.local import LocalBackend
from tallystick.supervisor.limits import Host
from tallystick.testing.contract.backend import Rig, journal_of, wait_for
from tallystick.wire.observation import CommandStarted, Described, Ended, SupervisorStarted
from tests.fault.test_supervisor_stop import DETACHING_TREE, processes_of

LIMIT_SECONDS = 0.7
FAILS_ON_ITS_GPU = (
    "echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB'; echo bye; "
)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    (tmp_path / "tree.py").write_text(textwrap.dedent(DETACHING_TREE))
    yield Rig(backend, tmp_path)
    backend.close()


def submit(rig: Rig, command: str, **fields: object) -> Handle:
    return rig.submit(command, **{"timeout_seconds": LIMIT_SECONDS, "grace_seconds": 0.3, **fields})


def ran_for_ms(handle: Handle) -> int:
    records = journal_of(handle)
    started = next(record for record in records if isinstance(record, CommandStarted))
    return records[-1].at - started.at


def allows_groups() -> bool:
    """Whether this host lets us make a cgroup that limits memory."""
    try:
        group = Host().make_group(f"probe-{os.getpid()}", 64 * 1024 * 1024)
    except OSError:
        return False
    group.remove()
    return True


class TestTime:
    def test_a_run_over_its_time_is_ended_and_says_so(self, rig: Rig) -> None:
        handle = submit(rig, "echo working; sleep 600")
        ended = rig.ended(handle)
        assert (ended.cause, ended.signal, ended.killed) == ("timed_out", signal.SIGTERM, 0)
        assert ended.detail == "0.7 s had passed\nworking"
        assert ran_for_ms(handle) >= LIMIT_SECONDS * 1000 - 50

    def test_a_run_that_ends_in_time_is_left_alone(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, "exit 3", timeout_seconds=60.0))
        assert (ended.cause, ended.exit_code) == ("exited", 3)

    def test_detached_processes_that_ignore_term_are_dead_when_the_time_is_over(
        self, rig: Rig
    ) -> None:
        pids = rig.root / "pids"
        handle = submit(
            rig,
            f"python3 tree.py {pids} & setsid nohup python3 tree.py {pids} & "
            "trap '' TERM; sleep 600 & wait",
            timeout_seconds=1.5,
        )
        ended = rig.ended(handle)
        assert ended.cause == "timed_out"
        assert ended.killed >= 1
        assert processes_of(handle) == []

    def test_a_command_that_hears_term_and_succeeds_was_still_over_its_time(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, "trap 'echo saved; exit 0' TERM; sleep 600 & wait"))
        assert (ended.cause, ended.exit_code) == ("timed_out", 0)

    def test_a_stop_that_came_first_stays_a_stop(self, rig: Rig) -> None:
        handle = submit(
            rig, "trap '' TERM; echo up; while :; do sleep 0.1; done", timeout_seconds=1.0
        )
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=2.0)
        assert rig.ended(handle).cause == "stop"
        assert ran_for_ms(handle) > 1_000  # the limit passed meanwhile

    def test_a_stop_after_the_time_can_only_shorten_the_grace(self, rig: Rig) -> None:
        handle = submit(
            rig, "trap 'echo asked' TERM; while :; do sleep 0.1; done", grace_seconds=600.0
        )
        rig.started(handle)  # printed when it was asked for the first time
        rig.backend.cancel(handle, grace_seconds=0.0)
        assert rig.ended(handle).cause == "timed_out"

    def test_output_held_open_after_exit_0_keeps_no_run_open(self, rig: Rig) -> None:
        handle = submit(
            rig,
            "(trap '' TERM HUP; exec sleep 600) & exit 0",
            timeout_seconds=60.0,
            leftover_seconds=0.2,
        )
        ended = rig.ended(handle)
        assert (ended.cause, ended.exit_code, ended.leftover, ended.killed) == ("exited", 0, 1, 1)
        assert processes_of(handle) == []

    def test_a_limit_of_centuries_is_one(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, "true", timeout_seconds=1e12))
        assert (ended.cause, ended.exit_code) == ("exited", 0)

    def test_the_supervisor_killed_while_it_ends_an_overdue_run_leaves_no_process(
        self, rig: Rig
    ) -> None:
        handle = submit(
            rig, "trap 'echo asked' TERM; while :; do sleep 0.1; done", grace_seconds=600.0
        )
        rig.started(handle)
        first = journal_of(handle)[0]
        assert isinstance(first, SupervisorStarted)
        os.kill(first.pid, signal.SIGKILL)
        wait_for(lambda: type(rig.see(handle)).__name__ == "Unsupervised", what="its loss")
        rig.backend.cancel(handle, grace_seconds=0.0)
        seen = wait_for(lambda: type(rig.see(handle)).__name__ != "Unsupervised", what="its end")
        assert seen
        assert (
            rig.see(handle) == Exited(signal=signal.SIGKILL, observations=journal_of(handle))
            or type(rig.see(handle)).__name__ == "Gone"
        )
        assert processes_of(handle) == []


class TestMemory:
    def test_a_failure_that_names_the_gpus_memory_is_out_of_memory(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, FAILS_ON_ITS_GPU + "exit 1"))
        assert (ended.cause, ended.code) == ("out_of_memory", "cuda_out_of_memory")
        assert ended.exit_code == 1
        assert ended.detail is not None
        assert ended.detail.startswith("torch.OutOfMemoryError: CUDA out of memory.")

    def test_a_success_that_names_it_is_a_success(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, FAILS_ON_ITS_GPU + "exit 0"))
        assert (ended.cause, ended.code, ended.detail) == ("exited", None, None)

    def test_a_stop_is_no_memory_that_was_exhausted(self, rig: Rig) -> None:
        handle = submit(rig, FAILS_ON_ITS_GPU + "sleep 600", timeout_seconds=None)
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=1.0)
        assert rig.ended(handle).cause == "stop"

    def test_a_kill_by_a_stranger_is_a_signal(self, rig: Rig) -> None:
        ended = rig.ended(submit(rig, "kill -9 $$"))
        assert (ended.cause, ended.signal, ended.code) == ("exited", signal.SIGKILL, None)

    def test_a_run_over_its_limit_is_killed_by_the_kernel_or_says_that_nothing_limits_it(
        self, rig: Rig
    ) -> None:
        """The first wherever a cgroup can be made, as by root; asked of the host itself."""
        held = allows_groups()
        eater = "python3 -c 'x = bytearray(512 * 1024 * 1024)' && echo survived"
        handle = submit(
            rig,
            f"(setsid sleep 600 &); {eater}",
            timeout_seconds=None,
            memory_bytes=64 * 1024 * 1024,
            leftover_seconds=0.2,
        )
        ended = rig.ended(handle)
        assert isinstance(ended, Ended)
        (described,) = [one for one in journal_of(handle) if isinstance(one, Described)]
        if held:
            assert (ended.cause, ended.code) == ("out_of_memory", "kernel_out_of_memory")
            assert ended.detail is not None
            assert ended.detail.startswith("its limit of 64 MiB was reached")
            assert described.limit_missing is None
        else:
            assert ended.cause == "exited"
            assert described.limit_missing is not None
            assert "64 MiB of memory is not enforced" in described.limit_missing
        assert ("survived" in rig.output(handle)) is not held
        assert processes_of(handle) == []
