"""Processes of this host, and what spawn promises."""

import os
import signal
from pathlib import Path

import pytest

from tallystick import proc
from tallystick.supervisor import process
from tallystick.supervisor.process import SpawnError, Waiting
from tallystick.testing.server import eventually

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
"""A supervisor forks while it has one thread; what runs tests may have more."""


def spawn(argv: list[str], *, environment: dict[str, str], workdir: str, output: Path) -> int:
    command = Waiting(argv, environment=environment, workdir=workdir, output=output)
    command.release()
    return command.pid


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.touch()
    return path


def test_living_descendants_are_found_and_zombies_are_not(output: Path) -> None:
    pid = spawn(["sleep", "60"], environment=ENVIRONMENT, workdir="/", output=output)
    try:
        assert pid in process.descendants()
        assert process._scan(os.getpid()).count(pid) == 1
        assert process.signal_all([pid], signal.SIGKILL) == {pid}
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert pid not in process.descendants()
    finally:
        os.waitpid(pid, 0)


def test_the_path_is_searched_as_a_shell_does(tmp_path: Path, output: Path) -> None:
    for name, mode in (("first", 0o644), ("second", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text("#!/bin/sh\nexit 5\n")
        (tmp_path / name / "tool").chmod(mode)
    path = f"{tmp_path}/none:{tmp_path}/first:{tmp_path}/second"
    pid = spawn(["tool"], environment={"PATH": path}, workdir="/", output=output)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


@pytest.mark.parametrize(
    ("argv", "environment", "workdir", "code"),
    [
        (["sleep"], ENVIRONMENT, "/not there", "workdir_missing"),
        (["sleep"], ENVIRONMENT, "relative", "workdir_missing"),
        (["sleep"], ENVIRONMENT, "", "workdir_missing"),
        (["sleep"], ENVIRONMENT, "/a\0b", "workdir_missing"),
        (["no-such-program"], ENVIRONMENT, "/", "exec_failed"),
        (["sleep", "a\0b"], ENVIRONMENT, "/", "exec_failed"),
        (["sleep", "x" * 200_000], ENVIRONMENT, "/", "exec_failed"),
        (["sleep"], {**ENVIRONMENT, "A=B": "c"}, "/", "exec_failed"),
    ],
)
def test_what_cannot_be_executed_is_told_and_leaves_no_child(
    output: Path, argv: list[str], environment: dict[str, str], workdir: str, code: str
) -> None:
    before = process.descendants()
    with pytest.raises(SpawnError) as caught:
        spawn(argv, environment=environment, workdir=workdir, output=output)
    assert caught.value.code == code
    assert process.descendants() == before


def waiting(tmp_path: Path, output: Path) -> Waiting:
    argv = ["touch", str(tmp_path / "ran")]
    return Waiting(argv, environment=ENVIRONMENT, workdir="/", output=output)


def test_nothing_is_executed_before_it_is_let(tmp_path: Path, output: Path) -> None:
    command = waiting(tmp_path, output)
    assert os.waitpid(command.pid, os.WNOHANG) == (0, 0)
    assert not (tmp_path / "ran").exists()
    assert proc.start_ticks(command.pid) == command.start_ticks
    command.release()
    assert os.waitpid(command.pid, 0)[1] == 0
    assert (tmp_path / "ran").exists()


def test_a_child_that_is_not_wanted_executes_nothing(tmp_path: Path, output: Path) -> None:
    before = process.descendants()
    waiting(tmp_path, output).abandon()
    assert process.descendants() == before
    assert not (tmp_path / "ran").exists()


def test_a_child_that_was_killed_meanwhile_is_told_as_not_executed(
    tmp_path: Path, output: Path
) -> None:
    command = waiting(tmp_path, output)
    os.kill(command.pid, signal.SIGKILL)
    os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(SpawnError, match="is gone"):
        command.release()


def test_the_death_of_its_parent_is_the_end_of_a_waiting_child(
    tmp_path: Path, output: Path
) -> None:
    parent = os.fork()
    if parent == 0:
        try:
            (tmp_path / "pid").write_text(str(waiting(tmp_path, output).pid))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: (proc.stat_fields(pid) or [b"Z"])[0] in b"ZX")
    assert not (tmp_path / "ran").exists()
