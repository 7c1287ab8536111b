"""A shell text as its simple commands and its statements.

The grammar is tree-sitter-bash, loaded at the first call; without it the words are split by hand
(`fallback.py`) and the answer says `exact=False`. Here-documents are cut out before (`heredocs.py`)
and given to the commands that read them. No text makes `parse` raise, and its time is bounded: of a
text longer than `MOST_CHARACTERS`, or with more than `MOST_COMMANDS`, so much is read (`is_cut`).
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ExtensionFileLoader, PathFinder
from typing import TYPE_CHECKING, Any, Final

from tallystick.shell import fallback
from tallystick.shell.heredocs import Cut, cut
from tallystick.shell.quoting import document_pieces
from tallystick.shell.syntax import (
    Assignment,
    Command,
    Loop,
    Parsed,
    Reads,
    Span,
    Statement,
    Word,
)
from tallystick.shell.tree import read

if TYPE_CHECKING:
    from tree_sitter import Language, Parser

__all__ = [
    "MOST_CHARACTERS", "MOST_COMMANDS", "Assignment", "Command", "Loop", "Parsed", "Reads", "Span",
    "Statement", "Word", "parse", "version",
]  # fmt: skip

MOST_CHARACTERS: Final = 131_072
"""Of a text without its here-documents."""
MOST_GRAMMAR: Final = 20_000
"""What is longer is split by hand: the grammar takes seconds for some texts of a hundred thousand
characters, and nobody writes a command of twenty thousand.
"""
MOST_COMMANDS: Final = 2_000
_DEEPEST: Final = 3
"""Substitutions in here-documents in substitutions in here-documents."""
_NOT_PLAIN: Final = re.compile(r"[^\t\n\x20-\x7e]")
_BEGINS: Final = re.compile(
    r"(?:\A|[\n;&|(){}!`]|(?<![^\s;&|(){}])(?:if|then|elif|else|do|while|until))[ \t\r]*\Z"
)
"""What stands before a command."""
_LOOKED_BACK: Final = 40
_PACKAGE: Final = "tree_sitter_bash"


def version() -> str:
    """The parser, for records: `tree-sitter-bash 0.25.1`, or `words 1` without its library."""
    from importlib import metadata  # noqa: PLC0415 - slower than a parse, and rarely asked for

    try:
        found = metadata.version("tree-sitter-bash")
    except metadata.PackageNotFoundError:
        return fallback.VERSION
    return f"tree-sitter-bash {found}" if _grammar() is not None else fallback.VERSION


def parse(text: str) -> Parsed:
    """Every command and statement of a text; never raises."""
    return _parse(text, 0)


def _parse(text: str, depth: int) -> Parsed:
    """A text, or a substitution in one of its here-documents."""
    document = cut(text)
    is_cut = len(document.text) > MOST_CHARACTERS
    if is_cut:
        document = Cut(document.text[:MOST_CHARACTERS], document.documents)
    parser = _parser() if len(document.text) <= MOST_GRAMMAR else None
    if parser is None:
        found = fallback.read(text, document, most=MOST_COMMANDS)
    else:
        root = parser.parse(_masked(document.text)).root_node
        found = read(root, text, document, most=MOST_COMMANDS)
        if root.has_error:
            by_hand = fallback.read(text, document, most=MOST_COMMANDS)
            found = _with_doubts(found, by_hand, document.text)
    inner = tuple(_in_documents(found, depth))
    if not inner and not is_cut:
        return found
    return found._replace(
        commands=found.commands + inner,
        is_cut=found.is_cut or is_cut,
        exact=found.exact and not is_cut,
    )


def _masked(text: str) -> bytes:
    """One byte a character, so that the grammar counts as we do: a letter for what is foreign."""
    return _NOT_PLAIN.sub(lambda match: " " if match[0] == "\r" else "x", text).encode("ascii")


def _with_doubts(found: Parsed, by_hand: Parsed, text: str) -> Parsed:
    """Where the grammar found an error, a command that it lost counts too, and one that it made up
    in the middle of a word does not.
    """
    places: dict[int, int] = {}
    kept: list[Command] = []
    for place, command in enumerate(found.commands):
        if _BEGINS.search(text, max(0, command.span[0] - _LOOKED_BACK), command.span[0]):
            places[place] = len(kept)
            kept.append(command)
    starts = {command.span[0] for command in kept}
    kept = [command._replace(piped_from=places.get(command.piped_from or 0))
            if command.piped_from is not None else command for command in kept]  # fmt: skip
    lost = (each for each in by_hand.commands if each.words and each.span[0] not in starts)
    return found._replace(
        commands=(*kept, *(command._replace(piped_from=None) for command in lost))
    )


def _in_documents(found: Parsed, depth: int) -> Iterator[Command]:
    """What substitutions in unquoted here-documents start: the shell runs it, data or not."""
    if depth >= _DEEPEST:
        return
    for document in found.documents:
        if not document.expands:
            continue
        span = (document.at, document.at + 2)
        for piece in document_pieces(document.body):
            if piece.kind == "substitution":
                for command in _parse(piece.value, depth + 1).commands:
                    yield command._replace(
                        span=span, subshell=span, in_substitution=True, piped_from=None
                    )


def _parser() -> "Parser | None":
    """A parser; None where its library is missing or of another age."""
    grammar = _grammar()
    if grammar is None:
        return None
    from tree_sitter import Parser  # noqa: PLC0415 - see _grammar

    return Parser(grammar)


@cache
def _grammar() -> "Language | None":
    """The grammar, loaded once: 10 ms, which a command without a trigger word never pays.

    Its package reads resources when it is imported, which takes longer than all else here, so the
    library in it is loaded by itself.
    """
    try:
        from tree_sitter import Language  # noqa: PLC0415

        package = PathFinder.find_spec(_PACKAGE)
        places = package.submodule_search_locations if package else None
        library = PathFinder.find_spec(f"{_PACKAGE}._binding", places) if places else None
        if library is None or not isinstance(library.loader, ExtensionFileLoader):
            return None
        module: Any = library.loader.create_module(library)
        library.loader.exec_module(module)
        return Language(module.language())
    except (ImportError, ValueError, TypeError, AttributeError):
        return None
