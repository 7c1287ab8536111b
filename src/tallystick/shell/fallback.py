"""The commands of a shell text, without a grammar: for hosts where its library is missing.

Split into words by hand, with their places; quotes, comments and here-documents are respected,
reserved words and brackets end a command. Enough to see what a line starts, not enough to be sure:
what is read here is never `exact`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tallystick.shell.heredocs import Cut
from tallystick.shell.quoting import literal, pieces, word_end
from tallystick.shell.syntax import Assignment, Command, Parsed, Reads, Span, Statement, Word

VERSION: Final = "words 1"

_TOKEN: Final = re.compile(
    r"(?P<blank>(?:[ \t\r]|\\\n)+|(?<![^\s;&|()])\#[^\n]*)"
    r"|(?P<redirect>[0-9]*(?:<<<|<&|>&|&>>?|<>|>>|>\||<(?!\()|>(?!\()))"
    r"|(?P<operator>\|\||&&|;;|\|&|[;&|\n()]|<\(|>\()"
)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=", re.ASCII)
_RESERVED: Final = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{"})


def read(text: str, document: Cut, *, most: int) -> Parsed:
    """What was found; at most so many commands."""
    reader = _Reader(text, document)
    commands: list[Command] = []
    for command in reader.commands():
        if len(commands) >= most:
            break
        commands.append(command)
    commands += _substituted(tuple(commands), most - len(commands))
    whole = (Statement("other", (0, len(text))),) if commands else ()
    return Parsed(
        tuple(commands), whole, exact=False, has_error=False, documents=document.documents,
        is_cut=len(commands) >= most,
    )  # fmt: skip


def _substituted(commands: Sequence[Command], most: int) -> Iterator[Command]:
    """The commands in substitutions of words, at the place of the command around them."""
    found = 0
    for inner, around in _texts(commands):
        for command in _Reader(inner, Cut(inner, ())).commands():
            found += 1
            if found > most:
                return
            yield command._replace(span=around, subshell=around, in_substitution=True)


def _texts(commands: Sequence[Command]) -> Iterator[tuple[str, Span]]:
    """The texts of substitutions, with the place of the command around each."""
    for command in commands:
        words = [*command.words, *(each.value for each in command.assigned)]
        for piece in (piece for word in words for piece in word.pieces):
            if piece.kind == "substitution":
                yield piece.value, command.span


class _Reader:
    """One look at a text, from left to right."""

    def __init__(self, text: str, document: Cut) -> None:
        self._text = text
        self._masked = document.text
        self._documents = {each.at: each for each in document.documents}
        self._at = 0
        self._words: list[Word] = []
        self._reads = Reads()
        self._previous: int | None = None
        self._count = 0

    def commands(self) -> Iterator[Command]:
        """Every simple command that is not empty."""
        while self._at < len(self._masked):
            match = _TOKEN.match(self._masked, self._at)
            if match is None:
                self._words.append(self._word())
                continue
            self._at = match.end()
            if match["redirect"]:
                self._redirection(match["redirect"], match.start("redirect"))
            elif match["operator"]:
                yield from self._finished(match["operator"])
        yield from self._finished("")

    def _finished(self, operator: str) -> Iterator[Command]:
        """The command that an operator ends."""
        words, reads = self._words, self._reads
        self._words, self._reads = [], Reads()
        assigned: list[Assignment] = []
        while words and (words[0].raw in _RESERVED or _ASSIGNMENT.match(words[0].raw)):
            word = words.pop(0)
            if word.raw not in _RESERVED:
                assigned.append(_assignment(word))
        if not words and not assigned:
            self._previous = None if operator not in {"|", "|&"} else self._previous
            return
        start = assigned[0].value.span[0] if assigned else words[0].span[0]
        end = words[-1].span[1] if words else assigned[-1].value.span[1]
        yield Command(
            tuple(words), (start, end), tuple(assigned), reads.stdin, reads.word, reads.file,
            reads.into, reads.appends, background=operator == "&", piped_from=self._previous,
        )  # fmt: skip
        self._previous = self._count if operator in {"|", "|&"} else None
        self._count += 1

    def _word(self) -> Word:
        """The word that begins here; at least one character."""
        start = self._at
        self._at = max(word_end(self._masked, start), start + 1)
        raw = self._text[start : self._at]
        found = pieces(raw, self._masked[start : self._at])
        text = literal(found)
        return Word(raw, text, (start, self._at), () if text is not None else found)

    def _redirection(self, written: str, at: int) -> None:
        """A redirection and the word behind it."""
        operator = written.lstrip("0123456789")
        while self._at < len(self._masked) and self._masked[self._at] in " \t":
            self._at += 1
        if self._at >= len(self._masked) or self._masked[self._at] in "\n;&|()":
            return
        word = self._word()
        document = self._documents.get(at + len(written) - len(operator))
        fed = Reads(into=self._reads.into, appends=self._reads.appends)
        if document is not None:
            self._reads = fed._replace(stdin=document.text)
        elif operator == "<<<":
            known = word.text is not None
            self._reads = fed._replace(stdin=f"{word.text}\n") if known else fed._replace(word=word)
        elif operator == "<":
            self._reads = fed._replace(file=word)
        elif operator.strip("&|") in {">", ">>"} and written[:1] not in "023456789":
            self._reads = self._reads._replace(into=word, appends=">>" in operator)


def _assignment(word: Word) -> Assignment:
    """`NAME=value` of a word."""
    match = _ASSIGNMENT.match(word.raw)
    name, behind = (match[1], match.end()) if match else ("", 0)
    raw = word.raw[behind:]
    found = pieces(raw)
    text = literal(found)
    span = (word.span[0] + behind, word.span[1])
    return Assignment(name, Word(raw, text, span, () if text is not None else found))
