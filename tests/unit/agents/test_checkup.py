"""`tally doctor`: what was installed is proven, and each way it can be broken is found."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import canary, checkup, codex_checks, install, program_checks
from tallystick.agents.conversing import Conversation
from tallystick.agents.found import NAMES
from tallystick.agents.pieces import HOOK_FILES, Program
from tallystick.agents.visit import Visit
from tallystick.doctor.finding import Finding, Verdict
from tallystick.errors import UnavailableError
from tallystick.testing.clock import ManualClock
from tests.unit.agents.visiting import THREE, codex_says, hook, is_failure, put_on_path

# The guard


@pytest.mark.parametrize("agent", NAMES)
def test_the_installed_guard_answers_each_agent_in_its_own_form(visit: Visit, agent: str) -> None:
    found = canary.answers(visit, agent)
    assert found.verdict is Verdict.OK, found
    assert ("refuses" if agent == "cursor" else "converts") in found.found
    assert not visit.tally_home.exists(), "a canary leaves no decision behind"


def guarded_by(visit: Visit, script: str) -> Visit:
    """A visit whose installed guard is another program."""
    assert visit.home is not None
    file = visit.home.parent / "tally"
    file.write_text(script)
    program = Program(hook=(sys.executable, str(file), "hook"), server=visit.program.server)
    install.apply(install.plan(visit.root, NAMES, program))
    return replace(visit, program=program)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise SystemExit('broken install')", "exit status 1: broken install"),
        ("print('Traceback')", "found Traceback"),
        ("pass", "found silence"),
        (
            'print(\'{"hookSpecificOutput": {"updatedInput": {"command": "torchrun"}}}\')',
            "expected",
        ),
        ("print('[1]')", "expected"),
    ],
)
def test_a_guard_that_does_not_act_is_found(visit: Visit, script: str, words: str) -> None:
    assert is_failure(canary.answers(guarded_by(visit, script), "claude"), words)


def test_codex_needs_allow_beside_a_rewrite() -> None:
    rewritten = {"updatedInput": {"command": "tally exec -- x"}}
    assert canary.acted_on("codex", json.dumps({"hookSpecificOutput": rewritten}).encode()) is None
    allowed = {**rewritten, "permissionDecision": "allow"}
    assert canary.acted_on("codex", json.dumps({"hookSpecificOutput": allowed}).encode())


def test_a_guard_that_hangs_is_found(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "HOOK_SECONDS", 0.3)
    hanging = guarded_by(visit, "import time; time.sleep(60)")
    assert is_failure(canary.answers(hanging, "claude"), "no answer within")


def test_a_guard_that_is_slow_is_told(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "SLOW_MS", -1)
    found = canary.answers(visit, "gemini")
    assert (found.verdict, found.found[:15]) == (Verdict.WARN, "converts after ")


@pytest.mark.parametrize("agent", NAMES)
def test_a_guard_that_is_gone_or_cannot_be_started_is_found(visit: Visit, agent: str) -> None:
    file = visit.root / HOOK_FILES[agent]
    file.write_text(file.read_text().replace(sys.executable, "/nowhere/python"))
    assert is_failure(canary.answers(visit, agent), "/nowhere/python cannot be started")
    file.write_text("{}")
    assert is_failure(canary.answers(visit, agent), "names no guard")
    file.unlink()
    assert is_failure(canary.answers(visit, agent), "names no guard")


# The files


def test_files_that_are_not_as_written_are_found(visit: Visit) -> None:
    for agent in NAMES:
        assert program_checks.files(visit, agent).verdict is Verdict.OK
    file = visit.root / ".claude/settings.local.json"
    file.write_text(file.read_text().replace('"onFailure": "block"', '"onFailure": "continue"'))
    assert is_failure(program_checks.files(visit, "claude"), "is not as init would write it")
    (visit.root / ".codex/hooks.json").unlink()
    assert is_failure(program_checks.files(visit, "codex"), ".codex/hooks.json is missing")
    (visit.root / ".gemini/settings.json").write_text("{} // mine")
    assert is_failure(program_checks.files(visit, "gemini"), "expected JSON")


def test_notes_without_our_lines_are_found(visit: Visit) -> None:
    assert program_checks.notes(visit).verdict is Verdict.OK
    (visit.root / "AGENTS.md").write_text("nothing of it\n")
    assert is_failure(program_checks.notes(visit), "AGENTS.md is not")


def test_a_skill_copy_that_is_another_text_a_link_or_missing_is_found(visit: Visit) -> None:
    assert program_checks.skills(visit).found.startswith("2 equal")
    copy = visit.root / ".claude/skills/tallystick-protocol"
    (copy / "SKILL.md").write_text("older\n")
    assert is_failure(program_checks.skills(visit), "another text")
    (copy / "SKILL.md").unlink()
    assert is_failure(program_checks.skills(visit), "is missing")
    (copy / "SKILL.md").symlink_to(visit.root / ".agents/skills/tallystick-protocol/SKILL.md")
    assert is_failure(program_checks.skills(visit), "is a link")


def test_a_guard_that_two_files_load_is_told(visit: Visit) -> None:
    for agent in NAMES:
        assert program_checks.duplicates(visit, agent).found.startswith("once")
    shared = visit.root / ".claude/settings.json"
    shared.write_text((visit.root / ".claude/settings.local.json").read_text())
    for agent in ("claude", "copilot", "cursor"):
        found = program_checks.duplicates(visit, agent)
        assert found.verdict is Verdict.WARN
        assert str(shared) in found.found
    assert visit.home is not None
    (visit.home / ".codex").mkdir()
    line = f"{sys.executable} -m tallystick hook"
    (visit.home / ".codex/config.toml").write_text(
        f'[[hooks.PreToolUse]]\n[[hooks.PreToolUse.hooks]]\ntype = "command"\ncommand = "{line}"\n'
    )
    assert program_checks.duplicates(visit, "codex").verdict is Verdict.WARN


def test_paths_of_this_machine_in_git_are_told(visit: Visit) -> None:
    assert program_checks.tracked(visit).found == "no git repository"
    environment = {"PATH": os.defpath, "HOME": str(visit.home)}
    for words in (["init", "-q"], ["add", "-f", ".codex/hooks.json"]):
        assert (
            os.spawnvpe(os.P_WAIT, "git", ["git", "-C", str(visit.root), *words], environment) == 0
        )
    found = program_checks.tracked(visit)
    assert found.verdict is Verdict.WARN
    assert found.mend is not None
    assert "git rm --cached .codex/hooks.json" in found.mend


# The agents' programs


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("2.1.330 (Claude Code)", Verdict.OK),
        ("2.1.295", Verdict.OK),
        ("2.1.294 (Claude Code)", Verdict.FAIL),
        ("1.0.117", Verdict.FAIL),
        ("no number", Verdict.WARN),
    ],
)
def test_a_version_that_cannot_do_it_is_found(visit: Visit, said: str, verdict: Verdict) -> None:
    put_on_path(visit, "claude", f"print({said!r})")
    assert program_checks.version(visit, "claude").verdict is verdict


def test_an_agent_that_is_not_on_path_is_told(visit: Visit) -> None:
    found = program_checks.version(visit, "cursor")
    assert (found.verdict, found.mend) == (Verdict.WARN, "which cursor-agent")


def test_hooks_that_codex_trusts_are_fine(visit: Visit) -> None:
    foreign = hook("stop", command="bell", trustStatus="untrusted")
    found = codex_checks.trust(codex_says(visit, [*THREE, foreign]), "codex")
    assert (found.verdict, found.found) == (Verdict.OK, "3 hooks loaded and trusted")


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ([], "the project is not trusted"),
        ([hook("preToolUse", trustStatus="untrusted"), *THREE[1:]], "preToolUse is untrusted"),
        ([hook("preToolUse", trustStatus="modified"), *THREE[1:]], "preToolUse is modified"),
        ([hook("preToolUse", enabled=False), *THREE[1:]], "turned off: preToolUse"),
        (THREE[1:], "expected 3 hooks; codex loads 2"),
    ],
)
def test_hooks_that_codex_would_skip_are_found(visit: Visit, hooks: Any, words: str) -> None:
    assert is_failure(codex_checks.trust(codex_says(visit, hooks), "codex"), words)


def test_a_codex_that_ends_or_says_nothing_is_no_end_of_the_round(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(visit, "codex", "raise SystemExit(1)")
    with pytest.raises(UnavailableError, match="codex ended"):
        codex_checks.trust(visit, "codex")
    put_on_path(visit, "codex", "import time; time.sleep(60)")
    impatient = partial(Conversation, seconds=0.3)
    monkeypatch.setattr("tallystick.agents.codex_checks.Conversation", impatient)
    with pytest.raises(UnavailableError, match="said nothing"):
        codex_checks.trust(visit, "codex")


# The round


def test_the_round_of_a_project_that_is_not_set_up_says_so_first(tmp_path: Path) -> None:
    clock = ManualClock()
    environment = {"HOME": str(tmp_path)}
    program = Program(hook=("python", "hook"), server=("tally", "mcp"))
    visit = checkup.visit_of(tmp_path, program, environment=environment, clock=clock)
    found = checkup.examine(visit)
    assert found[0].check == "project"
    assert is_failure(found[0], "the guard looks away")


def test_a_check_that_cannot_look_says_so_and_holds_up_no_other(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_visit: Visit, _agent: str) -> Finding:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkup, "_OF_AN_AGENT", (broken,))
    monkeypatch.setattr(checkup, "_OF_THE_PROJECT", ())
    found = checkup.examine(replace(visit, agents=("claude",)))
    assert is_failure(found[0], "Permission denied")
    assert [item.check for item in found[1:]] == ["server", "clock", "spool", "disk"]
