"""A shell command line as simple commands, as far as that is certain.

Quotes, escapes, comments, operators and the extent of expansions are read as bash reads them;
nothing is expanded: a word with an expansion in it has no known text. What bash would refuse is not
read, nor are here-documents and a few rarities in command substitutions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_OPERATORS: Final = frozenset(";&|\n()")
_BLANKS: Final = frozenset(" \t")
_ENDS_WORD: Final = _OPERATORS | _BLANKS | frozenset("<>")
_ESCAPED_IN_QUOTES: Final = frozenset('$`"\\\n')
_REDIRECTION: Final = re.compile(r"<<<|<<|<>|<&|>>|>&|>\||<|>")
_PARAMETER: Final = re.compile(r"\{[^{}'\"$`\\\n]+\}")
_RARE: Final = re.compile(r"\bcase\b|<<|#")
"""What can hold a bracket that closes nothing."""
_DEEPEST: Final = 20


class UnreadableError(ValueError):
    """Only a shell could tell."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a simple command."""

    raw: str
    """As it was written."""
    text: str | None
    """What the command is given; None when an expansion decides it, and for redirections."""


def commands(line: str) -> Iterator[list[Word]]:
    """The simple commands of a line in their order, without what is between them.

    Reserved words (`do`, `then`, `{`) and redirections are words like any other. Raises
    `UnreadableError`.
    """
    return _Reader(line).commands()


class _Reader:
    """Reads one line, from left to right."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._depth = 0

    def commands(self) -> Iterator[list[Word]]:
        """Every simple command that is not empty."""
        command: list[Word] = []
        while self._at < len(self._line):
            if self._here() in _OPERATORS:
                self._at += 1
                if command:
                    yield command
                command = []
            elif not self._skipped():
                command.append(self._word())
        if command:
            yield command

    def _here(self) -> str:
        """The letter at this place; empty behind the last one."""
        return self._line[self._at : self._at + 1]

    def _skipped(self) -> bool:
        """Whether there was something that is no word: blanks, a comment."""
        if self._here() in _BLANKS:
            self._at += 1
        elif self._line.startswith("\\\n", self._at):
            self._at += 2
        elif self._here() == "#":
            end = self._line.find("\n", self._at)
            self._at = len(self._line) if end < 0 else end
        else:
            return False
        return True

    def _word(self) -> Word:
        """The word or redirection that begins here."""
        start = self._at
        if self._here() in {"<", ">"}:
            self._redirection()
            return Word(self._line[start : self._at], None)
        pieces: list[str] = []
        known = True
        while self._at < len(self._line) and self._here() not in _ENDS_WORD:
            text = self._piece(quoted=False)
            known = known and text is not None
            pieces.append(text or "")
        return Word(self._line[start : self._at], "".join(pieces) if known else None)

    def _redirection(self) -> None:
        """Past its operator; what it names becomes a word of the command, which does no harm."""
        operator = _REDIRECTION.match(self._line, self._at)
        if operator is None or operator[0] == "<<":
            raise UnreadableError("a here-document")
        self._at = operator.end()
        if self._here() == "(":
            self._at += 1
            self._substitution()

    def _piece(self, *, quoted: bool) -> str | None:
        """One letter, one quotation or one expansion; None for what only a shell could tell."""
        letter = self._here()
        if letter in {"$", "`"}:
            self._expansion()
            return None
        self._at += 1
        if letter == "\\":
            return self._escaped(quoted=quoted)
        if letter == '"' and not quoted:
            return self._double_quoted()
        if letter == "'" and not quoted:
            start = self._at
            self._at = self._find("'") + 1
            return self._line[start : self._at - 1]
        return letter

    def _escaped(self, *, quoted: bool) -> str:
        """What a backslash and the letter behind it mean; a new line means nothing."""
        letter = self._here()
        if quoted and letter not in _ESCAPED_IN_QUOTES:
            return "\\"
        self._at += 1
        return "" if letter == "\n" else letter

    def _double_quoted(self) -> str | None:
        """Up to the closing quote."""
        pieces: list[str] = []
        known = True
        while self._here() != '"':
            if not self._here():
                raise UnreadableError("an open quote")
            text = self._piece(quoted=True)
            known = known and text is not None
            pieces.append(text or "")
        self._at += 1
        return "".join(pieces) if known else None

    def _expansion(self) -> None:
        """Past `$NAME`, `${NAME}`, `$(…)`, `` `…` `` or `$'…'`."""
        if self._here() == "`":
            start = self._at + 1
            self._at = start
            self._at = self._find("`") + 1
            if "\\" in self._line[start : self._at]:
                raise UnreadableError("an escape in a command substitution")
            return
        self._at += 1
        follows = self._here()
        if follows == "{":
            match = _PARAMETER.match(self._line, self._at)
            if match is None:
                raise UnreadableError("a parameter expansion")
            self._at = match.end()
        elif follows == "(":
            self._at += 1
            self._substitution()
        elif follows == "'":
            raise UnreadableError("a quote with escapes of its own")

    def _substitution(self) -> None:
        """Past the bracket that closes the one before this place."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnreadableError("too deep")
        start, is_open = self._at, 1
        while is_open:
            letter = self._here()
            if not letter:
                raise UnreadableError("an open bracket")
            is_open += (letter == "(") - (letter == ")")
            self._piece(quoted=False)
        if _RARE.search(self._line, start, self._at):
            raise UnreadableError("brackets that may close nothing")
        self._depth -= 1

    def _find(self, what: str) -> int:
        """Where `what` is next; it must be there."""
        found = self._line.find(what, self._at)
        if found < 0:
            raise UnreadableError("an open quote")
        return found
