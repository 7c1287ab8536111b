"""A stop, and the end of a command, leave no process behind (P3.6)."""

import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.execution.backend import Handle
from tallystick.execution.bundle import write_stop
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import Rig, journal_of, wait_for
from tallystick.wire.bundle import StopRequest
from tallystick.wire.observation import SupervisorStarted

DETACHING_TREE = """
import os, signal, sys, time
def alive(name):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with open(sys.argv[1], "a") as out:
        out.write(f"{os.getpid()}\\n")
    while True:
        time.sleep(60)
def daemon(depth):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if depth:
                daemon(depth - 1)
            alive("daemon")
        os._exit(0)
    os.wait()
daemon(3)
alive("parent")
"""

FORKING_CHAIN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:                      # a new pid in well under a millisecond, the old one gone
    if os.fork():
        os._exit(0)
    os.setsid()
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    rig = Rig(backend, tmp_path)
    (tmp_path / "tree.py").write_text(textwrap.dedent(DETACHING_TREE))
    (tmp_path / "chain.py").write_text(textwrap.dedent(FORKING_CHAIN))
    yield rig
    backend.close()


def processes_of(handle: Handle) -> list[int]:
    mark = f"TALLY_RUN_DIR={handle.directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


class TestStop:
    def test_setsid_nohup_and_double_forked_processes_that_ignore_term_are_dead(
        self, rig: Rig
    ) -> None:
        pids = rig.root / "pids"
        handle = rig.submit(
            f"python3 tree.py {pids} & setsid nohup python3 tree.py {pids} & "
            "trap '' TERM; while :; do sleep 0.05; done"
        )
        wait_for(
            lambda: pids.exists() and len(pids.read_text().splitlines()) == 10, what="the tree"
        )
        rig.backend.cancel(handle, grace_seconds=0.3)
        ended = rig.ended(handle)
        assert (ended.cause, ended.signal) == ("stop", 9)
        assert ended.killed >= 11
        assert processes_of(handle) == []
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split())

    def test_a_chain_that_forks_and_exits_is_caught(self, rig: Rig) -> None:
        handle = rig.submit("python3 chain.py & wait; sleep 60")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=0.1)
        assert rig.ended(handle).cause == "stop"
        assert processes_of(handle) == []

    def test_a_process_that_was_stopped_hears_the_request(self, rig: Rig) -> None:
        handle = rig.submit("trap 'exit 4' TERM; echo up; kill -STOP $$; sleep 60 & wait")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=25)
        assert rig.ended(handle).exit_code == 4

    def test_a_second_request_can_shorten_the_grace(self, rig: Rig) -> None:
        handle = rig.submit("trap '' TERM; echo up; while :; do sleep 0.05; done")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=600)
        rig.backend.cancel(handle, grace_seconds=0.1)
        ended = rig.ended(handle)
        assert (ended.cause, ended.signal) == ("stop", 9)

    def test_a_signal_that_nobody_asked_for_is_no_requested_stop(self, rig: Rig) -> None:
        ended = rig.ended(rig.submit("kill -TERM $PPID; sleep 60"))
        assert (ended.cause, ended.signal) == ("terminated", 15)

    def test_a_request_after_a_bare_signal_is_a_stop(self, rig: Rig) -> None:
        handle = rig.submit("trap '' TERM; echo up; kill -TERM $PPID; while :; do sleep 0.05; done")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=0.1)
        assert rig.ended(handle).cause == "stop"

    def test_a_bare_signal_to_the_supervisor_ends_every_process(self, rig: Rig) -> None:
        handle = rig.submit("echo up; sleep 60", grace_seconds=5.0)
        rig.started(handle)
        first = journal_of(handle)[0]
        assert isinstance(first, SupervisorStarted)
        os.kill(first.pid, signal.SIGTERM)
        assert rig.ended(handle).cause == "terminated"
        assert processes_of(handle) == []

    def test_a_stop_that_nobody_was_told_of_holds_for_a_later_start(self, rig: Rig) -> None:
        submission = rig.prepare("echo never")
        write_stop(submission.directory, StopRequest(grace_seconds=1.0))
        native = rig.backend.submit(submission)
        assert native
        wait_for(lambda: journal_of(submission)[1:], what="an end")
        assert (submission.directory / "output.log").read_bytes() == b""


class TestEndOfTheCommand:
    def test_what_was_left_behind_is_ended_and_counted(self, rig: Rig) -> None:
        handle = rig.submit("setsid sleep 600 & sleep 600 & echo up; exit 3")
        ended = rig.ended(handle)
        assert (ended.cause, ended.exit_code, ended.leftover, ended.killed) == ("exited", 3, 2, 0)
        assert processes_of(handle) == []

    def test_what_was_left_behind_and_ignores_term_is_killed(self, rig: Rig) -> None:
        handle = rig.submit("python3 chain.py &\nsleep 0.3; exit 0", leftover_seconds=0.1)
        ended = rig.ended(handle)
        assert (ended.cause, ended.exit_code) == ("exited", 0)
        assert ended.killed >= 1
        assert processes_of(handle) == []
