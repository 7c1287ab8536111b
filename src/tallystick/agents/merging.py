"""What `tally init` puts into a file, and how it is taken out again: three kinds of pieces.

A `Whole` file is ours alone. A `Block` stands between two marker lines in a text of somebody else.
`Entries` are keys and list items in somebody's JSON. Each kind can tell whether it is in place, put
itself in, and take itself out, knowing its own by what it says, not by where it stands. Pure.
"""

import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tallystick.agents import json_text
from tallystick.agents.json_text import Node
from tallystick.errors import InvalidError

BEGIN: Final = "tallystick:begin"
END: Final = "tallystick:end"
PROGRAMS: Final = frozenset({"tally", "tallystick"})
"""How our program is called in a command of ours: as itself, or as a module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A file of ours alone."""

    content: bytes
    mark: bytes | None = None
    """Words that only a file of ours has; None where a file by that name may be anybody's."""
    keep: bool = False
    """Whether a file that is there already belongs to people from then on."""

    def holds(self, current: bytes | None) -> bool:
        """Whether nothing needs to be written."""
        return current == self.content or (self.keep and current is not None)

    def without(self, current: bytes) -> bytes | None:
        """What was there, or is there beside us; None for no file."""
        is_ours = current == self.content or (self.mark is not None and self.mark in current)
        return None if is_ours else current

    def onto(self, base: bytes | None) -> bytes:  # noqa: ARG002 - the kinds are called alike
        """The file with this piece."""
        return self.content

    def pasted(self) -> str:
        """What a person would put there by hand."""
        return self.content.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines between two markers at the end of a text."""

    lines: str
    """Without the markers; ends with a line end."""
    comment: tuple[str, str] = ("# ", "")
    """What makes a line a comment: its beginning, its end."""
    toml: tuple[str, ...] | None = None
    """Of a TOML file: the table that the block defines. Somebody's own one is left alone."""

    def holds(self, current: bytes | None) -> bool:
        """Whether the block is there as it would be written, or somebody's own in its place."""
        if current is None:
            return False
        text = _text(current)
        if self._is_theirs(text):
            return True
        span = self._span(text)
        return span is not None and text[span[0] : span[1]].replace("\r\n", "\n") == self._whole()

    def without(self, current: bytes) -> bytes | None:
        """The text without the block, and without the empty line that was put before it."""
        text = _text(current)
        span = self._span(text)
        if span is None:
            return current
        before, after = text[: span[0]], text[span[1] :]
        newline = _newline(text)
        if before.endswith(newline * 2):
            before = before.removesuffix(newline)
        return (before + after).encode() or None

    def onto(self, base: bytes | None) -> bytes:
        """The text with the block at its end; raises `InvalidError` where TOML would not be."""
        text = _text(base or b"")
        self._span(text)
        newline = _newline(text)
        gap = "" if not text.strip() else newline if text.endswith("\n") else newline * 2
        whole = text + gap + self._whole().replace("\n", newline)
        if self.toml is not None:
            _parsed_toml(whole)
        return whole.encode()

    def pasted(self) -> str:
        """What a person would put there by hand."""
        return self._whole()

    def _whole(self) -> str:
        begin, end = self.comment
        return f"{begin}{BEGIN}{end}\n{self.lines}{begin}{END}{end}\n"

    def _span(self, text: str) -> tuple[int, int] | None:
        """Where the block stands; raises `InvalidError` when only one of its markers does."""
        begin, end = (f"{self.comment[0]}{word}{self.comment[1]}" for word in (BEGIN, END))
        start, stop = text.find(begin), text.find(end)
        if start < 0 and stop < 0:
            return None
        if start < 0 or stop < start or text.count(begin) > 1 or text.count(end) > 1:
            raise InvalidError(
                f"expected `{begin}` and `{end}` once each, in this order; found otherwise",
                code="markers_broken",
            )
        line_end = text.find("\n", stop)
        return start, len(text) if line_end < 0 else line_end + 1

    def _is_theirs(self, text: str) -> bool:
        """Whether the table of this block stands elsewhere in the text."""
        if self.toml is None:
            return False
        node: Any = _parsed_toml(text)
        for key in self.toml:
            node = node.get(key) if isinstance(node, dict) else None
        return node is not None and self._span(text) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a list: a group of hooks, or a hook."""

    where: json_text.Path
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of an object: a server by name. Somebody's own one by that name is left alone."""

    where: json_text.Path
    key: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Items and keys in a JSON file."""

    items: tuple[Item, ...] = ()
    members: tuple[Member, ...] = ()
    needed: tuple[Member, ...] = ()
    """Keys that the format asks for, such as a version: put where they are missing, not ours."""

    def holds(self, current: bytes | None) -> bool:
        """Whether each of ours is there once, as it would be written, and none of ours beside."""
        if current is None:
            return False
        top = _document(_text(current))
        if not self._are_members_held(top):
            return False
        return all(
            [item for item in _list_at(top, where) if holds_ours(item)]
            == [item.value for item in self.items if item.where == where]
            for where in self._lists(top)
        )

    def without(self, current: bytes) -> bytes | None:
        """The text without what is ours, and without containers that this leaves empty."""
        text = _text(current)
        found = False
        for where in self._lists(_document(text)):
            text, dropped = _without_items(text, where)
            found = found or dropped
        for member in self.members:
            node = json_text.at(_document(text), (*member.where, member.key))
            if node is not None and is_our_server(node.value):
                text, found = _dropped_upwards(text, (*member.where, member.key)), True
        if not found:
            return current
        rest = _document(text).value
        bare = {member.key: member.value for member in self.needed}
        return None if rest in ({}, bare) else text.encode()

    def onto(self, base: bytes | None) -> bytes:
        """The text with all of ours; raises `InvalidError` where that cannot be."""
        text = _text(base or b"")
        if not text.strip():
            text = "{}\n"
        for member in self.needed:
            if json_text.at(_document(text), (*member.where, member.key)) is None:
                text = json_text.put_member(text, member.where, member.key, member.value)
        for member in self.members:
            if json_text.at(_document(text), (*member.where, member.key)) is None:
                text = json_text.put_member(text, member.where, member.key, member.value)
        for item in self.items:
            text = json_text.put_item(text, item.where, item.value)
        return text.encode()

    def pasted(self) -> str:
        """What a person would put there by hand: these entries alone, as a document."""
        return self.onto(None).decode()

    def _are_members_held(self, top: Node) -> bool:
        for member in (*self.needed, *self.members):
            node = json_text.at(top, (*member.where, member.key))
            if node is None:
                return False
            is_ours = member in self.members and is_our_server(node.value)
            if is_ours and node.value != member.value:
                return False
        return True

    def _lists(self, top: Node) -> list[json_text.Path]:
        """The lists to look at: those of our items, and every other one beside them."""
        wheres = {item.where: None for item in self.items}
        for above in {where[:-1] for where in wheres}:
            holder = json_text.at(top, above)
            if holder is not None and isinstance(holder.value, dict):
                beside = zip(holder.keys, holder.items, strict=True)
                wheres |= {
                    (*above, key): None for key, node in beside if isinstance(node.value, list)
                }
        return list(wheres)


Piece = Whole | Block | Entries


def holds_ours(group: Any) -> bool:
    """Whether a group of hooks, or a hook, calls our guard."""
    return any(is_our_hook(hook) for hook in _hooks_of(group))


def is_our_hook(hook: Any) -> bool:
    """Whether one handler calls `tally hook`, from wherever: another installation's is ours, too.

    It is known by its words: the last is `hook`, and one before it names our program.
    """
    words = command_of(hook)
    return bool(words) and words[-1] == "hook" and _names_us(words[:-1])


def is_our_server(entry: Any) -> bool:
    """Whether an entry of MCP servers starts `tally mcp`."""
    words = command_of(entry)
    return bool(words) and words[-1] == "mcp" and _names_us(words[:-1])


def command_of(handler: Any) -> list[str]:
    """The words that a hook or a server starts with; none for what has no command.

    `command` is a shell line, a program beside `args`, or a list of words; Copilot calls a program
    `exec`.
    """
    if not isinstance(handler, dict):
        return []
    program = handler.get("exec", handler.get("command"))
    arguments = handler.get("args")
    if isinstance(program, list):
        words = program
    elif isinstance(program, str) and isinstance(arguments, list):
        words = [program, *arguments]
    else:
        words = _split(program) if isinstance(program, str) else []
    return [word for word in words if isinstance(word, str)]


def hooks_in(document: Any) -> Iterator[Any]:
    """Every handler of ours in the `hooks` of a settings document, whatever the event."""
    events = document.get("hooks") if isinstance(document, dict) else None
    for groups in events.values() if isinstance(events, dict) else ():
        for group in groups if isinstance(groups, list) else ():
            yield from (hook for hook in _hooks_of(group) if is_our_hook(hook))


def _hooks_of(group: Any) -> list[Any]:
    """The handlers of a group; a format without groups has the handler itself there."""
    if not isinstance(group, dict):
        return []
    hooks = group.get("hooks")
    return hooks if isinstance(hooks, list) else [group]


def _names_us(words: list[str]) -> bool:
    return any(word.rpartition("/")[2] in PROGRAMS for word in words)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _without_items(text: str, where: json_text.Path) -> tuple[str, bool]:
    """The text without our hooks in one list, and whether there were any.

    Somebody may have put a hook of theirs into a group of ours: then the group stays.
    """
    found = False
    for index in reversed(range(len(_list_at(_document(text), where)))):
        group = _list_at(_document(text), where)[index]
        if not holds_ours(group):
            continue
        found = True
        if all(is_our_hook(hook) for hook in _hooks_of(group)):
            text = json_text.drop(text, where, index)
        else:
            text = _without_hooks(text, where, index)
    return (_dropped_upwards(text, where, only_empty=True) if found else text), found


def _without_hooks(text: str, where: json_text.Path, index: int) -> str:
    """The text without our hooks in a group that has others, too."""
    for place in reversed(range(len(_list_at(_document(text), where)[index]["hooks"]))):
        holder = json_text.at(_document(text), where)
        assert holder is not None  # noqa: S101 - it was there a moment ago
        group = json_text.at(holder.items[index], ("hooks",))
        assert group is not None  # noqa: S101 - likewise
        if is_our_hook(group.items[place].value):
            text = json_text.drop_below(text, group, place)
    return text


def _dropped_upwards(text: str, path: json_text.Path, *, only_empty: bool = False) -> str:
    """Without the entry at a path, and without every container above it that is empty then."""
    while path:
        node = json_text.at(_document(text), path)
        if node is None or (only_empty and node.items):
            return text
        text, path, only_empty = json_text.drop(text, path[:-1], path[-1]), path[:-1], True
    return text


def _list_at(top: Node, where: json_text.Path) -> list[Any]:
    node = json_text.at(top, where)
    return node.value if node is not None and isinstance(node.value, list) else []


def _document(text: str) -> Node:
    node = json_text.parse(text) if text.strip() else Node(0, 0, {})
    if not isinstance(node.value, dict):
        raise InvalidError("expected a JSON object; found another value", code="settings_not_json")
    return node


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidError(f"expected UTF-8; found {error}", code="settings_not_text") from error


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _parsed_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise InvalidError(f"expected TOML; found {error}", code="settings_not_toml") from error
