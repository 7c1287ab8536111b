r"""Takes here-documents out of a shell text, so that the rest can be parsed without them.

Parsers of shells stumble over here-documents: words behind the opener, two of them on one line,
quotes in a body. Here they are found by hand: `<<WORD` becomes a redirection from `WORD`, the body
becomes blank, and no other character moves.
"""

import re
from typing import Final, NamedTuple

from tallystick.shell.quoting import HereDocument, expansion_end

_SPECIAL: Final = re.compile(r"['\"`\\$()#\n]|<<<|<<-?")
_DELIMITER: Final = re.compile(r"[ \t]*((?:\\.|'[^'\n]*'|\"[^\"\n]*\"|[^\s;&|()<>'\"\\])+)")
_BEFORE_COMMENT: Final = frozenset(" \t\n;&|(")
_NOT_LINE_END: Final = re.compile(r"[^\n]")
_TABS: Final = re.compile(r"^\t+", re.MULTILINE)
_MOST: Final = 100
"""Here-documents in one text; a text with more is left as it is from there on."""


class Cut(NamedTuple):
    """A text of the same length without its here-documents, and the documents."""

    text: str
    documents: tuple[HereDocument, ...]


class _Opener(NamedTuple):
    """A `<<WORD` whose body has not begun."""

    at: int
    word: str
    expands: bool
    tabs: bool


def cut(text: str) -> Cut:
    """The text without the bodies of its here-documents; never raises."""
    return _Cutter(text).cut() if "<<" in text else Cut(text, ())


class _Cutter:
    """One look at a text, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._closers: list[str] = []
        self._waiting: list[_Opener] = []
        self._changes: list[tuple[int, int, str]] = []
        self._documents: list[HereDocument] = []

    def cut(self) -> Cut:
        """The whole text."""
        while (match := _SPECIAL.search(self._text, self._at)) is not None:
            self._at = match.end()
            self._meet(match[0], match.start())
        return Cut(self._masked(), tuple(self._documents))

    def _meet(self, letter: str, at: int) -> None:
        """Something that may matter; `_at` is behind it already."""
        top = self._closers[-1] if self._closers else ""
        if letter == "\\":
            self._at += 1
        elif letter == top or (letter == ")" and top == "arithmetic"):
            self._closers.pop()
        elif letter in {'"', "`"}:
            self._closers.append(letter)
        elif letter == "$":
            self._dollar(at, top)
        elif top != '"':
            self._meet_command(letter, at, top)

    def _dollar(self, at: int, top: str) -> None:
        """A substitution is looked into; other expansions are passed."""
        follows = self._text[at + 1 : at + 3]
        if follows == "((":
            self._closers += ["arithmetic", "arithmetic"]
            self._at = at + 3
        elif follows[:1] == "(":
            self._closers.append(")")
            self._at = at + 2
        elif follows[:1] == "{" or (follows[:1] == "'" and top != '"'):
            self._at = expansion_end(self._text, at)

    def _meet_command(self, letter: str, at: int, top: str) -> None:
        """Something outside double quotes."""
        if letter == "'":
            end = self._text.find("'", self._at)
            self._at = len(self._text) if end < 0 else end + 1
        elif letter == "(":
            is_arithmetic = top == "arithmetic" or self._text[at + 1 : at + 2] == "("
            self._closers.append("arithmetic" if is_arithmetic else ")")
        elif letter == "#" and (at == 0 or self._text[at - 1] in _BEFORE_COMMENT):
            end = self._text.find("\n", at)
            self._at = len(self._text) if end < 0 else end
        elif letter == "\n":
            self._read_bodies()
        elif letter in {"<<", "<<-"} and top != "arithmetic":
            self._open(letter, at)

    def _open(self, operator: str, at: int) -> None:
        """The opener of a here-document becomes a redirection from its word."""
        match = _DELIMITER.match(self._text, self._at)
        if match is None or len(self._documents) + len(self._waiting) >= _MOST:
            return
        self._at = match.end()
        written = match[1]
        word = re.sub(r"\\(.)|['\"]", r"\1", written)
        expands = written == word
        self._waiting.append(_Opener(at, word, expands, operator == "<<-"))
        self._changes.append((at, at + len(operator), "<".ljust(len(operator))))

    def _read_bodies(self) -> None:
        """The line is over: what it opened follows, in its order."""
        waiting, self._waiting = self._waiting, []
        for opener in waiting:
            tabs = r"\t*" if opener.tabs else ""
            closing = re.compile(rf"^{tabs}{re.escape(opener.word)}[ \t\r]*$", re.MULTILINE)
            match = closing.search(self._text, self._at)
            end = match.start() if match else len(self._text)
            body = self._text[self._at : end]
            behind = min(match.end() + 1, len(self._text)) if match else end
            blank = _NOT_LINE_END.sub(" ", self._text[self._at : behind])
            self._changes.append((self._at, behind, blank))
            if opener.tabs:
                body = _TABS.sub("", body)
            self._documents.append(HereDocument(opener.at, body, opener.expands, behind))
            self._at = behind

    def _masked(self) -> str:
        """The text with the changes, which are in no order and do not overlap."""
        parts: list[str] = []
        at = 0
        for start, end, instead in sorted(self._changes):
            parts += [self._text[at:start], instead]
            at = end
        return "".join([*parts, self._text[at:]])
