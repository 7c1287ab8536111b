"""A loop over fixed values as its rounds: one configuration, one run (P3.1, P7.2); pure.

A round is the text of the loop's body with its values. Whatever would make a round differ from what
the loop does (a counter, `break`, a change of directory that the next round would see, output that
goes to one place) makes `expand` answer None: the line is then one run, as it stands.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from tallystick.shell.parse import Assignment, Command, Parsed, Statement, parse
from tallystick.shell.values import MOST_VALUES, fixed

_BEFORE: Final = frozenset({"cd", "export", "set", "source", ".", "ulimit", "module", "unset"})
"""What may stand before the loop: it goes before each round."""
_CARRIES: Final = frozenset(
    {"break", "continue", "exit", "return", "cd", "pushd", "popd", "trap", "read", "shift", "wait",
     "exec", "let", "eval", "mapfile", "readarray"}
)  # fmt: skip
"""What one round would hand to the next, or to the loop."""
_CARRIED: Final = re.compile(r"\$[?!_]|\(\(|\+=|\$\{?RANDOM")
_DOCUMENT: Final = "<<"
_NOT_PLACED: Final = re.compile(r"['\\#]|<<|\$\{[^}]*[^\w}][^}]*\}|\$\(\(")
"""Where `$name` may mean something else than its value; an assignment goes before such a body."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:=@%+,-]+")
"""No letter in it means anything to a shell, nor to `re.sub`."""


class Point(NamedTuple):
    """One round."""

    params: dict[str, str]
    """The loop's variables, the outermost first."""
    command: str
    """What is executed, by `bash -c`."""


class Expansion(NamedTuple):
    """Every round of a loop, in order."""

    points: tuple[Point, ...]
    """At least two."""
    names: tuple[str, ...]
    parallel: bool = False
    """Whether the loop starts its rounds in the background."""
    waits: bool = True
    """Whether the line ends only when every round has."""


class _Loop(NamedTuple):
    """A loop that may be taken apart."""

    name: str
    values: tuple[str, ...]
    body: str


def expand(command: str) -> Expansion | None:
    """The rounds of a line that is a loop over fixed values; None for every other line."""
    parsed = parse(command)
    place = _only_loop(parsed)
    if place is None or _DOCUMENT in command:
        return None
    before, after = parsed.statements[:place], parsed.statements[place + 1 :]
    if not _may_stand_before(before, parsed) or not _is_wait(after, command):
        return None
    assigned = {each.name: each for one in _within(before, parsed) for each in one.assigned}
    found = _loops(parsed.statements[place], command, assigned)
    if found is None:
        return None
    loops, body, parallel = found
    names = tuple(loop.name for loop in loops)
    if len(set(names)) < len(names) or set(names) & set(assigned):
        return None
    prefix = command[before[0].span[0] : parsed.statements[place].span[0]] if before else ""
    points = tuple(_point(prefix, body, values, names) for values in _product(loops))
    if len(points) < 2:
        return None
    return Expansion(points, names, parallel, not parallel or bool(after))


def _only_loop(parsed: Parsed) -> int | None:
    """The place of the one `for`; None when there is none, or the text is not certain."""
    places = [place for place, each in enumerate(parsed.statements) if each.kind == "for"]
    if len(places) != 1 or not parsed.exact or parsed.has_error:
        return None
    loop = parsed.statements[places[0]]
    is_plain = loop.body is not None and loop.variable is not None
    return places[0] if is_plain and not loop.redirected and not loop.background else None


def _within(statements: Sequence[Statement], parsed: Parsed) -> list[Command]:
    """The commands of some statements."""
    return [
        command
        for command in parsed.commands
        if any(each.span[0] <= command.span[0] < each.span[1] for each in statements)
    ]


