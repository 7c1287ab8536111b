"""How agents call the hook: by absolute paths, the interpreter first, isolated."""

import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.agents import entry


def test_the_hook_is_the_interpreter_isolated_and_the_program() -> None:
    argv = entry.hook_argv()
    assert argv[:2] == [sys.executable, "-I"]
    assert argv[-1] == "hook"
    assert Path(argv[2]).is_absolute() or argv[2:4] == ["-m", "tallystick"]


def test_both_forms_start_it() -> None:
    for argv in (entry.hook_argv(), [sys.executable, "-I", "-m", "tallystick", "hook"]):
        done = subprocess.run([*argv, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("Usage: tally hook")
        assert "Example:" in done.stdout


def test_without_an_installed_program_the_module_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pytest")])
    assert entry.hook_argv()[1:] == ["-I", "-m", "tallystick", "hook"]
    assert entry.tally_program().endswith("-m tallystick")


def test_a_compiled_launcher_is_no_script_for_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tally").write_bytes(b"\x7fELF")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert entry.hook_argv()[2] == "-m"
    assert entry.tally_program() == str(tmp_path / "tally")


def test_the_variables_of_sessions_are_the_clients() -> None:
    from tallystick.agents import surroundings
    from tallystick.client import config

    assert surroundings.SESSION_VARIABLES == config.SESSION_VARIABLES
    assert surroundings.KNOWN_LEDGERS_VARIABLE == config.KNOWN_LEDGERS_VARIABLE
