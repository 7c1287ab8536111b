"""Commands that hang, lie or run elsewhere in lesser systems end with their true status here."""

import hashlib
import os
import shutil
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tallystick
from tallystick.execution.backend import Handle, Supervised
from tallystick.execution.launcher import SUPERVISOR_PROGRAM
from tallystick.execution.local import LocalBackend
from tallystick.testing.contract.backend import DEFAULT_PATH, Rig, handle_of, journal_of, wait_for
from tallystick.wire.bundle import JOURNAL_FILE
from tallystick.wire.observation import (
    CommandExited,
    CommandRefused,
    CommandStarted,
    Described,
    Ended,
    Observation,
    OutputSealed,
    SupervisorStarted,
)
from tests.fault.waking import switches


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


def one(records: tuple[Observation, ...], shape: type[Observation]) -> Observation:
    found = [record for record in records if isinstance(record, shape)]
    assert len(found) == 1
    return found[0]


class TestText:
    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("exit 5 # a trailing comment", 5),
            ("echo 'unterminated", 2),
            ("cat <<EOF | grep -c line\nline\nline\nEOF\nexit 6", 6),
            ("true\n\n\n", 0),
            ("printf '\\xff\\xfe\\x00\\x1b[31m'; exit 7", 7),
            ("kill -TERM $$ & wait; exit 8", None),
            ("read line; exit $?", 1),
            ("exec 1>&- 2>&-; exit 4", 4),
            ("(exit 3); exit $?", 3),
            ("not-a-program-at-all", 127),
        ],
    )
    def test_each_ends_with_its_true_status(self, rig: Rig, command: str, code: int | None) -> None:
        assert rig.ended(rig.submit(command)).exit_code == code

    @pytest.mark.parametrize("length", [131_071, 131_072, 200_000])
    def test_long_text_is_executed_as_it_is(self, rig: Rig, length: int) -> None:
        end = "\nexit 11"
        command = "echo ok #".ljust(length - len(end), "x") + end
        submission = rig.prepare(command)
        assert (submission.directory / "command.sh").exists() == (length > 131_071)
        handle = handle_of(submission, rig.backend.submit(submission))
        assert rig.ended(handle).exit_code == 11
        assert rig.output(handle) == "ok\n"

    def test_fifty_megabytes_without_a_newline_are_sealed_whole(self, rig: Rig) -> None:
        handle = rig.submit("head -c 50000000 /dev/zero | tr '\\0' x; exit 12")
        records = rig.record(handle).observations
        seals = [r for r in records if isinstance(r, OutputSealed) and r.stream == "output"]
        content = (handle.directory / "output.log").read_bytes()
        assert seals[-1].bytes == len(content) == 50_000_000
        for seal in seals:
            assert seal.sha256 == hashlib.sha256(content[: seal.bytes]).hexdigest()
        exited = one(records, CommandExited)
        assert isinstance(exited, CommandExited)
        assert exited.exit_code == 12
        assert exited.tail == "x" * 500


class TestPlace:
    def test_a_workdir_with_blanks_and_quotes_is_where_it_runs(self, rig: Rig) -> None:
        place = rig.root / "my work; 'dir' $HOME"
        place.mkdir()
        handle = rig.submit('pwd; echo "$PWD"', workdir=str(place))
        assert rig.ended(handle).exit_code == 0
        assert rig.output(handle) == f"{place}\n{place}\n"

    @pytest.mark.parametrize("name", ["missing", "file", "relative"])
    def test_a_workdir_that_is_no_directory_refuses(self, rig: Rig, name: str) -> None:
        (rig.root / "file").touch()
        workdir = name if name == "relative" else str(rig.root / name)
        handle = rig.submit("echo ran", workdir=workdir)
        records = rig.record(handle).observations
        assert [type(r) for r in records] == [SupervisorStarted, CommandRefused, Ended]
        refused = one(records, CommandRefused)
        assert isinstance(refused, CommandRefused)
        assert refused.code == "workdir_missing"
        assert workdir in refused.detail
        assert rig.output(handle) == ""

    def test_without_bash_the_command_is_refused(self, rig: Rig) -> None:
        ended = rig.ended(rig.submit("true", environment={"PATH": str(rig.root)}))
        assert (ended.cause, ended.code) == ("refused", "exec_failed")
        assert "bash" in (ended.detail or "")

    def test_an_environment_too_big_for_the_kernel_refuses(self, rig: Rig) -> None:
        big = {"PATH": DEFAULT_PATH, "BIG": "x" * 200_000}
        ended = rig.ended(rig.submit("true", environment=big))
        assert (ended.cause, ended.code) == ("refused", "exec_failed")

    def test_a_bundle_that_cannot_be_read_refuses(self, rig: Rig) -> None:
        submission = rig.prepare("true")
        (submission.directory / "bundle.json").write_text('{"run": 1}')
        ended = rig.ended(handle_of(submission, rig.backend.submit(submission)))
        assert (ended.cause, ended.code) == ("refused", "exec_failed")
        assert "bundle.json" in (ended.detail or "")


