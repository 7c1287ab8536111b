"""The launcher process answers, survives nonsense by ending, and ends with its server."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.execution.launcher import SUPERVISOR_PROGRAM


@pytest.fixture
def launcher() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    ours, theirs = socket.socketpair()
    program = [sys.executable, "-I", "-S", str(SUPERVISOR_PROGRAM), "--launcher"]
    process = subprocess.Popen(program, stdin=theirs.fileno(), env={}, start_new_session=True)
    theirs.close()
    ours.settimeout(30)
    yield ours, process
    ours.close()
    process.wait(30)


Launcher = tuple[socket.socket, subprocess.Popen[bytes]]


def ask(channel: socket.socket, **request: str) -> dict[str, object]:
    channel.sendall(json.dumps(request).encode() + b"\n")
    answer: dict[str, object] = json.loads(channel.makefile("rb").readline())
    return answer


def test_it_forks_a_supervisor_for_each_request(launcher: Launcher, tmp_path: Path) -> None:
    channel, process = launcher
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        answer = ask(channel, attempt=name, directory=str(tmp_path / name), token="t")
        assert answer["attempt"] == name
        assert isinstance(answer["pid"], int)
        assert answer["pid"] != process.pid


def test_nonsense_ends_it(launcher: Launcher) -> None:
    channel, process = launcher
    channel.sendall(b'{"attempt": 1}\n')
    assert process.wait(30) == 0


def test_the_end_of_its_server_ends_it(launcher: Launcher) -> None:
    channel, process = launcher
    channel.close()
    assert process.wait(30) == 0


def test_a_forked_supervisor_does_not_hold_the_channel(launcher: Launcher, tmp_path: Path) -> None:
    from tallystick.testing.backend import FakeBackend
    from tallystick.testing.contract.backend import DEFAULT_PATH, Rig, handle_of

    channel, process = launcher
    rig = Rig(FakeBackend(), tmp_path, environment={"PATH": DEFAULT_PATH})
    submission = rig.prepare("echo up; exec sleep 60")
    answer = ask(
        channel, attempt=submission.attempt, directory=str(submission.directory), token="t"
    )
    rig.started(handle_of(submission, ""))
    links = [str(link.readlink()) for link in Path(f"/proc/{answer['pid']}/fd").iterdir()]
    assert not [link for link in links if link.startswith("socket:")]
    process.kill()
    process.wait()
    assert channel.recv(1) == b""
    os.kill(int(str(answer["pid"])), 15)
