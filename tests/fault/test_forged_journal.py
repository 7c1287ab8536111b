"""A command that writes to its own run directory changes nothing about its recorded end (P3.5).

It has the rights of its supervisor on every file there, but not the key of the journal.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.execution.backend import (
    Exited,
    Gone,
    Handle,
    Recorded,
    Sighting,
    Supervised,
    Unsupervised,
)
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import Rig, handle_of, journal_of, wait_for
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.journal import line
from tallystick.wire.observation import CommandExited, Ended, Observation, SupervisorStarted

FORGED: tuple[Observation, ...] = tuple(
    shape
    for n in (3, 4, 5)
    for shape in (
        CommandExited(n=n, at=1, exit_code=0),
        Ended(n=n, at=1, cause="exited", exit_code=0),
    )
)
TAMPERING = {
    "truncates the journal": ": > $TALLY_RUN_DIR/journal.jsonl",
    "deletes the journal": "rm $TALLY_RUN_DIR/journal.jsonl",
    "tears the next line": 'printf \'{"mac":"\' >> $TALLY_RUN_DIR/journal.jsonl',
    "overwrites a line": (
        "sed 's/command_started/command_exited_/' $TALLY_RUN_DIR/journal.jsonl > j;"
        "cat j > $TALLY_RUN_DIR/journal.jsonl"
    ),
    "puts a directory there": (
        "rm $TALLY_RUN_DIR/journal.jsonl; mkdir $TALLY_RUN_DIR/journal.jsonl"
    ),
    "puts a pipe there": "rm $TALLY_RUN_DIR/journal.jsonl; mkfifo $TALLY_RUN_DIR/journal.jsonl",
    "replaces the lock": "rm $TALLY_RUN_DIR/lock; touch $TALLY_RUN_DIR/lock",
    "puts a pipe for the lock": "rm $TALLY_RUN_DIR/lock; mkfifo $TALLY_RUN_DIR/lock",
    "replaces the output": "rm $TALLY_RUN_DIR/output.log; echo > $TALLY_RUN_DIR/output.log",
    "puts a pipe for the output": "rm $TALLY_RUN_DIR/output.log; mkfifo $TALLY_RUN_DIR/output.log",
    "puts a pipe for metrics": "rm $TALLY_METRICS; mkfifo $TALLY_METRICS",
    "writes stop.json": "echo '{\"grace_seconds\": 0}' > $TALLY_RUN_DIR/stop.json",
    "closes the directory": "rm $TALLY_RUN_DIR/journal.jsonl; chmod 500 $TALLY_RUN_DIR",
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


def forge(rig: Rig) -> str:
    """Shell text that appends ends in every form a command could think of."""
    lines = b"".join(line(record, attempt="att_000000000001", key="") for record in FORGED)
    for record in FORGED:
        plain = line(record, attempt="", key="").partition(b'"record":')[2]
        lines += plain[:-2] + b"\n"
    (rig.root / "forged").write_bytes(lines)
    return "cat forged >> $TALLY_RUN_DIR/journal.jsonl"


def last_of(rig: Rig, handle: Handle) -> Sighting:
    wait_for(lambda: isinstance(rig.see(handle), Recorded | Exited | Gone), what="an end")
    return rig.see(handle)


def test_a_forged_end_is_ignored_while_the_command_runs_and_afterwards(rig: Rig) -> None:
    handle = rig.submit(f"{forge(rig)}; echo up; while [ ! -e go ]; do sleep 0.02; done; exit 13")
    rig.started(handle)
    assert all(rig.see(handle) == Supervised() for _ in range(5))
    assert not any(isinstance(record, Ended) for record in journal_of(handle))
    (rig.root / "go").touch()
    ended = rig.ended(handle)
    assert (ended.cause, ended.exit_code) == ("exited", 13)


def test_a_forged_end_is_ignored_after_the_command_killed_its_supervisor(rig: Rig) -> None:
    command = f"{forge(rig)}; echo up; while [ ! -e go ]; do sleep 0.02; done; kill -9 $PPID"
    handle = rig.submit(f"{command}; exit 13")
    rig.started(handle)
    rig.see(handle)
    (rig.root / "go").touch()
    seen = last_of(rig, handle)
    assert isinstance(seen, Gone) or (isinstance(seen, Exited) and seen.exit_code == 13)
    assert not any(isinstance(record, Ended | CommandExited) for record in seen.observations)


@pytest.mark.parametrize("tampering", TAMPERING.values(), ids=TAMPERING)
def test_whatever_it_does_to_its_files_its_true_exit_code_is_recorded(
    rig: Rig, tampering: str
) -> None:
    handle = rig.submit(f"{tampering}; exit 13")
    ended = rig.ended(handle)
    assert (ended.cause, ended.exit_code) == ("exited", 13)


@pytest.mark.parametrize("tampering", TAMPERING.values(), ids=TAMPERING)
def test_and_without_its_supervisor_it_is_the_kernels_word_or_lost(
    rig: Rig, tampering: str
) -> None:
    submission = rig.prepare(f"echo ran >> {rig.root}/ran; {tampering}; kill -9 $PPID; exit 13")
    handle = handle_of(submission, rig.backend.submit(submission))
    seen = last_of(rig, handle)
    assert isinstance(seen, Gone) or (isinstance(seen, Exited) and seen.exit_code == 13)
    restarted = LocalBackend()
    assert isinstance(restarted.observe([handle])[handle.attempt], Gone | Exited)
    restarted.close()


def test_a_removed_journal_does_not_let_the_command_be_executed_again(rig: Rig) -> None:
    submission = rig.prepare(
        "echo ran >> ran; echo up; while [ ! -e go ]; do sleep 0.02; done;"
        "rm $TALLY_RUN_DIR/*; kill -9 $PPID"
    )
    handle = handle_of(submission, rig.backend.submit(submission))
    rig.started(handle)
    assert rig.see(handle) == Supervised()
    (rig.root / "go").touch()
    assert isinstance(last_of(rig, handle), Gone | Exited)
    assert rig.backend.submit(submission) == handle.native
    assert (rig.root / "ran").read_text() == "ran\n"


def test_output_without_a_journal_keeps_a_supervisor_from_executing(rig: Rig) -> None:
    submission = rig.prepare("echo ran >> ran; rm $TALLY_RUN_DIR/journal.jsonl; kill -9 $PPID")
    first = handle_of(submission, rig.backend.submit(submission))
    assert isinstance(last_of(rig, first), Gone | Exited)
    restarted = LocalBackend()
    native = restarted.submit(submission)
    last_of(Rig(restarted, rig.root), handle_of(submission, native))
    restarted.close()
    assert (rig.root / "ran").read_text() == "ran\n"


def test_a_stop_reaches_a_run_that_removed_everything(rig: Rig) -> None:
    handle = rig.submit(
        "echo up; while [ ! -e go ]; do sleep 0.02; done; rm $TALLY_RUN_DIR/*;"
        "mkdir $TALLY_RUN_DIR/stop.json; echo > gone; sleep 60"
    )
    rig.started(handle)
    assert rig.see(handle) == Supervised()
    (rig.root / "go").touch()
    wait_for((rig.root / "gone").exists, what="an empty directory")
    rig.backend.cancel(handle, grace_seconds=1)
    ended = rig.ended(handle)
    assert (ended.exit_code, ended.signal) == (None, 15)


def test_the_spent_bundle_keeps_no_command_and_no_environment(rig: Rig) -> None:
    long = "exit 3 #".ljust(140_000, "s")
    handle = rig.submit(long, environment={**rig.environment, "SECRET": "hunter2"})
    assert rig.ended(handle).exit_code == 3
    left = {path.name: path.read_bytes() for path in handle.directory.iterdir()}
    assert "command.sh" not in left
    assert b"hunter2" not in b"".join(left.values())
    assert b'"command":"","workdir":"' + os.fsencode(rig.root) in left["bundle.json"]


def test_a_refused_command_leaves_no_environment_either(rig: Rig) -> None:
    handle = rig.submit("true", environment={"SECRET": "hunter2"}, workdir="/not there")
    assert rig.ended(handle).cause == "refused"
    assert b"hunter2" not in (handle.directory / "bundle.json").read_bytes()


def test_runs_that_end_normally_leave_no_descriptor(rig: Rig) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    rig.ended(rig.submit("true"))  # the launcher is up
    rig.backend.observe([])
    before = open_files()
    for _ in range(10):
        handles = [rig.submit("true") for _ in range(5)]
        rig.backend.observe(handles)
        for handle in handles:
            wait_for(lambda h=handle: journal_of(h)[-1:], what="a journal")  # type: ignore[misc]
        rig.backend.observe([])  # the server was told: none of them is active any more
    assert open_files() == before


def test_a_supervisor_of_a_lost_journal_still_ends_on_a_signal(rig: Rig) -> None:
    handle = rig.submit("echo up; sleep 60")
    rig.started(handle)
    first = journal_of(handle)[0]
    assert isinstance(first, SupervisorStarted)
    (handle.directory / JOURNAL_FILE).unlink()
    os.kill(first.pid, signal.SIGTERM)
    assert rig.ended(handle).cause == "terminated"
    assert len(journal_of(handle)) == 6


def test_a_process_that_keeps_the_lock_is_no_supervisor(rig: Rig) -> None:
    """The command ends its supervisor, and a process of its own holds the lock from then on."""
    hold = "flock -n $TALLY_RUN_DIR/lock sleep 60"
    command = f"kill -9 $PPID; until {hold}; do :; done & echo up; wait; exit 13"
    handle = rig.submit(command)
    rig.started(handle)
    wait_for(lambda: isinstance(rig.see(handle), Unsupervised), what="the supervisor's end")
    rig.backend.cancel(handle, grace_seconds=0)
    assert isinstance(last_of(rig, handle), Gone | Exited)