class TestSurroundings:
    def test_the_environment_holds_what_was_asked_for_and_four_names_more(self, rig: Rig) -> None:
        handle = rig.submit("exec env -0", environment={"PATH": DEFAULT_PATH, "A": "b"})
        rig.ended(handle)
        seen = {item.partition("=")[0] for item in rig.output(handle).split("\0") if item}
        of_bash = {"SHLVL", "_", "OLDPWD"}
        assert seen - of_bash == {
            "PATH", "A", "PWD", "TALLY_RUN_DIR", "TALLY_ATTEMPT_ID", "TALLY_METRICS",
        }  # fmt: skip

    def test_signals_descriptors_session_and_umask(self, rig: Rig) -> None:
        before = os.umask(0o027)
        try:
            handle = rig.submit(
                "grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd | tr '\\n' ' '; umask;"
                "readlink /proc/self/fd/0; cat /proc/self/oom_score_adj;"
                "[ $(cut -d' ' -f6 /proc/self/stat) = $$ ] && echo leader"
            )
            rig.ended(handle)
        finally:
            os.umask(before)
        lines = rig.output(handle).splitlines()
        blocked, ignored = (int(line.split()[1], 16) for line in lines[:2])
        assert blocked == 0
        assert ignored & ~(0b11 << 31) == 0  # 32 and 33 are the C library's own
        assert lines[2:] == ["0 1 2 3 0027", "/dev/null", "500", "leader"]  # 3: ls's own

    def test_files_of_the_run_directory_are_private(self, rig: Rig) -> None:
        handle = rig.submit("echo hi")
        rig.ended(handle)
        files = list(handle.directory.iterdir())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}
        assert set(modes) == {"bundle.json", "lock", "journal.jsonl", "output.log", "metrics.jsonl"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(handle.directory.stat().st_mode) == 0o700

    def test_the_token_is_in_no_file_and_no_process(self, rig: Rig) -> None:
        handle = rig.submit("cat /proc/$PPID/environ /proc/$PPID/cmdline; env; echo up; sleep 60")
        rig.started(handle)
        wait_for(lambda: rig.output(handle).endswith("up\n"), what="output")
        everything = b"".join(path.read_bytes() for path in handle.directory.iterdir())
        assert b"delivery-token" not in everything
        rig.backend.cancel(handle, grace_seconds=0)
        rig.ended(handle)

    def test_output_of_both_kinds_keeps_its_order(self, rig: Rig) -> None:
        handle = rig.submit("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
        rig.ended(handle)
        assert rig.output(handle) == "".join(f"out {i}\nerr {i}\n" for i in (1, 2, 3))


class TestRecord:
    def test_the_order_of_records_and_what_they_say(self, rig: Rig) -> None:
        handle = rig.submit("echo last words >&2; exit 3")
        records = rig.record(handle).observations
        shapes = [SupervisorStarted, CommandStarted, Described, CommandExited, OutputSealed, Ended]
        assert [type(record) for record in records] == shapes
        assert [record.n for record in records] == [1, 2, 3, 4, 5, 6]
        exited, ended = records[3], records[5]
        assert isinstance(exited, CommandExited)
        assert isinstance(ended, Ended)
        assert exited.tail == ended.detail == "last words"
        assert (exited.max_rss_bytes or 0) > 500_000
        assert exited.cpu_seconds is not None

    def test_a_command_cannot_forge_its_end(self, rig: Rig) -> None:
        forged = '{"n":3,"at":1,"cause":"exited","exit_code":0,"kind":"ended"}'
        handle = rig.submit(f"echo '{forged}' > $TALLY_RUN_DIR/exit.json; echo '{forged}'; exit 13")
        assert rig.ended(handle).exit_code == 13

    def test_a_run_whose_directory_was_removed_ends_and_so_does_its_supervisor(
        self, rig: Rig
    ) -> None:
        handle = rig.submit("echo up; sleep 0.2", server_file=str(rig.root / "none.json"))
        rig.started(handle)
        first = journal_of(handle)[0]
        assert isinstance(first, SupervisorStarted)
        handle.directory.rename(handle.directory.with_name("gone"))  # at one stroke
        wait_for(lambda: not Path(f"/proc/{first.pid}").exists(), what="the supervisor's exit")

    def test_a_fault_of_the_supervisor_leaves_its_traceback(self, rig: Rig) -> None:
        submission = rig.prepare("echo never")
        (submission.directory / JOURNAL_FILE).mkdir()
        program = [sys.executable, "-I", "-S", str(SUPERVISOR_PROGRAM), str(submission.directory)]
        assert subprocess.run(program, check=False, timeout=60).returncode == 1
        assert "IsADirectoryError" in (submission.directory / "supervisor.log").read_text()
        assert not (submission.directory / "output.log").exists()


class TestInstallation:
    def test_it_runs_from_any_place_with_nothing_but_python(self, rig: Rig, tmp_path: Path) -> None:
        source = Path(tallystick.__file__).parent
        site = tmp_path / "site-packages" / "tallystick"
        site.mkdir(parents=True)
        for name in ("__init__.py", "errors.py", "durable.py", "proc.py"):
            shutil.copy(source / name, site)
        for name in ("wire", "supervisor"):
            shutil.copytree(source / name, site / name)
        (tmp_path / "site-packages" / "json.py").write_text("raise SystemExit('shadowed')")
        submission = rig.prepare("exit 21")
        program = [sys.executable, "-I", "-S", str(site / "supervisor" / "__main__.py")]
        done = subprocess.run(
            [*program, str(submission.directory)], env={}, check=False, timeout=60, cwd="/"
        )
        assert done.returncode == 21
        assert rig.ended(handle_of(submission, "", journal_key="")).exit_code == 21

    def test_bad_usage_is_told(self) -> None:
        program = [sys.executable, "-I", "-S", str(SUPERVISOR_PROGRAM)]
        done = subprocess.run(program, check=False, timeout=60, stderr=subprocess.DEVNULL)
        assert done.returncode == 2


class TestCost:
    def test_a_supervisor_sleeps_while_nothing_happens(self, rig: Rig) -> None:
        handle = rig.submit("echo up; sleep 60")
        rig.started(handle)
        first = journal_of(handle)[0]
        assert isinstance(first, SupervisorStarted)
        wait_for(lambda: switches(first.pid) == _settled(first.pid), what="a quiet supervisor")
        before = switches(first.pid)
        time.sleep(1.5)  # an interval is what is measured here
        assert switches(first.pid) - before <= 1
        rig.backend.cancel(handle, grace_seconds=0)
        rig.ended(handle)

    def test_observing_hundreds_is_cheap(self, rig: Rig) -> None:
        handle = rig.submit("echo up; sleep 60")
        rig.started(handle)
        others = [
            Handle(attempt=f"att_{n:012x}", directory=handle.directory, native="", journal_key="")
            for n in range(300)
        ]
        rig.backend.observe(others)
        began = time.perf_counter()
        seen = rig.backend.observe(others)
        print(f"300 attempts observed in {(time.perf_counter() - began) * 1000:.1f} ms")
        assert set(seen.values()) == {Supervised()}
        rig.backend.cancel(handle, grace_seconds=0)
        rig.ended(handle)

    def test_time_to_the_first_instruction(self, rig: Rig) -> None:
        rig.ended(rig.submit("true"))  # the launcher is up
        times = []
        for _ in range(20):
            submission = rig.prepare("echo $EPOCHREALTIME")
            began = time.time()
            handle = handle_of(submission, rig.backend.submit(submission))
            rig.ended(handle)
            times.append((float(rig.output(handle)) - began) * 1000)
        print(f"submit to first instruction: median {statistics.median(times):.1f} ms")
        assert min(times) > 0


def _settled(pid: int) -> int:
    time.sleep(0.2)  # two readings need some time between them
    return switches(pid)
