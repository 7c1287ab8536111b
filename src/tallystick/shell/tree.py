"""The tree of tree-sitter-bash as commands, statements and loops.

Walks without recursion, so no nesting is too deep. The grammar was given a text of the same length
(here-documents blanked, other alphabets masked), so its byte offsets are our character offsets.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from tallystick.shell.heredocs import Cut
from tallystick.shell.statements import Words, outermost
from tallystick.shell.syntax import (
    Assignment,
    Command,
    Loop,
    Parsed,
    Reads,
    Span,
    Word,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_COMMANDS: Final = frozenset({"command", "declaration_command", "unset_command"})
_REDIRECTIONS: Final = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})
_OUTPUTS: Final = frozenset({">", ">>", ">|", "&>", "&>>"})
_SUBSTITUTIONS: Final = frozenset({"command_substitution", "process_substitution"})
_CONTINUES: Final = frozenset({"list", "pipeline", "negated_command"})


_DEEPEST: Final = 40
"""Substitutions within substitutions: each holds the text of all within."""


class _Frame(NamedTuple):
    """What the surroundings of a node say about the commands in it."""

    in_substitution: bool = False
    subshell: Span | None = None
    background: bool = False
    reads: Reads = Reads()
    depth: int = 0
    """Substitutions around it."""


class _Pipe(NamedTuple):
    """Two neighbours of a pipeline."""

    giving: Span
    taking: Span


def read(root: "Node", text: str, document: Cut, *, most: int) -> Parsed:
    """Everything in a tree; at most so many commands."""
    walk = _Walk(text, document, most)
    walk.walk(root)
    statements = tuple(outermost(root, walk.words))
    return Parsed(
        commands=tuple(walk.piped()),
        statements=statements,
        exact=not root.has_error and not walk.is_cut,
        has_error=root.has_error,
        is_cut=walk.is_cut,
        functions=frozenset(walk.functions),
        loops=tuple(walk.loops),
        documents=document.documents,
    )


class _Walk:
    """One walk over a tree; what it found stays in its attributes."""

    def __init__(self, text: str, document: Cut, most: int) -> None:
        self.words = Words(text, document)
        self._documents = {each.at: each for each in document.documents}
        self._most = most
        self._reads: dict[int, Reads] = {}
        self._pipes: list[_Pipe] = []
        self._stack: list[tuple[Node, _Frame]] = []
        self.commands: list[Command] = []
        self.functions: set[str] = set()
        self.loops: list[Loop] = []
        self.is_cut = False

    def walk(self, root: "Node") -> None:
        """Every node, each before its children, from left to right."""
        self._stack.append((root, _Frame()))
        while self._stack:
            if len(self.commands) >= self._most:
                self.is_cut = True
                return
            node, frame = self._stack.pop()
            if (reads := self._reads.pop(node.id, None)) is not None:
                frame = frame._replace(reads=reads)
            self._visit(node, frame)

    def _visit(self, node: "Node", frame: _Frame) -> None:
        """Note what a node is, and push its children."""
        kind = node.type
        if kind in _COMMANDS:
            self._command(node, frame)
            return
        if kind == "variable_assignment":
            given = (self._assignment(node),)
            self._add(Command((), _span(node), given), frame)
        elif kind in _SUBSTITUTIONS:
            frame = _Frame(in_substitution=True, subshell=_span(node), depth=frame.depth + 1)
            if frame.depth > _DEEPEST:
                self.is_cut = True
                return
        elif kind == "subshell":
            frame = frame._replace(subshell=_span(node))
        elif kind == "redirected_statement":
            self._redirected(node)
        elif kind == "function_definition":
            self._function(node)
        elif kind == "for_statement":
            self._loop(node)
        self._push(node, frame, is_pipeline=kind == "pipeline")

    def _push(self, node: "Node", frame: _Frame, *, is_pipeline: bool = False) -> None:
        """The children of a node, the first on top."""
        children = node.children
        ahead = ""
        sides: list[Span] = []
        for child in reversed(children):
            if not child.is_named:
                ahead = child.type
                continue
            inner = frame
            if ahead == "&":
                inner = inner._replace(background=True)
            if is_pipeline:
                sides.append(_span(child))
                inner = inner._replace(subshell=_span(child))
                inner = inner._replace(reads=frame.reads if child == children[0] else Reads())
            if child.child_count:
                self._stack.append((child, inner))
            ahead = ""
        sides.reverse()
        self._pipes += [_Pipe(*pair) for pair in pairwise(sides)]

    def _command(self, node: "Node", frame: _Frame) -> None:
        """A simple command; its children are pushed for the substitutions in them."""
        words: list[Word] = []
        assigned: list[Assignment] = []
        reads = frame.reads
        inside: list[tuple[Node, _Frame]] = []
        for child in node.children:
            if child.type == "variable_assignment":
                assigned.append(self._assignment(child))
                inside += [(each, frame) for each in child.children]
            elif child.type in _REDIRECTIONS:
                reads = self._redirect(child, reads)
                inside.append((child, frame))
            elif child.type == "ERROR":
                inside.append((child, frame))
            else:
                words.append(self.words.of(child))
                inside.append((child, frame))
        start, end = _span(node)
        end = max([end, *(word.span[1] for word in reads.behind)])
        command = Command(
            (*words, *reads.behind), (start, end), tuple(assigned), reads.stdin, reads.word,
            reads.file, reads.into, reads.appends,
        )  # fmt: skip
        self._add(command, frame)
        plain = frame._replace(reads=Reads())
        self._stack += [(child, plain) for child, _ in reversed(inside) if child.child_count]

    def _add(self, command: Command, frame: _Frame) -> None:
        """One more command."""
        self.commands.append(
            command._replace(
                background=frame.background,
                in_substitution=frame.in_substitution,
                subshell=frame.subshell,
            )
        )

    def _assignment(self, node: "Node") -> Assignment:
        """`NAME=value`, `NAME+=value`, `NAME=(a b)`."""
        name = node.child_by_field_name("name")
        value = node.child_by_field_name("value")
        given = self.words.of(value) if value else Word("", "", (node.end_byte, node.end_byte))
        items = None
        if value and value.type == "array":
            items = tuple(self.words.of(child) for child in value.named_children)
        return Assignment(self.words.of(name).raw if name else "", given, items)

    def _redirect(self, node: "Node", before: Reads) -> Reads:
        """What is known of input and output with one redirection more."""
        given = self._input(node)
        if given is not None:
            before = before._replace(stdin=given.stdin, word=given.word, file=given.file)
        for each in (node, *node.children):  # behind a here-document they stand inside of it
            operator = next((child for child in each.children if not child.is_named), None)
            if each.type != "file_redirect" or operator is None:
                continue
            # The grammar takes every word up to the end of the command for a destination.
            named = [self.words.of(child) for child in each.children_by_field_name("destination")]
            before = before._replace(behind=(*before.behind, *named[1:]))
            if named and operator.type in _OUTPUTS and each.children[0].type != "file_descriptor":
                before = before._replace(into=named[0], appends=">>" in operator.type)
        return before

    def _input(self, node: "Node") -> Reads | None:
        """What a redirection feeds to the command; None for an output."""
        children = node.children
        operators = [child for child in children if not child.is_named]
        if not operators or not operators[0].type.startswith("<"):
            return None
        operator = operators[0]
        document = self._documents.get(operator.start_byte)
        if document is not None:
            return Reads(stdin=document.text)
        named = [child for child in children if child.is_named and child.type != "file_descriptor"]
        if not named:
            return None
        word = self.words.of(named[0])
        if operator.type == "<<<":
            return Reads(stdin=word.text + "\n") if word.text is not None else Reads(word=word)
        return Reads(file=word) if operator.type == "<" else None

    def _redirected(self, node: "Node") -> None:
        """They belong to the last command of a list or pipeline, else to all of a group."""
        body = node.child_by_field_name("body")
        reads = Reads()
        for child in node.children:
            if child.type in _REDIRECTIONS:
                reads = self._redirect(child, reads)
        if body is None or reads == Reads():
            return
        while body.type in _CONTINUES and body.named_children:
            body = body.named_children[-1]
        self._reads[body.id] = reads

    def _function(self, node: "Node") -> None:
        """The name of a function."""
        name = node.child_by_field_name("name")
        if name is not None:
            self.functions.add(self.words.of(name).raw)

    def _loop(self, node: "Node") -> None:
        """The variable and the words of a `for`."""
        variable = node.child_by_field_name("variable")
        if variable is not None:
            values = tuple(self.words.of(each) for each in node.children_by_field_name("value"))
            self.loops.append(Loop(self.words.of(variable).raw, values, _span(node)))

    def piped(self) -> Iterator[Command]:
        """The commands, each knowing whose output it reads."""
        sources: dict[int, int] = {}
        starts = [command.span[0] for command in self.commands]
        for pipe in self._pipes:
            giving = _last_within(self.commands, starts, pipe.giving)
            taking = _first_within(starts, pipe.taking)
            if giving is not None and taking is not None:
                sources.setdefault(taking, giving)
        for place, command in enumerate(self.commands):
            source = sources.get(place)
            yield command if source is None else command._replace(piped_from=source)


def _span(node: "Node") -> Span:
    return (node.start_byte, node.end_byte)


def _first_within(starts: list[int], span: Span) -> int | None:
    """The place of the first command that begins in a span."""
    place = bisect_left(starts, span[0])
    return place if place < len(starts) and starts[place] < span[1] else None


def _last_within(commands: list[Command], starts: list[int], span: Span) -> int | None:
    """The place of the last command in a span that is not in a substitution there."""
    place = bisect_left(starts, span[1]) - 1
    while place >= 0 and starts[place] >= span[0]:
        around = commands[place].subshell
        if around is None or around[0] <= span[0]:
            return place
        place -= 1
    return None
