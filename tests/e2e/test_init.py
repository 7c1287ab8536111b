"""`tally init` and `tally doctor` as a person calls them, beside a real server."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess

TALLY = Path(sys.executable).parent / "tally"
AGENTS = ("claude", "codex", "opencode", "gemini", "copilot", "cursor")


class Person:
    """Somebody in a project, with a home of their own."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.root, self.home = directory / "project", directory / "home"
        self.root.mkdir()
        self.home.mkdir()
        self.environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", **variables}

    def tally(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(TALLY), *words],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def answering(self, answer: bytes, *words: str) -> int:
        """Exit status at a terminal where this is typed."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.root)
            os.execve(TALLY, [str(TALLY), *words], self.environment)
        said = b""
        while b"Write this?" not in said:
            said += os.read(terminal, 65_536)
        os.write(terminal, answer)
        try:
            while os.read(terminal, 65_536):
                continue
        except OSError:  # the other side is gone
            pass
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status)

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_a_project_is_set_up_once_and_left_as_it_was(person: Person) -> None:
    (person.root / "AGENTS.md").write_text("# Ours\n")
    (person.root / ".mcp.json").write_text('{"mcpServers": {"other": {"command": "x"}}}')
    before = person.files()

    shown = person.tally("init", "--all", "--dry-run")
    assert shown.returncode == 0
    assert "+<!-- tallystick:begin -->" in shown.stdout
    assert person.files() == before

    unasked = person.tally("init", "--all")
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert person.files() == before

    first = person.tally("init", "--all", "--yes")
    assert first.returncode == 0, first.stderr
    assert "tally policy accept" in first.stdout
    written = person.files()
    again = person.tally("init")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "nothing to do")
    assert person.files() == written

    removed = person.tally("init", "--remove", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert person.files() == before
    assert sorted(path.name for path in person.root.iterdir()) == [".mcp.json", "AGENTS.md"]
    assert person.tally("init", "--remove").stdout == "nothing to do\n"


def test_at_a_terminal_it_asks_once_and_no_means_no(person: Person) -> None:
    assert person.answering(b"n\n", "init", "--agent", "codex") == 0
    assert person.files() == {}
    assert person.answering(b"y\n", "init", "--agent", "codex") == 0
    assert ".codex/hooks.json" in person.files()


def test_agents_are_found_by_what_they_leave(person: Person) -> None:
    nobody = person.tally("init", "--yes")
    assert nobody.returncode == 2
    assert "tally init --agent" in nobody.stderr
    (person.root / ".cursor").mkdir()
    (person.home / ".gemini").mkdir()
    answer = json.loads(person.tally("init", "--yes", "--json").stdout)
    assert answer["agents"] == ["gemini", "cursor"]
    assert answer["applied"] is True
    assert {item["action"] for item in answer["changes"]} == {"create"}


def test_settings_that_cannot_be_read_stop_everything_unless_they_are_skipped(
    person: Person,
) -> None:
    (person.root / ".mcp.json").write_text('{"mcpServers": {}} // shared')
    before = person.files()
    refused = person.tally("init", "--agent", "claude", "--yes")
    assert refused.returncode == 1
    assert ".mcp.json: left as it is" in refused.stderr
    assert '"mcpServers": {' in refused.stderr, "the text to paste"
    assert "--skip-broken" in refused.stderr
    assert person.files() == before
    skipped = person.tally("init", "--agent", "claude", "--yes", "--skip-broken")
    assert skipped.returncode == 1
    assert person.files()[".mcp.json"] == before[".mcp.json"]
    assert ".claude/settings.local.json" in person.files()


def test_a_home_directory_is_no_project(person: Person) -> None:
    refused = person.tally("init", "--all", "--yes", str(person.home))
    assert refused.returncode == 2
    assert list(person.home.iterdir()) == []


def test_the_doctor_proves_what_init_wrote_and_names_what_was_broken(
    server: ServerProcess, tmp_path: Path
) -> None:
    person = Person(tmp_path, TALLY_DATA_DIR=str(server.data_dir))
    before = person.tally("doctor")
    assert before.returncode == 1
    assert "✗ project" in before.stdout
    person.tally("init", "--all", "--yes")

    well = person.tally("doctor", "--json")
    assert well.returncode == 0, well.stdout
    found = {item["check"]: item for item in json.loads(well.stdout)}
    assert {item["verdict"] for item in found.values()} <= {"ok", "warn"}
    for agent in AGENTS:
        assert found[f"{agent} canary"]["verdict"] == "ok"
        assert found[f"{agent} files"]["verdict"] == "ok"
    for check in ("skill", "mcp", "server", "clock", "policy"):
        assert found[check]["verdict"] == "ok", found[check]
    assert not (person.home / ".tally" / "spool").exists()

    def failing() -> dict[str, Any]:
        items = json.loads(person.tally("doctor", "--json").stdout)
        return {item["check"]: item for item in items if item["verdict"] == "fail"}

    hooks = person.root / ".codex/hooks.json"
    hooks.write_text(hooks.read_text().replace(str(TALLY), "/nowhere/tally"))
    broken = failing()
    assert set(broken) == {"codex files", "codex canary"}
    assert broken["codex files"]["mend"] == "tally init"
    assert person.tally("init", "--yes").returncode == 0
    assert failing() == {}
