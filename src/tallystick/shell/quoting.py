r"""Quotes, expansions and here-documents of a shell text, by one look from left to right.

Places are character offsets. Nothing is expanded: a word becomes pieces, each known text, a
variable, a command substitution or something only a shell could tell. Every function takes any text
and time in proportion to its length; what is nested deeper than `DEEPEST` is not looked into.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

DEEPEST: Final = 20

Kind = Literal["text", "variable", "substitution", "other"]


_ESCAPED: Final = re.compile(r"\\(?:\n|([$`\\]))")


class Piece(NamedTuple):
    """One part of a word: text as it is, the name of a variable, the text of a substitution."""

    kind: Kind
    value: str
    quoted: bool = False
    """Whether it stood in quotes: what is not quoted is split into words by the shell."""


class HereDocument(NamedTuple):
    """What stands between `<<WORD` and the line that is `WORD`."""

    at: int
    """Where the operator stands."""
    body: str
    """As it was written, without the tabs that `<<-` takes off."""
    expands: bool
    """Whether the shell expands it: the word was not quoted."""
    end: int = 0
    """The place behind the line that closes it."""

    @property
    def text(self) -> str:
        """As the command reads it, but for expansions, which stay as they are written."""
        return _ESCAPED.sub(r"\1", self.body) if self.expands else self.body


_SPECIAL: Final = re.compile(r"['\"`\\$(){}]")
_PIECES: Final = re.compile(r"['\"`\\$]")
_PIECES_DOCUMENT: Final = re.compile(r"[`\\$]")
_PIECES_QUOTED: Final = re.compile(r"[\"`\\$]")
_PLAIN: Final = re.compile(r"[^\s;&|()<>'\"`\\$]+")
_NAME: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]", re.ASCII)
_IN_BRACES: Final = re.compile(r"([A-Za-z_]\w*|[0-9]+|[@*])(?:\[[@*0]\])?(?::?-(.*))?", re.DOTALL)
_ANSI: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_LETTERS: Final = {
    "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v",
}  # fmt: skip
_LAST_CODE_POINT: Final = 0x10FFFF


def expansion_end(text: str, at: int) -> int:
    """The place behind the expansion that begins at a `$` or a backtick."""
    if text[at] == "`":
        return _closed(text, at + 1, "`")
    follows = text[at + 1 : at + 2]
    if follows == "(":
        return _closed(text, at + 2, ")")
    if follows == "{":
        return _closed(text, at + 2, "}")
    if follows == "'":
        return _ansi_end(text, at + 2)
    if follows == '"':
        return _closed(text, at + 2, '"')
    name = _NAME.match(text, at + 1)
    return name.end() if name else at + 1


def word_end(text: str, at: int) -> int:
    """The place behind the word that begins at `at`: where it is no longer quoted or a letter."""
    while at < len(text):
        plain = _PLAIN.match(text, at)
        if plain is not None:
            at = plain.end()
        elif text[at] in "$`":
            at = expansion_end(text, at)
        elif text[at] == "\\":
            at += 2
        elif text[at] == "'":
            at = _single_end(text, at)
        elif text[at] == '"':
            at = _closed(text, at + 1, '"')
        else:
            break
    return min(at, len(text))


def _ansi_end(text: str, at: int) -> int:
    """Behind the quote that closes `$'…'`; `at` is behind the one that opens it."""
    while at < len(text) and text[at] != "'":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _closed(text: str, at: int, closer: str) -> int:
    """Behind the `closer` that belongs to what was opened before `at`; the end if there is none."""
    stack = [closer]
    while (match := _SPECIAL.search(text, at)) is not None:
        letter, at = match[0], match.end()
        if letter == "\\":
            at += 1
        elif letter == stack[-1]:
            stack.pop()
            if not stack:
                return at
        elif letter == "'":
            at = at if stack[-1] == '"' else _single_end(text, match.start())
        elif (opened := _opens(text, match.start(), stack[-1])) is not None:
            stack.append(opened[0])
            at = opened[1]
        if len(stack) > DEEPEST:
            break
    return len(text)


def _single_end(text: str, at: int) -> int:
    """Behind the quotation that begins at a single quote."""
    if text[at - 1 : at] == "$":
        return _ansi_end(text, at + 1)
    end = text.find("'", at + 1)
    return len(text) if end < 0 else end + 1


def _opens(text: str, at: int, within: str) -> tuple[str, int] | None:
    """What a letter opens, as the letter that closes it and the place behind; None for nothing."""
    letter, follows = text[at], text[at + 1 : at + 2]
    if letter in '"`':
        return letter, at + 1
    if letter == "$" and follows == "(":
        return ")", at + 2
    if letter == "$" and follows == "{":
        return "}", at + 2
    if letter == "(" and within == ")":
        return ")", at + 1
    return None


def pieces(raw: str, masked: str | None = None) -> tuple[Piece, ...]:
    """The pieces of one word. `masked` is the word with its here-documents blanked, if it has any:
    places are found there, texts are taken from `raw`.
    """
    return _joined(_unquoted(raw, masked if masked is not None else raw))


def _joined(found: Iterator[Piece]) -> tuple[Piece, ...]:
    """Neighbouring texts put together, so that a plain word is one piece."""
    joined: list[Piece] = []
    for piece in found:
        if piece.kind == "text" and joined and joined[-1].kind == "text":
            last = joined[-1]
            joined[-1] = Piece("text", last.value + piece.value, last.quoted or piece.quoted)
        else:
            joined.append(piece)
    return tuple(joined)


def _unquoted(raw: str, masked: str) -> Iterator[Piece]:
    at = 0
    while (match := _PIECES.search(masked, at)) is not None:
        start = match.start()
        if start > at:
            yield Piece("text", raw[at:start])
        letter = match[0]
        if letter == "\\":
            at = start + 2
            yield Piece("text", raw[start + 1 : at].strip("\n"), quoted=True)
        elif letter == "'":
            at = _single_end(masked, start)
            yield Piece("text", _inner(raw, start + 1, at, "'"), quoted=True)
        elif letter == '"':
            at = _closed(masked, start + 1, '"')
            yield from _quoted(raw[start + 1 : at], masked[start + 1 : at])
        else:
            at = expansion_end(masked, start)
            yield from _expansion(raw[start:at], masked[start:at], quoted=False)
    if at < len(raw):
        yield Piece("text", raw[at:])


def _inner(raw: str, start: int, end: int, closer: str) -> str:
    """What is between two quotes, the second of which may be missing."""
    inner = raw[start:end]
    return inner[:-1] if inner.endswith(closer) else inner


def _quoted(raw: str, masked: str) -> Iterator[Piece]:
    """The pieces between double quotes; the closing one may still be there."""
    at = 0
    yield Piece("text", "", quoted=True)
    while (match := _PIECES_QUOTED.search(masked, at)) is not None:
        start = match.start()
        if start > at:
            yield Piece("text", raw[at:start], quoted=True)
        letter = match[0]
        if letter == '"':
            return
        if letter == "\\":
            at = start + 2
            follows = raw[start + 1 : at]
            kept = "" if follows in {"$", "`", '"', "\\", "\n"} else "\\"
            yield Piece("text", kept + ("" if follows == "\n" else follows), quoted=True)
        elif masked[start + 1 : start + 2] in {"'", '"'}:
            at = start + 1
            yield Piece("text", letter, quoted=True)
        else:
            at = expansion_end(masked, start)
            yield from _expansion(raw[start:at], masked[start:at], quoted=True)
    if at < len(raw):
        yield Piece("text", raw[at:], quoted=True)


def document_pieces(body: str) -> tuple[Piece, ...]:
    """The pieces of a here-document that the shell expands; quotes in it are letters."""
    return _joined(_in_document(body))


def _in_document(body: str) -> Iterator[Piece]:
    at = 0
    while (match := _PIECES_DOCUMENT.search(body, at)) is not None:
        start = match.start()
        yield Piece("text", body[at:start], quoted=True)
        if match[0] == "\\":
            at = start + 2
            yield Piece("text", body[start:at], quoted=True)
        else:
            at = expansion_end(body, start)
            yield from _expansion(body[start:at], body[start:at], quoted=True)
    yield Piece("text", body[at:], quoted=True)


def _expansion(raw: str, masked: str, *, quoted: bool) -> Iterator[Piece]:
    """The pieces of one `$…` or backtick expansion."""
    if len(raw) == 1:
        yield Piece("text", raw, quoted)
    elif raw.startswith("$'"):
        yield Piece("text", ansi(_inner(raw, 2, len(raw), "'")), quoted=True)
    elif raw.startswith('$"'):
        yield from _quoted(raw[2:], masked[2:])
    elif raw.startswith("$(("):
        yield Piece("other", raw, quoted)
    elif raw.startswith("$("):
        yield Piece("substitution", _inner(raw, 2, len(raw), ")"), quoted)
    elif raw.startswith("`"):
        yield Piece("substitution", _inner(raw, 1, len(raw), "`"), quoted)
    elif raw.startswith("${"):
        yield _parameter(_inner(raw, 2, len(raw), "}"), quoted=quoted)
    else:
        yield Piece("variable", raw[1:], quoted)


def _parameter(inner: str, *, quoted: bool) -> Piece:
    """`${NAME}`, `${NAME[@]}` and `${NAME:-word}`, which counts as NAME; the rest is unknown."""
    match = _IN_BRACES.fullmatch(inner)
    if match is None:
        return Piece("other", inner, quoted)
    return Piece("variable", match[1] if match[2] is None else f"{match[1]}:-{match[2]}", quoted)


def ansi(text: str) -> str:
    """What `$'text'` means."""
    return _ANSI.sub(_ansi_letter, text)


def _ansi_letter(match: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if match[group]:
            code = int(match[group], base)
            return chr(code) if 0 < code <= _LAST_CODE_POINT else ""
    return _ANSI_LETTERS.get(match[5], match[5] if match[5] in "\\'\"?" else match[0])


def literal(found: Sequence[Piece]) -> str | None:
    """The text of a word without expansions; None when an expansion decides."""
    if any(piece.kind != "text" for piece in found):
        return None
    return "".join(piece.value for piece in found)
