"""The program itself: its streams, its exit status, its own deadline, what it never opens."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tallystick.agents import hook
from tests.unit.agents.guarded import TRAIN, Guarded

ARGV = [sys.executable, "-I", "-m", "tallystick", "hook"]


def run(
    guarded: Guarded, content: bytes, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[bytes]":
    """The real program with a payload on standard input."""
    return subprocess.run(
        [*ARGV, *arguments],
        input=content,
        capture_output=True,
        timeout=30,
        check=False,
        cwd=guarded.root,
        env=environment(guarded, variables),
    )


def environment(guarded: Guarded, more: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.defpath, **guarded.variables, **more}


def payload(guarded: Guarded, command: str) -> bytes:
    return json.dumps(guarded.claude(command)).encode()


def test_it_converts_and_leaves_its_decision(guarded: Guarded) -> None:
    done = run(guarded, payload(guarded, TRAIN))
    assert (done.returncode, done.stderr) == (0, b"")
    assert "exec" in json.loads(done.stdout)["hookSpecificOutput"]["updatedInput"]["command"]
    assert len(guarded.recorded()) == 1


def test_it_passes_in_silence(guarded: Guarded) -> None:
    done = run(guarded, payload(guarded, "ls -la"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_nonsense_is_refused_on_standard_error(guarded: Guarded) -> None:
    done = run(guarded, b"{")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Tallystick's guard" in done.stderr


def test_a_hint_on_the_command_line_counts_where_nothing_else_tells(guarded: Guarded) -> None:
    content = json.dumps({"cwd": str(guarded.root), "tool_input": {"command": TRAIN}}).encode()
    assert run(guarded, content).returncode == 2
    assert b"modifiedArgs" in run(guarded, content, "--dialect", "copilot").stdout


def test_at_a_terminal_it_says_what_it_is_and_does_not_wait(guarded: Guarded) -> None:
    parent, child = pty.openpty()
    try:
        done = subprocess.run(
            ARGV, stdin=child, capture_output=True, timeout=30, check=False,
            env=environment(guarded, {}),
        )  # fmt: skip
    finally:
        os.close(parent)
        os.close(child)
    assert done.returncode == 2
    assert b"tally hook --help" in done.stderr


def test_whoever_sends_nothing_gets_an_answer_before_the_agents_patience_ends(
    guarded: Guarded,
) -> None:
    """The program reads an open pipe in which nothing ever comes."""
    program = (
        "import sys; from tallystick.agents import hook; "
        "hook.DEADLINE_SECONDS = 0.2; sys.exit(hook.main([]))"
    )
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdin=reading, capture_output=True, timeout=30,
            check=False, cwd=guarded.root, env=environment(guarded, {}),
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 2
    assert b"no answer in 0.2 s" in done.stderr


def test_a_judgement_that_never_ends_is_a_refusal(guarded: Guarded) -> None:
    program = (
        "import sys; from tallystick.agents import hook; from tallystick.shell import classify; "
        "hook.DEADLINE_SECONDS = 0.3\n"
        "def judge(*a, **k):\n while True:\n  try: [0] * 10\n  except Exception: pass\n"
        "classify.judge = judge; sys.exit(hook.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=payload(guarded, TRAIN), capture_output=True,
        timeout=30, check=False, cwd=guarded.root, env=environment(guarded, {}),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"TimeoutError" in done.stderr


def test_an_installation_that_is_broken_refuses(guarded: Guarded, tmp_path: Path) -> None:
    """Every other status would let the command run."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\nsys.modules['tallystick.agents.hook'] = None\n"
        "sys.argv = ['tally', 'hook']\nfrom tallystick.__main__ import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, str(broken)], input=b"{}", capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert b"guard failed" in done.stderr


def test_a_closed_standard_output_is_a_refusal(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(_descriptor: int, _content: bytes) -> int:
        raise BrokenPipeError

    answer = guarded.typed(TRAIN)
    monkeypatch.setattr("os.write", refusing)
    assert hook._say(answer) == 2


HEAVY = {
    "argparse", "asyncio", "dataclasses", "hashlib", "inspect", "pathlib", "pydantic", "socket",
    "sqlite3", "subprocess", "tempfile", "tomllib", "tree_sitter", "typer", "typing", "urllib",
    "tallystick.cli", "tallystick.client", "tallystick.shell.classify",
}  # fmt: skip


def test_a_command_without_a_trigger_word_loads_nothing_heavy(guarded: Guarded) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", *ARGV[2:]], input=payload(guarded, "ls -la"),
        capture_output=True, timeout=30, check=True, env=environment(guarded, {}),
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "tallystick.agents.hook" in loaded
    runpy = subprocess.run(  # what the interpreter and -m load by themselves
        [sys.executable, "-I", "-X", "importtime", "-m", "this"], capture_output=True, check=True
    )
    own = {line.rpartition("|")[2].strip() for line in runpy.stderr.decode().splitlines()}
    assert sorted((loaded - own) & HEAVY) == []


def test_a_judgement_opens_no_socket_and_no_database(guarded: Guarded) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", *ARGV[2:]], input=payload(guarded, TRAIN),
        capture_output=True, timeout=30, check=True, env=environment(guarded, {}),
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "tallystick.shell.classify" in loaded
    assert sorted(loaded & {"socket", "_socket", "sqlite3", "asyncio", "pydantic", "typer"}) == []
