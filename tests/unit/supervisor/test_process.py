"""Processes of this host, and what spawn promises."""

import os
import signal
from pathlib import Path

import pytest

from tallystick.supervisor import process
from tallystick.supervisor.process import SpawnError, spawn

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def output(tmp_path: Path) -> int:
    return os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT, 0o600)


def test_living_descendants_are_found_and_zombies_are_not(output: int) -> None:
    pid = spawn(["sleep", "60"], environment=ENVIRONMENT, workdir="/", output=output)
    try:
        assert pid in process.descendants()
        assert process._scan(os.getpid()).count(pid) == 1
        assert process.signal_all([pid], signal.SIGKILL) == {pid}
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert pid not in process.descendants()
    finally:
        os.close(output)
        os.waitpid(pid, 0)


def test_the_path_is_searched_as_a_shell_does(tmp_path: Path, output: int) -> None:
    for name, mode in (("first", 0o644), ("second", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text("#!/bin/sh\nexit 5\n")
        (tmp_path / name / "tool").chmod(mode)
    path = f"{tmp_path}/none:{tmp_path}/first:{tmp_path}/second"
    pid = spawn(["tool"], environment={"PATH": path}, workdir="/", output=output)
    os.close(output)
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
    output: int, argv: list[str], environment: dict[str, str], workdir: str, code: str
) -> None:
    before, place = process.descendants(), Path.cwd()
    with pytest.raises(SpawnError) as caught:
        spawn(argv, environment=environment, workdir=workdir, output=output)
    os.chdir(place)
    os.close(output)
    assert caught.value.code == code
    assert process.descendants() == before
