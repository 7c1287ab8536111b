"""What is asked about a command line, and what is answered."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

MOST_SCRIPT_BYTES: Final = 262_144
"""So much of a script is read."""


class Verdict(StrEnum):
    """What a command line would do."""

    EXPERIMENT = "experiment"
    """It trains, evaluates, benchmarks or sweeps."""
    UNKNOWN = "unknown"
    """It starts code that could not be read, or could not be judged."""
    UTILITY = "utility"
    """Neither: it passes."""


def nothing_to_read(_path: str) -> bytes | None:
    """Reads no file: every script is unreadable."""
    return None


class Around(NamedTuple):
    """What surrounds a command line when it runs."""

    cwd: str = "/"
    """Absolute; relative scripts are looked for there."""
    home: str = ""
    """What `~` stands for."""
    read: Callable[[str], bytes | None] = nothing_to_read
    """From an absolute path to at most `MOST_SCRIPT_BYTES` bytes; None when it is absent,
    unreadable or no plain file."""
    variables: Mapping[str, str] = MappingProxyType({})
    """Of the environment, as far as they may name programs or scripts."""


class Rules(NamedTuple):
    """What a project says about its own commands; it rules over what is built in."""

    mode: str | None = None
    """convert, deny, warn or off; not looked at here."""
    allow: tuple[str, ...] = ()
    """Patterns of commands that are utilities: first words (`make figures`), or a pattern for the
    whole command (`python tools/*`)."""
    experiment: tuple[str, ...] = ()
    """Likewise, for experiments; they win over `allow`."""
    utility_scripts: tuple[str, ...] = ()
    """Patterns of scripts that are utilities, relative to any directory (`scripts/plot_*.py`)."""
    tests_are_runs: bool = False
    """Whether a test suite counts as an experiment."""


class Judgement(NamedTuple):
    """What a command line would do, and why."""

    verdict: Verdict
    reason: str
    """A stable slug, one of `REASONS`."""
    detail: str
    """A sentence for people."""
    span: tuple[int, int] = (0, 0)
    """The place in the command line that decided, in characters."""
    text: str = ""
    """What stands there."""
    via: tuple[str, ...] = ()
    """Wrappers and scripts on the way, the outermost first."""
    exact: bool = True
    """Whether the grammar read the line without an error."""


REASONS: Final = {
    "allowed": "the project's rules allow it",
    "build_target": "a target of make, just, npm or the like",
    "inline_code": "code on the command line or on standard input",
    "launcher": "a program that only starts experiments",
    "nothing": "nothing in it starts an experiment",
    "notebook": "a notebook that is executed",
    "program": "a program whose name or options speak of training or evaluation",
    "project_rule": "the project's rules call it an experiment",
    "python_module": "python -m",
    "python_script": "a Python script",
    "remote": "a command for another machine or container that cannot be read",
    "script": "a script in another language",
    "shell_script": "a shell script",
    "tests": "a test suite that counts as an experiment here",
    "too_deep": "nested deeper than is looked into",
    "too_long": "longer than is looked into",
    "unreadable": "not to be read as shell text",
}
"""Every reason, with what it means."""
