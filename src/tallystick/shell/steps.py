"""What a look at one command can say: a finding, or what to look at next.

The modules that know programs (`unwrap.py`, `python_words.py`, `targets.py` …) answer in steps;
`classify.py` alone follows them, so that none of them needs another.
"""

import re
from typing import Final, NamedTuple

from tallystick.shell.verdicts import Verdict

HOLE: Final = "\0"
"""Stands before and behind the name of what only a shell could tell, within a word."""
_HOLE: Final = re.compile(r"\0([^\0]*)\0")


class Found(NamedTuple):
    """A verdict on the command itself."""

    verdict: Verdict
    reason: str
    detail: str


class Words(NamedTuple):
    """A command that another one runs, as words."""

    words: tuple[str, ...]
    via: str = ""
    """What runs it; empty for nothing worth a mention."""
    remote: bool = False
    """Whether it runs where no file of this host is."""
    directory: str | None = None
    """Where it runs, when that is said; relative to where its wrapper runs."""
    computes: bool = False
    """Whether its wrapper gives it processors of a cluster: then a program that nobody knows is not
    taken for a utility."""
    stdin: bool = True
    """Whether it reads what its wrapper would read."""


class Text(NamedTuple):
    """A shell text that a command runs."""

    text: str
    via: str = ""
    remote: bool = False
    words: tuple[str, ...] = ()
    """What `$0`, `$1` … are in it."""
    directory: str | None = None


class Script(NamedTuple):
    """A file that a command runs."""

    path: str
    language: str
    """sh, python, text (some other language), or empty: its first line tells."""
    words: tuple[str, ...] = ()
    """Its arguments."""
    sourced: bool = False
    """Whether it runs in the shell itself."""


class Code(NamedTuple):
    """Python text that a command runs."""

    text: str
    name: str
    """What to call it: `python -c`, `standard input`."""


Step = Found | Words | Text | Script | Code


class Input(NamedTuple):
    """What a command reads on standard input."""

    text: str | None = None
    """When it is known."""
    path: str | None = None
    """The file that it is, when it is one."""
    source: str | None = None
    """The program that writes it, when only that is known."""

    @property
    def is_given(self) -> bool:
        """Whether the line says anything about it."""
        return self.text is not None or self.path is not None or self.source is not None


def basename(word: str) -> str:
    """The name of a program without its directories."""
    return word.rsplit("/", 1)[-1]


def is_known(word: str) -> bool:
    """Whether nothing in a word is open."""
    return HOLE not in word


def shown(word: str) -> str:
    """A word for people."""
    return _HOLE.sub(r"$\1", word).replace(HOLE, "$")


def hole(name: str) -> str:
    """A place in a word that only a shell could fill."""
    return f"{HOLE}{name.replace(HOLE, '')}{HOLE}"


def utility(detail: str = "nothing in it starts an experiment", reason: str = "nothing") -> Found:
    """The finding that lets a command pass."""
    return Found(Verdict.UTILITY, reason, detail)


def unknown(reason: str, detail: str) -> Found:
    """The finding for what cannot be judged."""
    return Found(Verdict.UNKNOWN, reason, detail)


def experiment(reason: str, detail: str) -> Found:
    """The finding for what starts an experiment."""
    return Found(Verdict.EXPERIMENT, reason, detail)
