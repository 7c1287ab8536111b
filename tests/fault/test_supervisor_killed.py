"""Supervisor, command, launcher and host are taken away while a run is under way."""

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.execution.backend import (
    Exited,
    Gone,
    Handle,
    NotStarted,
    Recorded,
    Sighting,
    Supervised,
    Unsupervised,
)
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import Rig, handle_of, journal_of, wait_for
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.journal import line
from tallystick.wire.observation import CommandStarted, Observation, SupervisorStarted

KERNEL = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
KERNEL_TELLS = KERNEL >= (6, 15)
"""PIDFD_GET_INFO answers with the exit status of a process that is no child of ours."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Rig]:
    """What the next server process has: another backend, no memory."""
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


def supervisor_of(handle: Handle) -> int:
    first = wait_for(lambda: journal_of(handle), what="a journal")[0]
    assert isinstance(first, SupervisorStarted)
    return first.pid


def command_of(handle: Handle) -> int:
    def started() -> int | None:
        records = journal_of(handle)
        return next((r.pid for r in records if isinstance(r, CommandStarted)), None)

    return wait_for(started, what="command_started")


def written(handle: Handle, record: Observation) -> bytes:
    return line(record, attempt=handle.attempt, key=handle.journal_key)


def kill_supervisor(rig: Rig, handle: Handle) -> None:
    rig.started(handle)
    command_of(handle)
    assert isinstance(rig.see(handle), Supervised)  # the backend has seen it: it keeps a pidfd
    os.kill(supervisor_of(handle), signal.SIGKILL)
    wait_for(lambda: not isinstance(rig.see(handle), Supervised), what="the supervisor's end")


def final(rig: Rig, handle: Handle) -> Recorded | Exited | Gone:
    wait_for(lambda: isinstance(rig.see(handle), Recorded | Exited | Gone), what="an end")
    last = rig.see(handle)
    assert isinstance(last, Recorded | Exited | Gone)  # an end is final
    return last


def gate(rig: Rig, name: str = "go") -> tuple[str, Path]:
    """Shell text that waits until a test creates the file, and the file."""
    path = rig.root / name
    return f"while [ ! -e '{path}' ]; do sleep 0.02; done", path


def expect_exit(sighting: Sighting, **outcome: int) -> None:
    if KERNEL_TELLS:
        assert isinstance(sighting, Exited)
        assert (sighting.exit_code, sighting.signal) == (
            outcome.get("exit_code"),
            outcome.get("signal"),
        )
    else:
        assert isinstance(sighting, Gone)
        assert sighting.reason == "supervisor killed"


class TestSupervisorKilled:
    def test_the_command_goes_on_and_its_true_status_is_told(self, rig: Rig) -> None:
        wait, go = gate(rig)
        handle = rig.submit(f"echo up; {wait}; echo more; exit 37")
        kill_supervisor(rig, handle)
        alone = rig.see(handle)
        assert isinstance(alone, Unsupervised)
        assert command_of(handle) in alone.pids
        assert isinstance(alone.observations[0], SupervisorStarted)
        go.touch()
        expect_exit(final(rig, handle), exit_code=37)
        assert rig.output(handle) == "up\nmore\n"
        assert final(rig, handle) == final(rig, handle)

    def test_a_death_by_signal_is_told_as_one(self, rig: Rig) -> None:
        handle = rig.submit("echo up; sleep 60")
        kill_supervisor(rig, handle)
        alone = rig.see(handle)
        assert isinstance(alone, Unsupervised)
        for pid in alone.pids:
            os.kill(pid, signal.SIGKILL)
        expect_exit(final(rig, handle), signal=9)

    def test_a_restarted_server_that_finds_the_command_alive_learns_its_status(
        self, rig: Rig, restarted: Rig
    ) -> None:
        wait, go = gate(rig)
        handle = rig.submit(f"echo up; {wait}; exit 5")
        kill_supervisor(rig, handle)
        assert isinstance(restarted.see(handle), Unsupervised)
        go.touch()
        expect_exit(final(restarted, handle), exit_code=5)

    def test_a_server_that_comes_too_late_does_not_guess(self, rig: Rig, restarted: Rig) -> None:
        wait, go = gate(rig)
        handle = rig.submit(f"echo up; {wait}; exit 5")
        kill_supervisor(rig, handle)
        go.touch()
        final(rig, handle)
        wait_for(lambda: not Path(f"/proc/{command_of(handle)}").exists(), what="a reaped command")
        gone = restarted.see(handle)
        assert isinstance(gone, Gone)
        assert gone.reason == "supervisor killed"
        assert [type(r) for r in gone.observations[:2]] == [SupervisorStarted, CommandStarted]

    def test_a_cancel_ends_every_process_all_the_same(self, rig: Rig) -> None:
        ignoring = "trap '' TERM; while :; do sleep 0.05; done"
        handle = rig.submit(f'setsid nohup bash -c "{ignoring}" & echo up; sleep 60')
        kill_supervisor(rig, handle)
        rig.backend.cancel(handle, grace_seconds=1.0)
        expect_exit(final(rig, handle), signal=15)

    def test_what_outlives_an_unsupervised_command_is_ended(self, rig: Rig) -> None:
        wait, go = gate(rig)
        handle = rig.submit(f"setsid sleep 600 & echo up $!; {wait}; exit 0")
        kill_supervisor(rig, handle)
        left = int(rig.output(handle).split()[1])
        go.touch()
        expect_exit(final(rig, handle), exit_code=0)
        assert not _lives(left)

    def test_submitting_again_executes_nothing(self, rig: Rig, restarted: Rig) -> None:
        submission = rig.prepare("echo up; sleep 60")
        handle = handle_of(submission, rig.backend.submit(submission))
        kill_supervisor(rig, handle)
        rig.backend.cancel(handle, grace_seconds=0)
        final(rig, handle)
        assert restarted.backend.submit(submission) == handle.native
        assert isinstance(restarted.see(handle), Gone | Exited)
        assert rig.output(handle) == "up\n"

    def test_the_server_is_woken(self, rig: Rig) -> None:
        woken = threading.Event()
        rig.backend.watch(woken.set)
        handle = rig.submit("echo up; sleep 60")
        rig.started(handle)
        rig.see(handle)
        woken.clear()
        os.kill(supervisor_of(handle), signal.SIGKILL)
        assert woken.wait(10)
        rig.backend.cancel(handle, grace_seconds=0)
        final(rig, handle)


class TestLauncherKilled:
    def test_runs_go_on_and_the_next_one_starts(self, rig: Rig) -> None:
        backend = rig.backend
        assert isinstance(backend, LocalBackend)
        wait, go = gate(rig)
        first = rig.submit(f"echo up; {wait}; exit 6")
        rig.started(first)
        assert backend.launcher_pid is not None
        os.kill(backend.launcher_pid, signal.SIGKILL)
        second = rig.submit("exit 8")
        assert rig.ended(second).exit_code == 8
        assert isinstance(rig.see(first), Supervised)
        go.touch()
        assert rig.ended(first).exit_code == 6

    def test_the_launcher_goes_with_its_server_and_supervisors_stay(self, rig: Rig) -> None:
        backend = LocalBackend()
        server = Rig(backend, rig.root / "server")
        server.root.mkdir()
        wait, go = gate(rig)
        handle = server.submit(f"echo up; {wait}; exit 6")
        server.started(handle)
        launcher = backend.launcher_pid
        backend.close()
        wait_for(lambda: not _lives(launcher or 0), what="the launcher's end")
        assert isinstance(rig.see(handle), Supervised)
        go.touch()
        assert rig.ended(handle).exit_code == 6

    def test_supervisors_leave_no_zombies(self, rig: Rig) -> None:
        backend = rig.backend
        assert isinstance(backend, LocalBackend)
        for _ in range(3):
            rig.ended(rig.submit("true"))
        children = Path(f"/proc/{backend.launcher_pid}/task/{backend.launcher_pid}/children")
        wait_for(lambda: not children.read_text().strip(), what="reaped supervisors")


class TestHostRebooted:
    def test_a_journal_of_another_boot_means_that_everything_is_gone(
        self, rig: Rig, restarted: Rig
    ) -> None:
        handle = rig.submit("echo up; sleep 60")
        kill_supervisor(rig, handle)
        path = handle.directory / JOURNAL_FILE
        first, *rest = journal_of(handle)
        assert isinstance(first, SupervisorStarted)
        first = replace(first, boot_id="00000000-0000-0000-0000-000000000000")
        path.write_bytes(b"".join(written(handle, record) for record in (first, *rest)))
        gone = restarted.see(handle)
        assert isinstance(gone, Gone)
        assert gone.reason == "host rebooted"
        restarted.backend.cancel(handle, grace_seconds=0)  # signals nobody: pids mean nothing now
        assert _lives(command_of(handle))
        os.killpg(command_of(handle), signal.SIGKILL)

    def test_a_pid_that_was_given_to_another_process_is_not_signalled(
        self, rig: Rig, restarted: Rig
    ) -> None:
        handle = rig.submit("echo up; sleep 60")
        kill_supervisor(rig, handle)
        command = command_of(handle)
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
            records = journal_of(handle)
            text = b"".join(
                written(handle, replace(record, pid=stranger.pid))
                if isinstance(record, SupervisorStarted | CommandStarted)
                else written(handle, record)
                for record in records
            )
            (handle.directory / JOURNAL_FILE).write_bytes(text)
            restarted.backend.cancel(handle, grace_seconds=0)
            wait_for(lambda: not _lives(command), what="the end of the attempt's own process")
            assert stranger.poll() is None
            stranger.kill()


DYING_SUPERVISOR = """
import os, signal, sys
from pathlib import Path
from tallystick.supervisor import journal, supervisor
steps = int(sys.argv[2])
note = journal.Journal.note
def dying(self, *drafts):
    global steps
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    steps -= 1
    return note(self, *drafts)