def _may_stand_before(before: Sequence[Statement], parsed: Parsed) -> bool:
    """Whether each statement only prepares the shell, and can do so before each round."""
    for each in before:
        if each.kind != "command" or each.redirected or each.operator not in {";", "&&", "\n"}:
            return False
    for command in _within(before, parsed):
        texts = [word.text for word in command.words]
        if texts and texts[0] not in _BEFORE:
            return False
        if texts[:1] == ["set"] and any("e" in (text or "e") for text in texts[1:2]):
            return False  # a round that fails would end the loop
    return True


def _is_wait(after: Sequence[Statement], command: str) -> bool:
    """Whether nothing follows the loop, or only a `wait`."""
    texts = [command[slice(*each.span)].strip() for each in after]
    return texts in ([], ["wait"])


def _loops(
    statement: Statement, text: str, assigned: dict[str, Assignment]
) -> tuple[list[_Loop], str, bool] | None:
    """The loops, the outermost first, the innermost body, and if it is put in the background."""
    loop = _loop(statement, text, assigned)
    if loop is None:
        return None
    inner = parse(loop.body)
    if len(inner.statements) == 1 and inner.statements[0].kind == "for":
        nested = inner.statements[0]
        if nested.redirected or nested.background or nested.body is None:
            return None
        deeper = _loops(nested, loop.body, assigned)
        return None if deeper is None else ([loop, *deeper[0]], deeper[1], deeper[2])
    body, parallel = _without_background(loop.body, inner)
    if body is None or not _is_alone(body, inner):
        return None
    return [loop], body, parallel


def _loop(statement: Statement, text: str, assigned: dict[str, Assignment]) -> _Loop | None:
    """One loop with its values and the text of its body."""
    values = fixed(statement.words, assigned)
    if not values or statement.variable is None or statement.body is None:
        return None
    body = text[slice(*statement.body)].strip()
    while body.endswith(";") and not body.endswith("\\;"):
        body = body[:-1].rstrip()
    return _Loop(statement.variable, values, body)


def _without_background(body: str, parsed: Parsed) -> tuple[str | None, bool]:
    """A body without the `&` that ends it, and whether it had one; None for one amid others."""
    if not any(each.background for each in parsed.statements):
        return body, False
    if len(parsed.statements) > 1 or not body.endswith("&"):
        return None, True
    return body[:-1].rstrip(), True


def _is_alone(body: str, parsed: Parsed) -> bool:
    """Whether a round hands nothing to the next one."""
    if not body or not parsed.exact or _CARRIED.search(body) or parsed.functions:
        return False
    for command in parsed.commands:
        if command.words and (command.words[0].text or "") in _CARRIES and not command.subshell:
            return False
        for each in command.assigned:
            if not command.words and each.name in (each.value.raw or ""):
                return False
    return True


def _product(loops: Sequence[_Loop]) -> list[tuple[str, ...]]:
    """Every combination, the innermost loop the fastest; nothing when there are too many."""
    rounds: list[tuple[str, ...]] = [()]
    for loop in loops:
        rounds = [(*outer, value) for outer in rounds for value in loop.values]
        if len(rounds) > MOST_VALUES:
            return []
    return rounds


def _point(prefix: str, body: str, values: Sequence[str], names: Sequence[str]) -> Point:
    """One round: values in the text where that reads well and is certain, else set before it."""
    params = dict(zip(names, values, strict=True))
    is_placed = _NOT_PLACED.search(body) is None and all(map(_PLAIN.fullmatch, values))
    if is_placed and not any(re.search(rf"\b{name}\b", prefix) for name in names):
        text = body
        for name, value in params.items():
            text = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", value, text)
        if not any(re.search(rf"\b{name}=", text) for name in names):
            return Point(params, _after(prefix, text))
    settings = "".join(f"{name}={shlex.quote(value)}; " for name, value in params.items())
    return Point(params, settings + _after(prefix, body))


def _after(prefix: str, body: str) -> str:
    """A body behind what prepares it; as a group, where only its first command would depend."""
    if prefix.rstrip().endswith("&&") and re.search(r"[;\n|&]", body):
        return f"{prefix}{{ {body}\n}}"
    return prefix + body
