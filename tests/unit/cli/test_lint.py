"""`tally lint`: reads the scripts of a directory, asks no server, and refuses only when told to."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.cli.main import main

Tally = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tally:
    """The command in an empty directory, with no server anywhere."""
    monkeypatch.setenv("TALLY_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["lint", *arguments])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_a_finding_is_its_code_what_was_found_and_what_to_do(tally: Tally, tmp_path: Path) -> None:
    code, out, _ = tally("python main.py --lr 1")
    assert (code, out.splitlines()[0]) == (
        0, f"R102 script-missing: no file can be read at {tmp_path}/main.py",
    )  # fmt: skip
    assert out.splitlines()[1].startswith("    name the script relative to")


def test_the_scripts_of_the_directory_are_read(tally: Tally, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "main.py").write_text("import torch\nloss.backward()\n")
    _, out, _ = tally("--workdir", "sub", "--json", "python main.py")
    (found,) = json.loads(out)
    assert (found["code"], found["name"], found["span"]) == ("R101", "no-seed", [0, 14])
    assert tally("--workdir", "sub", "-p", "seed=1", "python main.py")[1] == ""


def test_nothing_found_is_said_beside_the_answer(tally: Tally) -> None:
    code, out, err = tally("sleep 3")
    assert (code, out) == (0, "")
    assert "nothing to say" in err
    assert json.loads(tally("--json", "sleep 3")[1]) == []


def test_only_strict_turns_findings_into_an_exit_code(tally: Tally) -> None:
    assert tally("--strict", "sleep 3")[0] == 0
    assert tally("--strict", "pip install torch")[0] == 1
    assert tally("pip install torch")[0] == 0


def test_a_command_comes_from_standard_input(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("git pull\n"))
    assert tally("-")[1].startswith("R114 changes-code: git pull")
