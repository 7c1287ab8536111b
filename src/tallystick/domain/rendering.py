"""A point and a base command to the command that is executed; every value is one word (P2.2).

What a value holds never becomes shell text: where a placeholder stands freely, its value is quoted;
where it stands inside quotes or anything else that a shell reads by other rules, only values
without any special character are taken. Values reach the command as flags (`--lr=0.1`), in place of
`{lr}`, or as environment variables. Bash's own braces (`${HOME}`, `{a,b}`) stay as they are.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.domain.axes import text_of
from tallystick.domain.params import Value
from tallystick.domain.plan import Space
from tallystick.domain.shell_scan import Slot, scan
from tallystick.errors import InvalidError

FLAG: Final = "flag"
PLACEHOLDER: Final = "placeholder"
ENVIRONMENT: Final = "environment"
PLACEMENTS: Final = (FLAG, PLACEHOLDER, ENVIRONMENT)

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
"""What means itself in every context of a shell, quoted or not."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNFINISHED: Final = (";", "&", "|", "\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How the points of one sweep become commands; `rendering_of` makes it."""

    placement: str
    pieces: tuple[str | Slot, ...]
    """The command, cut at its placeholders; whole for the other placements."""
    end: Slot | None = None
    """Where flags go."""

    def command(self, point: Mapping[str, Value]) -> str:
        """The command of a point; raises `InvalidError` for a value that cannot stand there."""
        written = [
            piece if isinstance(piece, str) else _in_slot(piece, point[piece.name])
            for piece in self.pieces
        ]
        if self.end is not None:
            for name, value in point.items():
                written.append(f" --{shlex.quote(name)}={_in_slot(self.end, value, name=name)}")
        return "".join(written)

    def variables(self, point: Mapping[str, Value]) -> dict[str, str]:
        """The environment variables of a point; none unless values are placed there."""
        if self.placement != ENVIRONMENT:
            return {}
        return {name: text_of(value) for name, value in point.items()}

    @property
    def watched(self) -> frozenset[str] | None:
        """Parameters whose values must be looked at one by one; None for all of them."""
        if self.end is not None:
            return None if self.end.quoted else frozenset()
        return frozenset(
            piece.name for piece in self.pieces if isinstance(piece, Slot) and piece.quoted
        )


def rendering_of(command: str, names: Sequence[str], *, placement: str | None = None) -> Rendering:
    """How `command` takes the parameters `names`; by placeholder when it holds one of them.

    Raises `InvalidError`: placement_invalid, placeholder_missing, placeholder_invalid,
    command_unfinished, env_invalid.
    """
    scanned = scan(command, names)
    slots = [piece for piece in scanned.pieces if isinstance(piece, Slot)]
    chosen = placement or (PLACEHOLDER if slots else FLAG)
    if chosen == PLACEHOLDER:
        _check_slots(slots, names)
        return Rendering(placement=chosen, pieces=scanned.pieces)
    if chosen == ENVIRONMENT:
        _check_variables(names)
        return Rendering(placement=chosen, pieces=(command,))
    if chosen != FLAG:
        raise InvalidError(
            f"placement: expected one of {', '.join(PLACEMENTS)}; found {chosen[:40]!r}",
            code="placement_invalid",
        )
    return _with_flags(command.rstrip())


def _with_flags(command: str) -> Rendering:
    """Values are added to the end, which must be the end of a program's arguments."""
    scanned = scan(command, ())
    if scanned.open is not None or command.endswith(_UNFINISHED):
        raise InvalidError(
            "base_command: expected a command to whose end flags can be added; they would stand "
            f"{scanned.open or f'after {command[-1]!r}'}",
            code="command_unfinished",
            hint="write {name} where the value of each parameter belongs, or send "
            "placement=environment",
        )
    end = Slot(name="", where=scanned.murky or "")
    return Rendering(placement=FLAG, pieces=(command,), end=end)


def check(rendering: Rendering, space: Space) -> None:
    """Raise `InvalidError` when a value of some point cannot stand where it belongs."""
    uneven = space.strategy == "list" and rendering.placement == PLACEHOLDER
    if rendering.watched == frozenset() and not uneven:
        return
    names = {piece.name for piece in rendering.pieces if isinstance(piece, Slot)}
    for index, point in enumerate(space.points()):
        if names - point.keys():
            raise InvalidError(
                f"points[{index}]: expected a value for every placeholder; "
                f"{', '.join(sorted(names - point.keys()))} has none",
                code="placeholder_missing",
                hint="with placement=flag or environment, points may have different names",
            )
        rendering.command(point)


def _in_slot(slot: Slot, value: Value, *, name: str | None = None) -> str:
    """The shell's text for one value."""
    text = text_of(value)
    if not slot.quoted:
        return shlex.quote(text)
    if _PLAIN.fullmatch(text) is None:
        raise InvalidError(
            f"parameters.{name or slot.name}: expected only letters, digits and "
            f"_ @ % + = : , . / - in values that stand {slot.where}; found {text[:60]!r}",
            code="placeholder_quoted",
            hint="close the quotes before the placeholder and open them again after it "
            "('a'{name}'b'): it is quoted then; or send placement=environment and write \"$name\"",
        )
    return text


def _check_slots(slots: Sequence[Slot], names: Sequence[str]) -> None:
    """Every parameter must reach the command."""
    there = {slot.name for slot in slots}
    missing = [name for name in names if name not in there]
    if missing:
        raise InvalidError(
            f"base_command: expected a placeholder for every parameter; "
            f"{', '.join('{' + name + '}' for name in missing)} is not in it",
            code="placeholder_missing",
            hint="a parameter that the command never gets would make runs that are all the same; "
            "write it in, or send placement=flag or placement=environment",
        )
    for slot in slots:
        if slot.after_variable:
            raise InvalidError(
                f"base_command: expected something between a variable and {{{slot.name}}}; found "
                "the two side by side, which the shell would read as one longer name",
                code="placeholder_invalid",
                hint=f"write ${{NAME}}{{{slot.name}}} instead of $NAME{{{slot.name}}}",
            )


def _check_variables(names: Sequence[str]) -> None:
    for name in names:
        if _VARIABLE.fullmatch(name) is None:
            raise InvalidError(
                f"parameters.{name[:80]}: expected letters, digits and '_' in the name of a "
                "variable; found something else",
                code="env_invalid",
                hint="with placement=flag or placeholder other names work",
            )
