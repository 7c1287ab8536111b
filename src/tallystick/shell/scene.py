"""Where a command stands: its directory, the variables set before it, what may still be read.

A scene belongs to one shell text; what a subshell changes is forgotten behind it. Words are
resolved against it: what stays open is a hole (`steps.hole`), never a guess.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tallystick.shell.parse import parse
from tallystick.shell.quoting import Piece, literal, pieces
from tallystick.shell.steps import HOLE, hole, is_known
from tallystick.shell.syntax import Assignment, Command, Parsed, Span, Word
from tallystick.shell.verdicts import MOST_SCRIPT_BYTES, Around, Rules

MOST_FILES: Final = 100
"""So many scripts and modules are read for one command line."""
MOST_ABSENT: Final = 400
"""So many that are not there, or may not be read."""
MOST_LOOKS: Final = 6_000
"""So many commands are looked at, those in scripts and loops included."""
MOST_CHARACTERS: Final = 600_000
"""So much shell text is parsed, the same text again for each value of a loop."""
_MOST_SUBSTITUTED: Final = 32_768
_LONGEST_VALUE: Final = 65_536
_DEEPEST_SUBSTITUTION: Final = 12
_PRINTING: Final = re.compile(
    r"\s*(?:echo|printf|cat|pwd|cd|which|command|type|whereis|dirname|basename|realpath|readlink)\b"
)
_BINARY: Final = b"\0"
_BLANK: Final = re.compile(r"[ \t\n]+")
_PARAMETERS: Final = re.compile(r"[0-9]+|[@*]")
_WRITERS: Final = frozenset({"cat", "echo", "printf"})
_QUESTIONS: Final = frozenset({"which", "command", "type", "whereis"})

Value = str | tuple[str, ...]


class Budget:
    """What one judgement may still spend; shared by all its scenes."""

    def __init__(self, around: Around, rules: Rules) -> None:
        self.around = around
        self.rules = rules
        self.open: set[str] = set()
        """The scripts that are being read: one that runs itself is not read again."""
        self.written: dict[str, str | None] = {}
        """Files that the command line itself writes; None for a content that is not certain."""
        self._files = MOST_FILES
        self._absent = MOST_ABSENT
        self._looks = MOST_LOOKS
        self._characters = MOST_CHARACTERS

    def look(self) -> bool:
        """Whether one more command may be looked at."""
        self._looks -= 1
        return self._looks >= 0

    def parse(self, text: str) -> Parsed | None:
        """A text as its commands; None when enough was parsed."""
        self._characters -= len(text)
        return parse(text) if self._characters >= 0 else None

    def read(self, path: str) -> str | None:
        """A text file; None for what is absent, unreadable or binary."""
        if path in self.written:
            return self.written[path]
        if self._files <= 0 or self._absent <= 0:
            return None
        try:
            found = self.around.read(path)
        except (OSError, ValueError):
            found = None
        if found is None:
            self._absent -= 1
            return None
        self._files -= 1
        if _BINARY in found:
            return None
        return found[:MOST_SCRIPT_BYTES].decode("utf-8", "replace")


MOST_PRINTED: Final = 2_000
"""Characters of a substitution that may be one that only prints."""


class Scene:
    """One shell text on its way."""

    def __init__(
        self,
        budget: Budget,
        cwd: str | None,
        *,
        words: Sequence[str] = (),
        remote: bool = False,
        depth: int = 0,
    ) -> None:
        self.budget = budget
        self.cwd = cwd
        self.words = tuple(words)
        """`$0`, `$1`, …"""
        self.remote = remote
        self.depth = depth
        self.variables: dict[str, Value] = {}
        self._pushed: list[str | None] = []
        self._left: list[tuple[Span, str | None, dict[str, Value]]] = []

    def inner(
        self,
        *,
        words: Sequence[str] = (),
        remote: bool = False,
        directory: str | None = None,
        deeper: bool = True,
    ) -> "Scene":
        """The scene of a text that runs within this one."""
        cwd = self.path(directory) if directory is not None else self.cwd
        scene = Scene(
            self.budget, cwd, words=words, remote=self.remote or remote, depth=self.depth + deeper
        )
        scene.variables = dict(self.variables)
        return scene

    def enter(self, command: Command) -> None:
        """Before each command, in their order: leave the subshells that are over."""
        while self._left and command.span[0] >= self._left[-1][0][1]:
            _, self.cwd, self.variables = self._left.pop()
        around = command.subshell
        if around is not None and (not self._left or self._left[-1][0] != around):
            self._left.append((around, self.cwd, dict(self.variables)))

    def path(self, word: str) -> str | None:
        """The absolute path that a word names; None when that is not certain."""
        if not is_known(word) or not word or (self.cwd is None and not word.startswith("/")):
            return None
        return posixpath.normpath(posixpath.join(self.cwd or "/", word))

    def read(self, word: str) -> str | None:
        """The text of the file that a word names, if it is on this host."""
        path = None if self.remote else self.path(word)
        return None if path is None else self.budget.read(path)

    def leave(self, words: Sequence[str], command: Command) -> None:
        """Remember what a command writes: a script may be written and run by one line."""
        if self.remote:
            return
        into = [] if command.into is None else [" ".join(self.resolve(command.into))]
        text = self.printed(words, command) if words[0] in _WRITERS else None
        plain = [word for word in words[1:] if not word.startswith("-")]
        if words[0] == "tee":
            into, text = plain, command.stdin
        elif words[0] in {"cp", "mv"} and len(plain) == 2 and self.path(plain[0]):
            into, text = plain[1:], self.read(plain[0])
        appends = command.appends or (words[0] == "tee" and "-a" in words)
        for path in filter(None, map(self.path, into)):
            before = (self.budget.read(path) or "") if appends and text is not None else ""
            self.budget.written[path] = (
                None if text is None else (before + text)[:MOST_SCRIPT_BYTES]
            )

    def change(self, words: Sequence[str]) -> None:
        """`cd`, `pushd`, `popd`."""
        to = [word for word in words[1:] if word not in {"-P", "-L", "--", "-q"}]
        if words[0] == "popd":
            self.cwd = self._pushed.pop() if self._pushed else None
        elif to[:1] == ["-"]:
            self.cwd = None
        else:
            if words[0] == "pushd":
                self._pushed.append(self.cwd)
            self.cwd = self.path(to[0]) if to else (self.budget.around.home or None)

    def assign(self, assigned: Sequence[Assignment]) -> None:
        """What assignments leave behind."""
        for each in assigned:
            if each.items is not None:
                self.variables[each.name] = tuple(self.resolve_all(each.items))
            else:
                value = " ".join(self.resolve(each.value))
                is_sane = len(value) <= _LONGEST_VALUE
                self.variables[each.name] = value if is_sane else hole(each.name)

    def resolve_all(self, words: Sequence[Word]) -> list[str]:
        """The words of a command, as far as they are certain."""
        return [text for word in words for text in self.resolve(word)]

    def resolve(self, word: Word) -> list[str]:
        """What one word becomes: mostly one, several when a variable holds several."""
        if word.text is not None:
            home = self.budget.around.home
            if home and word.raw.startswith("~") and word.raw[1:2] in {"", "/"}:
                return [home + word.text[1:]]
            return [word.text]
        parts = [""]
        for piece in word.pieces:
            self._append(parts, piece)
        if all(piece.quoted for piece in word.pieces):
            return parts
        return [part for part in parts if part] or []

    def _append(self, parts: list[str], piece: Piece) -> None:
        """One piece at the end of what a word has become."""
        if piece.kind == "text":
            parts[-1] += piece.value
            return
        values = self._values(piece)
        if not values:
            return
        parts[-1] += values[0]
        parts += values[1:]

    def _values(self, piece: Piece) -> list[str]:
        """What an expansion gives."""
        if piece.kind == "substitution":
            output = self.output(piece.value)
            value: Value = hole(f"({piece.value})") if output is None else output.rstrip("\n")
        elif piece.kind == "variable":
            value = self.value(piece.value)
        else:
            value = hole("…")
        if isinstance(value, tuple):
            return list(value)
        if piece.quoted or HOLE in value:
            return _split_outside_holes(value) if not piece.quoted else [value]
        return _BLANK.split(value.strip())

    def value(self, written: str) -> Value:
        """The value of a variable, `NAME` or `NAME:-default`."""
        name, has_default, default = written.partition(":-")
        found = self._lookup(name)
        if found is not None:
            return found
        if has_default:
            text = literal(pieces(default))
            return text if text is not None else hole(name)
        return hole(name)

    def _lookup(self, name: str) -> Value | None:
        """What a name stands for; None when nothing says it."""
        if name in self.variables:
            return self.variables[name]
        if _PARAMETERS.fullmatch(name) and self.words:
            if name in {"@", "*"}:
                return self.words[1:]
            return self.words[int(name[:4])] if int(name[:4]) < len(self.words) else ""
        if name == "BASH_SOURCE":
            return self.words[0] if self.words else None
        if name == "HOME":
            return self.budget.around.home or None
        if name == "PWD":
            return self.cwd
        given = self.budget.around.variables.get(name)
        return given.replace(HOLE, "") if given is not None else None

    def output(self, text: str) -> str | None:
        """What a substitution prints, for the few commands that only print; None for others."""
        inner = self.inner()
        if len(text) > MOST_PRINTED or inner.depth > 8 or not self.budget.look():
            return None
        found = parse(text)
        said: str | None = None
        if len(found.commands) > 4:
            return None
        for command in found.commands:
            if command.in_substitution:
                continue
            if not command.words or command.piped_from is not None:
                return None
            words = inner.resolve_all(command.words)
            if words[:1] == ["cd"]:
                inner.change(words)
                continue
            said = inner.printed(words, command)
            if said is None:
                return None
        return said

    def printed(self, words: Sequence[str], command: Command) -> str | None:
        """What a command prints, if it only prints; None when that is not certain."""
        if not words:
            return None
        name, rest = words[0], list(words[1:])
        plain = [word for word in rest if not word.startswith("-")]
        if name == "echo":
            return " ".join(_without_options(rest)) + "\n"
        if name == "printf":
            return _printf(rest)
        if name == "cat" and not plain:
            return command.stdin
        if name == "cat":
            texts = [self.read(word) for word in plain]
            return None if None in texts else "".join(text for text in texts if text)
        if name == "pwd":
            return self.cwd
        if name in _QUESTIONS:
            return plain[-1] if plain and is_known(plain[-1]) else None
        return self._named(name, plain)

    def _named(self, name: str, plain: list[str]) -> str | None:
        """What programs print that take names of files apart."""
        if not plain:
            return None
        if name == "dirname":
            return posixpath.dirname(plain[0]) or "."
        if name == "basename":
            base = posixpath.basename(plain[0])
            return base.removesuffix(plain[1]) if len(plain) > 1 else base
        if name in {"realpath", "readlink"}:
            return self.path(plain[0])
        return None


def _without_options(words: list[str]) -> Iterator[str]:
    """The words of an `echo` behind `-n`, `-e`, with the letters that `-e` means."""
    options = 0
    while options < len(words) and words[options] in {"-n", "-e", "-ne", "-en", "-E"}:
        options += 1
    for word in words[options:]:
        yield word.replace("\\n", "\n") if options and "e" in words[0] else word


def _printf(words: list[str]) -> str | None:
    """A format and its values, each in the place of the next `%s` or `%d`."""
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        return None
    values = iter(words[1:])
    form = words[0].replace("\\n", "\n").replace("%%", "%")
    once = re.sub(r"%-?[0-9.]*[sdqbi]", lambda _match: next(values, ""), form)
    rest = list(values)
    return once + "\n".join(rest)


def _split_outside_holes(value: str) -> list[str]:
    """Words of a value, a hole being one piece however it is named."""
    words = [""]
    for place, part in enumerate(value.split(HOLE)):
        if place % 2:
            words[-1] += f"{HOLE}{part}{HOLE}"
            continue
        more = _BLANK.split(part)
        words[-1] += more[0]
        words += more[1:]
    return [word for word in words if word] or [""]
