"""`tally exec` as the guard calls it: what a converted command keeps, and what an agent notices."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tallystick.testing.server import ServerProcess, eventually

LOOP = "for word in one two three; do echo $word; [ $word != three ]; done"


def begin(server: ServerProcess, session: str, *words: str, **more: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TALLY_")}
    environment |= {"TALLY_DATA_DIR": str(server.data_dir), **more}
    return subprocess.Popen(
        [sys.executable, "-m", "tallystick", "exec", "--session", session, *words],
        cwd=server.workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def converted(
    server: ServerProcess, session: str, *words: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    with begin(server, session, *words, **more) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def runs_of(server: ServerProcess, session: str) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = server.get(f"/runs?chat_session_id={session}&limit=100")
    return found[::-1]


def test_a_hook_that_is_loaded_twice_makes_one_run(server: ServerProcess) -> None:
    words = ("--origin", "dec_0123456789ab", "--", "echo once")
    first, second = (converted(server, "twice", *words) for _ in range(2))
    assert (first.stdout, second.stdout) == ("once\n", "once\n")
    (run,) = runs_of(server, "twice")
    assert run["tags"] == ["origin=dec_0123456789ab"]
    assert run["command"] == "echo once"


def test_a_converted_command_finds_the_variables_of_its_shell_but_no_token(
    server: ServerProcess,
) -> None:
    command = 'echo "$FLAVOUR" "${CLAUDE_CODE_SESSION_ID:-no agent}"; echo "token ${TALLY_TOKEN}"'
    around = {
        "FLAVOUR": "a b",
        "TALLY_TOKEN": server.token(),
        "CLAUDE_CODE_SESSION_ID": "c",
        "CUDA_VISIBLE_DEVICES": "",
    }
    told = converted(server, "vars", "--env-all", "--", command, **around)
    assert told.stdout.splitlines()[0] == "a b no agent"
    assert server.token() not in told.stdout  # a run has one of its own
    plain = converted(server, "vars", "--", command, **around)
    assert plain.stdout.splitlines()[0] == " no agent"
    assert server.token() not in str(runs_of(server, "vars"))


def test_a_background_start_is_registered_and_left(server: ServerProcess) -> None:
    flag = server.workspace / "released"
    command = f"echo begun > begun; until [ -e {flag} ]; do read -t 0.05 <> <(:); done; echo over"
    left = converted(server, "background", "--detach", "--", command)
    assert (left.returncode, left.stdout) == (0, "")
    (run,) = runs_of(server, "background")
    assert run["id"] in left.stderr
    assert f"tally run logs -f {run['id']}" in left.stderr
    eventually((server.workspace / "begun").exists)
    flag.touch()
    assert server.ended(run["id"])["exit_code"] == 0


def test_a_loop_becomes_a_sweep_and_reads_as_if_it_had_run_here(server: ServerProcess) -> None:
    words = ("--split", "--origin", "dec_1123456789ab", "--", LOOP)
    done = converted(server, "loop", *words)
    assert done.stdout == "one\ntwo\nthree\n"
    assert done.returncode == 1  # the last round's own
    runs = runs_of(server, "loop")
    assert [run["params"] for run in runs] == [{"word": "one"}, {"word": "two"}, {"word": "three"}]
    assert len({run["sweep_id"] for run in runs}) == 1
    ended = [run["ended_at"] for run in runs]
    started = [run["started_at"] for run in runs]
    assert all(end <= start for end, start in zip(ended, started[1:], strict=False))
    again = converted(server, "loop", *words)
    assert again.stdout == done.stdout
    assert len(runs_of(server, "loop")) == 3


def test_a_line_that_is_no_loop_is_one_run_with_split_too(server: ServerProcess) -> None:
    done = converted(server, "noloop", "--split", "--", "echo plain")
    assert done.stdout == "plain\n"
    assert [run["params"] for run in runs_of(server, "noloop")] == [{}]


def test_ending_a_split_loop_stops_the_round_that_runs_and_those_that_wait(
    server: ServerProcess,
) -> None:
    loop = "for word in one two three; do echo $word; sleep 600; done"
    with begin(server, "ended", "--split", "--", loop) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    over = [server.ended(run["id"])["status"] for run in runs_of(server, "ended")]
    assert over == ["stopped", "stopped", "stopped"]


def test_the_skills_first_example_is_a_sweep_of_twelve_in_two_calls(
    server: ServerProcess, tmp_path: Path
) -> None:
    from tallystick.api.skills import PROTOCOL, load_skills

    first_page = load_skills()[PROTOCOL].files["SKILL.md"]
    block = first_page.partition("```bash\n")[2].partition("```")[0]
    calls = [line for line in block.splitlines() if "tally " in line]
    assert len(calls) == 2
    (tmp_path / "train.py").write_text("import sys; print(sys.argv[1:])\n")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("tally", "python"):
        (bin_folder / name).symlink_to(sys.executable if name == "python" else tally_program())
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TALLY_")},
        "TALLY_DATA_DIR": str(server.data_dir),
        "CODEX_THREAD_ID": "thread-of-an-agent",
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    runs = runs_of(server, "thread-of-an-agent")
    assert len(runs) == 12
    assert {run["status"] for run in runs} == {"finished"}
    assert len({(run["params"]["lr"], run["params"]["seed"]) for run in runs}) == 12
    session = server.get("/sessions/thread-of-an-agent")
    assert session["violations"] == 0


def tally_program() -> Path:
    return Path(sys.executable).parent / "tally"
