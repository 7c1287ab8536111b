"""The server dies between any two steps of a submission; the next one repeats it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.execution.backend import NotStarted, Recorded
from tallystick.execution.local import LocalBackend
from tallystick.execution.rundir import is_held
from tallystick.testing.contract.backend import Rig, handle_of, journal_of, wait_for
from tallystick.wire.observation import CommandStarted

SUBMITTER = """
import os, signal, sys
from pathlib import Path
from tallystick.execution import launcher, local
from tallystick.execution.backend import Submission
TOKEN = "delivery-token"
step, attempt, directory = sys.argv[1:]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
backend = local.LocalBackend()
submission = Submission(attempt=attempt, directory=Path(directory), supervisor_token=TOKEN)
if step == "before":
    die()
if step == "launcher is up":
    backend.watch(lambda: None)
    die()
if step == "request was sent":
    class Channel:
        def __init__(self, real): self.real = real
        def sendall(self, data): self.real.sendall(data); die()
    ready = launcher.LauncherClient._ready
    launcher.LauncherClient._ready = lambda self: Channel(ready(self))
if step == "answer was read":
    launch = launcher.LauncherClient.launch
    local.LauncherClient.launch = lambda self, **request: die(launch(self, **request))
backend.submit(submission)
if step == "and runs":
    while not (Path(directory) / "output.log").exists(): pass
die()
"""
PROBER = """
import sys
from pathlib import Path
from tallystick.execution.rundir import is_held
while True:
    is_held(Path(sys.argv[1]))
"""
STEPS = ["before", "launcher is up", "request was sent", "answer was read", "after", "and runs"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


@pytest.mark.parametrize("step", STEPS)
def test_the_command_is_executed_exactly_once(rig: Rig, step: str) -> None:
    submission = rig.prepare("echo ran >> ran; sleep 0.2; exit 9")
    arguments = [step, submission.attempt, str(submission.directory)]
    server = subprocess.run([sys.executable, "-c", SUBMITTER, *arguments], check=False, timeout=60)
    assert server.returncode == -signal.SIGKILL
    handle = handle_of(submission, rig.backend.submit(submission))
    ended = rig.ended(handle)
    assert ended.exit_code == 9
    assert (rig.root / "ran").read_text() == "ran\n"
    records = journal_of(handle)
    assert sum(isinstance(record, CommandStarted) for record in records) == 1


def test_many_submissions_of_one_attempt_at_once_execute_it_once(rig: Rig) -> None:
    submission = rig.prepare("echo ran >> ran")
    arguments = ["after", submission.attempt, str(submission.directory)]
    servers = [subprocess.Popen([sys.executable, "-c", SUBMITTER, *arguments]) for _ in range(6)]
    for server in servers:
        server.wait(60)
    rig.ended(handle_of(submission, ""))
    assert (rig.root / "ran").read_text() == "ran\n"


def test_probing_never_keeps_a_supervisor_from_starting(rig: Rig) -> None:
    """Observers take the lock, too, if only for microseconds."""
    places = [rig.root / "runs" / f"run_{n:012x}" / f"att_{n:012x}" for n in (1, 2)]
    probes = [subprocess.Popen([sys.executable, "-c", PROBER, str(place)]) for place in places]
    try:
        handles = [rig.submit("echo ran") for _ in range(2)]
        for handle in handles:
            assert rig.ended(handle).exit_code == 0
            assert rig.output(handle) == "ran\n"
    finally:
        for probe in probes:
            probe.kill()
            probe.wait()


def test_a_run_survives_the_server_and_is_read_by_the_next(rig: Rig) -> None:
    submission = rig.prepare("sleep 0.3; exit 42")
    arguments = ["and runs", submission.attempt, str(submission.directory)]
    subprocess.run([sys.executable, "-c", SUBMITTER, *arguments], check=False, timeout=60)
    handle = handle_of(submission, "")
    assert not isinstance(rig.see(handle), NotStarted)
    seen = wait_for(
        lambda: s if isinstance(s := rig.see(handle), Recorded) else None, what="the end"
    )
    assert "exit_code=42" in repr(seen)


def test_another_start_by_hand_refuses(rig: Rig) -> None:
    handle = rig.submit("echo ran; sleep 60")
    rig.started(handle)
    program = Path(sys.modules["tallystick"].__file__ or "").parent / "supervisor" / "__main__.py"
    again = [sys.executable, "-I", "-S", str(program), str(handle.directory)]
    assert subprocess.run(again, check=False, timeout=60).returncode == 3
    rig.backend.cancel(handle, grace_seconds=0)
    rig.ended(handle)
    wait_for(lambda: not is_held(handle.directory), what="the supervisor's exit")
    assert subprocess.run(again, check=False, timeout=60).returncode == 3
    assert rig.output(handle) == "ran\n"
