"""The shapes of a parsed shell text. All spans are character offsets into the text as given.

Plain tuples with names, not dataclasses: `dataclasses` costs as much to import as the interpreter
takes to start, and the guard pays for it before each command of an agent.
"""

from typing import NamedTuple

from tallystick.shell.quoting import HereDocument, Piece

Span = tuple[int, int]


class Word(NamedTuple):
    """One word of a command."""

    raw: str
    """As it was written."""
    text: str | None
    """What the command is given; None when an expansion decides."""
    span: Span
    pieces: tuple[Piece, ...] = ()
    """What it is made of, when an expansion decides; empty otherwise."""


class Assignment(NamedTuple):
    """`NAME=value`, before a command or by itself."""

    name: str
    value: Word
    """What stands behind the sign; `(a b)` for an array."""
    items: tuple[Word, ...] | None = None
    """The words of an array; None for a plain value."""


class Command(NamedTuple):
    """A simple command, wherever it stands: in a loop, a function, a substitution."""

    words: tuple[Word, ...]
    """The program and its arguments, without redirections; empty for mere assignments."""
    span: Span
    """With its assignments, without redirections behind it."""
    assigned: tuple[Assignment, ...] = ()
    stdin: str | None = None
    """The here-document or here-string that it reads, if that is certain."""
    stdin_word: Word | None = None
    """The here-string as a word, when an expansion decides it."""
    stdin_file: Word | None = None
    """What `< FILE` names."""
    into: Word | None = None
    """What `> FILE` names, the last one."""
    appends: bool = False
    """Whether it is `>> FILE`."""
    background: bool = False
    in_substitution: bool = False
    subshell: Span | None = None
    """The innermost subshell, substitution or part of a pipeline around it: what is changed inside
    (the directory, variables) is forgotten outside."""
    piped_from: int | None = None
    """The place in `Parsed.commands` of the command whose output it reads."""

    @property
    def assignments(self) -> tuple[tuple[str, str | None], ...]:
        """Names and values; None for a value that an expansion decides."""
        return tuple((each.name, each.value.text) for each in self.assigned)


class Loop(NamedTuple):
    """A `for NAME in WORDS`, wherever it stands."""

    variable: str
    values: tuple[Word, ...]
    span: Span


class Statement(NamedTuple):
    """One item of the outermost list; `a && b` are two."""

    kind: str
    """command, pipeline, for, while, if, case, function, group or other."""
    span: Span
    """With its redirections, without the operator behind it and without here-documents."""
    operator: str = ""
    """What stands behind it: `;`, `&`, `&&`, `||`, a new line, or nothing."""
    background: bool = False
    redirected: bool = False
    """Whether redirections belong to it as a whole."""
    variable: str | None = None
    """Of a `for NAME in …`."""
    words: tuple[Word, ...] = ()
    """Between `in` and `do`."""
    body: Span | None = None
    """Between `do` and `done`."""

    @property
    def values(self) -> tuple[str, ...] | None:
        """The words of a `for` when no expansion decides any of them (braces and patterns do)."""
        texts = tuple(word.text for word in self.words if word.text is not None)
        plain = all(not set(word.raw) & set("{*?[~") for word in self.words)
        return texts if plain and texts and len(texts) == len(self.words) else None


class Parsed(NamedTuple):
    """What was read of a text."""

    commands: tuple[Command, ...] = ()
    """In the order of their first characters; a command before those in its substitutions."""
    statements: tuple[Statement, ...] = ()
    exact: bool = True
    """Whether the grammar read it, all of it, without an error."""
    has_error: bool = False
    is_cut: bool = False
    """Whether there was more than is read."""
    functions: frozenset[str] = frozenset()
    """Names of the functions that it defines."""
    loops: tuple[Loop, ...] = ()
    documents: tuple[HereDocument, ...] = ()


class Reads(NamedTuple):
    """Where a command's standard input comes from, and where its output goes, if it is said."""

    stdin: str | None = None
    word: Word | None = None
    file: Word | None = None
    into: Word | None = None
    """Where its output goes."""
    appends: bool = False
    behind: tuple[Word, ...] = ()
    """Words of the command that stand behind the redirection."""
