"""Where the placeholders of a command stand, as a shell reads it; pure.

Not a shell's grammar, only what decides whether a quoted word may be put there: quotes, comments,
substitutions, here-documents. Where that is not certain, only plain values are taken.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_EXPANSION: Final = re.compile(r"\$\{[^{}'\"`$\\]*\}")
_HERE: Final = re.compile(r"<<-?[ \t]*(?:'(\w+)'|\"(\w+)\"|\\?(\w+))")
_NAMED_VARIABLE: Final = re.compile(r"\$\w+\Z")
_WORD_ENDS: Final = " \t\n;&|("


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place for a value."""

    name: str
    where: str = ""
    """Where it stands, in words, when a quoted word cannot stand there: `in double quotes`."""
    after_variable: bool = False
    """Whether it follows the name of a shell variable at once."""

    @property
    def quoted(self) -> bool:
        """Whether only plain values may stand there."""
        return bool(self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A command, cut at its placeholders, and how it ends."""

    pieces: tuple[str | Slot, ...]
    open: str | None
    """What is not finished at its end, in words: text added there would be part of it."""
    murky: str | None
    """What makes that the places after it could not be told, in words."""


def scan(command: str, names: Sequence[str]) -> Scanned:
    """Find the placeholders of `names` in a command of bash."""
    return _Scan(command=command, names=names).run()


@dataclass(slots=True)
class _Scan:
    """One pass over a command."""

    command: str
    names: Sequence[str]
    at: int = 0
    text: list[str] = field(default_factory=list)
    pieces: list[str | Slot] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    """What is open: `"` for double quotes, `(` for anything in parentheses."""
    here: list[str] = field(default_factory=list)
    """Last lines of the here-documents that begin at the next line."""
    open: str | None = None
    murky: str | None = None

    def run(self) -> Scanned:
        """To the end."""
        while self.at < len(self.command):
            if not self._anywhere() and (self._in_double or not self._in_command()):
                self._take(1)
        self._flush()
        if self.frames and self.open is None:
            kind = "double quotes" if '"' in self.frames else "parentheses"
            self.open = f"in {kind} that are not closed"
        return Scanned(pieces=tuple(self.pieces), open=self.open, murky=self.murky)

    def _anywhere(self) -> bool:
        """What means the same inside double quotes and outside; whether it was that."""
        match self.command[self.at]:
            case "\\":
                self._take(2)
            case '"':
                self._toggle()
            case "`":
                self._region("`", "in backquotes", start=1)
            case "$":
                self._dollar()
            case "{":
                return self._placeholder(self._where())
            case _:
                return False
        return True

    def _in_command(self) -> bool:
        """What means something outside quotes only."""
        char = self.command[self.at]
        if char == "'":
            self._region("'", "in single quotes", start=1)
        elif char == "#" and (self.at == 0 or self.command[self.at - 1] in _WORD_ENDS):
            self._comment()
        elif char == "(":
            self._parenthesis(1)
        elif char == ")" and self.frames:
            self.frames.pop()
            self._take(1)
        elif char == "<":
            return self._redirection()
        elif char == "\n" and self.here:
            self._here_documents()
        else:
            return False
        return True

    @property
    def _in_double(self) -> bool:
        return bool(self.frames) and self.frames[-1] == '"'

    def _where(self) -> str:
        return "in double quotes" if '"' in self.frames else self.murky or ""

    def _toggle(self) -> None:
        """A double quote opens or closes."""
        if self._in_double:
            self.frames.pop()
        else:
            self.frames.append('"')
        self._take(1)

    def _dollar(self) -> None:
        """What begins with a dollar sign."""
        following = self.command[self.at + 1 : self.at + 2]
        expansion = _EXPANSION.match(self.command, self.at)
        if expansion is not None:
            self._take(len(expansion[0]))
        elif following == "{":
            self.murky = self.murky or "after an expansion that is not a simple one"
            self._take(2)
        elif following == "(":
            self._parenthesis(2)
        elif following == "'" and not self._in_double:
            self._region("'", "in $'quotes'", start=2, escapes=True)
        else:
            self._take(1)

    def _parenthesis(self, length: int) -> None:
        """A group, a substitution, or arithmetic."""
        if self.command.startswith("(", self.at + length):
            self._region("))", "in arithmetic", start=length + 1)
        else:
            self.frames.append("(")
            self._take(length)

    def _redirection(self) -> bool:
        """The beginning of a here-document; whether it is one."""
        if self.command.startswith("<<<", self.at):
            self._take(3)
            return True
        found = _HERE.match(self.command, self.at)
        if found is None:
            return False
        self.here.append(found[1] or found[2] or found[3])
        self._take(len(found[0]))
        return True

    def _here_documents(self) -> None:
        """The lines up to each last line, which ends one."""
        self._take(1)
        for last in self.here:
            ended = False
            while self.at < len(self.command) and not ended:
                until = self.command.find("\n", self.at)
                line = self.command[self.at : until if until >= 0 else None]
                ended = line.lstrip("\t") == last
                if not ended:
                    self._region("\n", "in a here-document", start=0)
                elif self.at + len(line) == len(self.command):
                    self.open = "in a here-document"
                    self._take(len(line))
                else:
                    self._take(len(line) + 1)
            if not ended:
                self.open = "in a here-document"
        self.here.clear()

    def _comment(self) -> None:
        """To the end of its line, which is part of the command again."""
        until = self.command.find("\n", self.at)
        self._region("\n", "in a comment", start=1, keep=until >= 0)

    def _region(
        self, closer: str, where: str, *, start: int, escapes: bool = False, keep: bool = False
    ) -> None:
        """Everything up to `closer`, whose placeholders take plain values only.

        With `keep` the closer itself is left for others to read.
        """
        self._take(start)
        while self.at < len(self.command):
            if self.command.startswith(closer, self.at):
                self._take(0 if keep else len(closer))
                return
            if self.command[self.at] == "{" and self._placeholder(where):
                continue
            self._take(2 if escapes and self.command[self.at] == "\\" else 1)
        self.open = where if closer == "\n" else f"{where} not closed"

    def _placeholder(self, where: str) -> bool:
        """Whether `{name}` of a declared name stands here; `{{name}}` is that text itself."""
        for name in self.names:
            if self.command.startswith("{{" + name + "}}", self.at):
                self.text.append("{" + name + "}")
                self.at += len(name) + 4
                return True
            if self.command.startswith("{" + name + "}", self.at):
                after = _NAMED_VARIABLE.search("".join(self.text)) is not None
                self._flush()
                self.pieces.append(Slot(name=name, where=where, after_variable=after))
                self.at += len(name) + 2
                return True
        return False

    def _take(self, length: int) -> None:
        """Text that stays as it is."""
        self.text.append(self.command[self.at : self.at + length])
        self.at += length

    def _flush(self) -> None:
        if self.text:
            self.pieces.append("".join(self.text))
            self.text.clear()
