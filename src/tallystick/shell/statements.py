"""The outermost list of a tree of tree-sitter-bash: its items, and what stands between them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from tallystick.shell.heredocs import Cut
from tallystick.shell.quoting import literal, pieces
from tallystick.shell.syntax import Statement, Word

if TYPE_CHECKING:
    from tree_sitter import Node

_KINDS: Final = {
    "command": "command", "declaration_command": "command", "unset_command": "command",
    "variable_assignment": "command", "variable_assignments": "command",
    "test_command": "command", "negated_command": "command", "pipeline": "pipeline",
    "for_statement": "for", "c_style_for_statement": "for", "while_statement": "while",
    "if_statement": "if", "case_statement": "case", "function_definition": "function",
    "subshell": "group", "compound_statement": "group",
}  # fmt: skip
_OPERATORS: Final = frozenset({";", "&", "&&", "||"})


class Words:
    """The words of nodes."""

    def __init__(self, text: str, document: Cut) -> None:
        self._text = text
        self._masked = document.text

    def of(self, node: "Node") -> Word:
        """The word of a node."""
        start, end = node.start_byte, node.end_byte
        raw = self._text[start:end]
        found = pieces(raw, self._masked[start:end])
        text = literal(found)
        return Word(raw, text, (start, end), () if text is not None else found)


class _Item(NamedTuple):
    """A node of the list, with what stands behind it."""

    node: "Node"
    operator: str
    background: bool
    end: int
    """Where it ends: behind its redirections."""


def outermost(root: "Node", words: Words) -> Iterator[Statement]:
    """The items in their order; the list on the left of an `&&` or `||` is taken apart."""
    flat = list(_flat(root))
    for place, item in enumerate(flat):
        between = item.operator or ("\n" if place + 1 < len(flat) else "")
        found = _statement(item.node, words)
        yield found._replace(
            span=(found.span[0], item.end),
            operator=between,
            background=item.background,
            redirected=found.redirected or item.end > item.node.end_byte,
        )


def _flat(root: "Node") -> Iterator[_Item]:
    """The items, left to right."""
    stack: list[_Item] = []
    ahead = ""
    for child in reversed(root.children):
        if not child.is_named:
            ahead = child.type if child.type in _OPERATORS else ""
        elif child.type != "comment":
            stack.append(_Item(child, ahead, ahead == "&", child.end_byte))
            ahead = ""
    while stack:
        item = stack.pop()
        body = item.node.child_by_field_name("body")
        if item.node.type == "list":
            stack += _parts(item)
        elif item.node.type == "redirected_statement" and body and body.type == "list":
            stack.append(item._replace(node=body))
        else:
            yield item


def _parts(item: _Item) -> Iterator[_Item]:
    """The two sides of an `&&` or `||`, the right one first; redirections belong to it."""
    operator, last = item.operator, True
    for child in reversed(item.node.children):
        if child.type in _OPERATORS:
            operator = child.type
        elif child.is_named:
            end = item.end if last else child.end_byte
            yield _Item(child, operator, item.background, end)
            last = False


def _statement(node: "Node", words: Words) -> Statement:
    """One item, without what stands behind it."""
    redirected = node.type == "redirected_statement"
    body = node.child_by_field_name("body") if redirected else node
    span = (node.start_byte, node.end_byte)
    if body is None:
        return Statement("other", span, redirected=redirected)
    kind = _KINDS.get(body.type, "other")
    found = Statement(kind, span, redirected=redirected)
    group = body.child_by_field_name("body")
    if group is not None and group.type == "do_group":
        ends = group.children
        found = found._replace(body=(ends[0].end_byte, ends[-1].start_byte))
    variable = body.child_by_field_name("variable")
    if kind == "for" and variable is not None:
        values = tuple(words.of(each) for each in body.children_by_field_name("value"))
        found = found._replace(variable=words.of(variable).raw, words=values)
    return found
