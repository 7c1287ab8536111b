"""The look before the look: nothing that a judgement could object to passes it."""

import pytest

from tallystick.scripts import read_script
from tallystick.shell.classify import Around, Verdict, judge
from tallystick.shell.launchers import ALWAYS
from tallystick.shell.launchers import SUBCOMMANDS as LAUNCHING
from tallystick.shell.programs import COMPILED_RUNS, LANGUAGES, SHELLS, TESTS
from tallystick.shell.python_words import RUNNERS
from tallystick.shell.targets import NAMES as TARGETS
from tallystick.shell.triggers import could_matter
from tallystick.shell.unwrap import SPECIAL_NAMES
from tallystick.shell.wrappers import SUBCOMMANDS as WRAPPING
from tallystick.shell.wrappers import WRAPPERS
from tests.corpus.load import PROJECT, commands

BY_ANY_WORD = sorted(
    {*WRAPPERS, *SPECIAL_NAMES, *ALWAYS, *SHELLS, *TESTS, *LANGUAGES, *RUNNERS, *TARGETS}
    - {"tmux", "git", "awk", "gawk", "bun", "npm", "yarn", "pnpm", "find", "gfind"}
    - {name for name in LANGUAGES if name in LAUNCHING}
)
BY_SUBCOMMAND = sorted(
    {(name, sub) for table in (WRAPPING, LAUNCHING, COMPILED_RUNS) for name in table
     for sub in table[name]}
)  # fmt: skip


@pytest.mark.parametrize("name", BY_ANY_WORD)
def test_whoever_can_run_something_is_looked_at(name: str) -> None:
    assert could_matter(f"{name} x y")
    assert could_matter(f"cd a && {name} x")


@pytest.mark.parametrize(("name", "sub"), BY_SUBCOMMAND)
def test_so_is_a_subcommand_that_can(name: str, sub: str) -> None:
    assert could_matter(f"{name} {sub} x")
    assert could_matter(f"{name} --option value {sub} x")


@pytest.mark.parametrize("folder", ["commands", "held_out"])
def test_what_would_be_acted_upon_is_looked_at(folder: str) -> None:
    for entry in commands(folder):
        around = Around(cwd=str(PROJECT / entry.where), read=read_script)
        if judge(entry.text, around=around).verdict is not Verdict.UTILITY:
            assert could_matter(entry.text), entry


@pytest.mark.parametrize(
    "command",
    [
        "git status && ls -la",
        "git diff --stat | head -20",
        "cat README.md",
        "grep -rn loss . | head",
        "sed -n 1,80p notes.txt",
        "rg -n todo src",
        "pip install numpy",
        "nvidia-smi",
        "tail -f out.log",
        "squeue --me",
        "mkdir -p a b && touch a c",
        "docker ps -a",
        "",
    ],
)
def test_everyday_commands_cost_no_parsing(command: str) -> None:
    assert not could_matter(command)
