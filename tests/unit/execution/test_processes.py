"""Who belongs to an attempt, and what the kernel tells about those that are gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import proc
from tallystick.execution import processes
from tallystick.execution.processes import Pid, Process, members
from tallystick.testing.contract.backend import wait_for


def pid_of(process: subprocess.Popen[bytes]) -> Pid:
    fields = proc.stat_fields(process.pid)
    assert fields
    return Pid(process.pid, int(fields[19]))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "TALLY_RUN_DIR": "/x/att_test"}
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        yield process
        process.kill()


class TestIdentity:
    def test_a_process_is_alive_until_it_has_ended(self, sleeper: subprocess.Popen[bytes]) -> None:
        pid = pid_of(sleeper)
        assert processes.is_alive(pid)
        assert processes.send(pid, signal.SIGKILL)
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_alive(pid)  # a zombie is no life

    def test_a_namesake_is_neither_alive_nor_signalled(
        self, sleeper: subprocess.Popen[bytes]
    ) -> None:
        other = Pid(sleeper.pid, pid_of(sleeper).start_ticks - 1)
        assert not processes.is_alive(other)
        assert processes.open_pidfd(other) is None
        assert not processes.send(other, signal.SIGKILL)
        assert sleeper.poll() is None


class TestExitStatus:
    def start(self, code: int) -> tuple[subprocess.Popen[bytes], Pid, int]:
        program = f"import sys; sys.stdin.read(); sys.exit({code})"
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        pid = pid_of(process)
        descriptor = processes.open_pidfd(pid)
        assert descriptor is not None
        return process, pid, descriptor

    def test_of_a_zombie_and_of_one_that_was_waited_for(self) -> None:
        process, pid, descriptor = self.start(37)
        assert processes.exit_status(descriptor, pid) is None
        assert not processes.has_exited(descriptor)
        assert process.stdin
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processes.has_exited(descriptor)
        assert processes.exit_status(descriptor, pid) == 37 << 8
        process.wait()
        assert processes.exit_status(descriptor, pid) in {37 << 8, None}  # None before Linux 6.15
        os.close(descriptor)


def process(number: int, parent: int, *, session: int = 1, directory: bytes = b"") -> Process:
    return Process(
        pid=Pid(number, 100 + number), parent=parent, session=session, directory=directory
    )


class TestMembers:
    def found(
        self, *host: Process, command: Pid | None = None, known: tuple[Pid, ...] = ()
    ) -> list[int]:
        among = {one.pid.number: one for one in host}
        chosen = members(b"/x", among=among, command=command, known=known)
        return sorted(pid.number for pid in chosen)

    def test_those_that_carry_the_directory_and_their_descendants(self) -> None:
        host = [
            process(10, 1, directory=b"/x"),
            process(11, 10),
            process(12, 11),
            process(20, 1, directory=b"/xy"),
            process(21, 20),
        ]
        assert self.found(*host) == [10, 11, 12]

    def test_the_session_of_a_living_command(self) -> None:
        host = [process(10, 1, session=10), process(11, 1, session=10), process(12, 1, session=9)]
        assert self.found(*host, command=Pid(10, 110)) == [10, 11]

    def test_not_the_session_of_a_dead_command_or_of_its_namesake(self) -> None:
        orphan = process(11, 1, session=10)
        assert self.found(orphan, command=Pid(10, 110)) == []
        assert self.found(orphan, process(10, 1, session=10), command=Pid(10, 9)) == []

    def test_those_that_were_known_before_and_their_children(self) -> None:
        host = [process(11, 1), process(12, 11), process(13, 1)]
        assert self.found(*host, known=(Pid(11, 111), Pid(13, 1))) == [11, 12]

    def test_a_look_at_the_host_finds_a_marked_process(
        self, sleeper: subprocess.Popen[bytes]
    ) -> None:
        host = processes.scan()
        assert host[sleeper.pid].directory == b"/x/att_test"
        assert host[sleeper.pid].parent == os.getpid()
        assert members(b"/x/att_test", among=host, command=None) == {pid_of(sleeper)}


class TestLine:
    def test_a_process_and_those_above_it(self, sleeper: subprocess.Popen[bytes]) -> None:
        line = processes.line_of(sleeper.pid)
        assert [one.pid for one in line[:2]] == [pid_of(sleeper), line[1].pid]
        assert line[1].pid.number == os.getpid()
        assert line[0].directory == b"/x/att_test"
        assert line[-1].parent == 0

    def test_a_process_that_is_not_there_has_none_above_it(self) -> None:
        assert processes.line_of(4_000_000) == []
        assert processes.line_of(0) == []


class TestDescription:
    def named(self, pid: int, name: str) -> processes.Described:
        """Once it goes by a name: the kernel gives it a little after a Popen returns."""

        def look() -> processes.Described | None:
            found = processes.describe(pid)
            return found if found is not None and found.name == name else None

        return wait_for(look, what=f"a process that is called {name!r}")

    def test_program_and_user_are_told(self, sleeper: subprocess.Popen[bytes]) -> None:
        assert self.named(sleeper.pid, "sleep").uid == os.geteuid()

    def test_a_name_that_would_disturb_a_line_is_made_harmless(self, tmp_path: Path) -> None:
        program = tmp_path / "a\x1b[2Jb"
        program.symlink_to("/bin/sleep")
        with subprocess.Popen([program, "60"]) as process:
            self.named(process.pid, "a?[2Jb")
            process.kill()

    def test_a_process_that_is_not_there_is_not_described(self) -> None:
        assert processes.describe(4_000_000) is None