journal.Journal.note = dying
supervisor.supervise(Path(sys.argv[1]), token="delivery-token")
"""


@pytest.mark.parametrize("steps", range(7))
def test_killed_before_any_record_the_attempt_is_executed_at_most_once(
    rig: Rig, steps: int
) -> None:
    """Before supervisor_started, command_started, described, command_exited, seal, end; never."""
    submission = rig.prepare("echo ran", workdir=str(rig.root))
    program = [sys.executable, "-c", DYING_SUPERVISOR, str(submission.directory), str(steps)]
    died = subprocess.run(program, check=False, timeout=60).returncode
    assert died == (-signal.SIGKILL if steps < 6 else 0)
    handle = handle_of(submission, "")  # the same token as the one that died
    first = rig.see(handle)
    if steps == 0:
        assert first == NotStarted()
    rig.backend.submit(submission)
    last = final(rig, handle)
    output = handle.directory / "output.log"
    printed = output.read_text() if output.exists() else ""
    if steps == 1:  # let execute, not written down: the kernel's word, or nobody's
        assert isinstance(last, Gone | Exited)
        assert not isinstance(last, Exited) or last.exit_code == 0
    assert printed == "ran\n"
    if steps in {4, 5}:
        assert isinstance(last, Exited)
        assert last.exit_code == 0  # wait had told, and the journal has it


def test_a_torn_first_record_is_as_good_as_none(rig: Rig) -> None:
    submission = rig.prepare("echo ran")
    (submission.directory / JOURNAL_FILE).write_bytes(b'{"n":1,"at":17')
    handle = handle_of(submission, "")
    assert rig.see(handle) == NotStarted()
    rig.backend.submit(submission)
    assert rig.ended(handle).exit_code == 0
    assert rig.output(handle) == "ran\n"


def _lives(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX"
