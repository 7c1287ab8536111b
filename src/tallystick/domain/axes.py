"""One parameter of a sweep: a constant, a list or a range, and exactly which values (P2.2).

Ranges are calculated in exact fractions of the decimal numbers as they were written, logarithmic
ones to 40 digits, and rounded once: 0.1 and 0.1 and 0.1 more is 0.3, on every machine, for ever.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any, Final

from tallystick.domain.params import Value, checked_name, decode_value, encode_value
from tallystick.errors import InvalidError

MOST_VALUES: Final = 100_000
"""Values of one axis."""

_DIGITS: Final = 40
"""Of a logarithm; a double keeps 17."""
_DRAW_BITS: Final = 53
"""Bits of a fraction that is drawn: as many as a double keeps."""

_FORMS: Final = (
    'a number, text, true or false; a list of those; {"min", "max", "step"}; '
    '{"min", "max", "num"}, perhaps with "scale": "log"; or, for random search, {"min", "max"}'
)
_OF_STEPS: Final = frozenset({"min", "max", "step"})
_OF_NUMBER: Final = frozenset({"min", "max", "num", "scale", "type"})
_OF_RANGE: Final = frozenset({"min", "max", "scale", "type"})
_SCALES: Final = ("linear", "log")
_TYPES: Final = ("float", "int")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One parameter, read and checked."""

    name: str
    declared: Mapping[str, Any]
    """As it stands in the ledger: numbers with a fraction as text."""
    values: tuple[Value, ...] = ()
    """Every value, in order; none when it is a range to draw from."""
    constant: bool = False
    every: bool = False
    """Each of its values comes with every other point, drawn and listed ones included."""
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    whole: bool = False
    logs: tuple[Decimal, Decimal] | None = None
    """Logarithms of both ends (of the end after the last, for whole numbers), to 40 digits."""

    @property
    def continuous(self) -> bool:
        """Whether only random search can take values from it."""
        return not self.values

    def draw(self, digest: bytes) -> Value:
        """The value that 32 random bytes stand for (generator 1).

        A list takes the bytes as one big-endian number, modulo its length; a range takes their
        first 53 bits as a fraction of 1.
        """
        if self.values:
            return self.values[int.from_bytes(digest) % len(self.values)]
        if self.whole and self.logs is None:
            return int(self.low) + int.from_bytes(digest) % (int(self.high - self.low) + 1)
        part = Fraction(int.from_bytes(digest) >> (256 - _DRAW_BITS), 1 << _DRAW_BITS)
        if self.logs is None:
            return float(self.low + part * (self.high - self.low))
        drawn = _between(self.logs, part)
        if self.whole:
            return min(int(drawn.to_integral_value(ROUND_FLOOR)), int(self.high))
        return min(max(float(drawn), float(self.low)), float(self.high))


def draw_bytes(seed: int, draw: int, name: str) -> bytes:
    """Generator 1: SHA-256 in counter mode. One digest for each draw and each parameter.

    So what is drawn for one parameter does not depend on which others there are.
    """
    return hashlib.sha256(f"tallystick sweep draw 1\n{seed}\n{draw}\n{name}".encode()).digest()


def read_axis(name: str, given: Any) -> Axis:
    """A parameter as it was sent; raises `InvalidError`."""
    checked_name(name)
    if isinstance(given, Mapping):
        if set(given) == {"values"} and isinstance(given["values"], list):
            return read_axis(name, given["values"])
        return _ranged(name, given)
    if isinstance(given, list | tuple):
        values = tuple(_scalar(name, value) for value in given)
        if not values:
            raise _refused(name, "at least one value", "an empty list")
        encoded = [encode_value(name, value) for value in values]
        return _listed(Axis(name=name, declared={"name": name, "values": encoded}, values=values))
    value = _scalar(name, given)
    declared = {"name": name, "value": encode_value(name, value)}
    return Axis(name=name, declared=declared, values=(value,), constant=True)


def axis_of(entry: Mapping[str, Any]) -> Axis:
    """A parameter as it stands in the ledger."""
    return read_axis(entry["name"], as_sent(entry))


def as_sent(entry: Mapping[str, Any]) -> Any:
    """A parameter of the ledger in the form in which it was sent."""
    if "value" in entry:
        return decode_value(entry["value"])
    if "values" in entry:
        return [decode_value(value) for value in entry["values"]]
    words = {"scale", "type"}
    return {
        key: value if key in words else decode_value(value)
        for key, value in sorted(entry.items(), key=lambda item: _ORDER.index(item[0]))
        if key not in {"name", "every"}
    }


_ORDER: Final = ("name", "every", "min", "max", "step", "num", "scale", "type")


def text_of(value: Value) -> str:
    """The one text of a value in a command: as Python writes numbers, `True` and `False`."""
    return value if isinstance(value, str) else repr(value)


def identity(value: Value) -> tuple[str, Value]:
    """Equal for values that make the same configuration.

    1, 1.0 and "1" are the same, for they are equal or make the same command; "01" is a text of
    its own, and so is "true", for `true` stands in a command as True.
    """
    if isinstance(value, bool):
        return "text", text_of(value)
    if isinstance(value, str):
        read = decode_value(value)
        if isinstance(read, str | bool) or text_of(read) != value:
            return "text", value
        return "number", read
    return "number", value


def encoded_bytes(document: Any) -> int:
    """How many bytes of an entry a JSON document takes."""
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _scalar(name: str, value: Any) -> Value:
    """A value that can stand in a command; raises `InvalidError`."""
    if isinstance(value, str) and "\x00" in value:
        raise _refused(name, "text without NUL", "one")
    if isinstance(value, str | bool | int | float):
        encode_value(name, value)
        return value
    raise _refused(name, _FORMS, "null" if value is None else f"{_kind(value)} among its values")


def _listed(axis: Axis) -> Axis:
    """The same axis; raises `InvalidError` when a value comes twice, or there are too many."""
    if len(axis.values) > MOST_VALUES:
        raise _too_many(axis.name, len(axis.values))
    seen: dict[tuple[str, Value], Value] = {}
    for value in axis.values:
        key = identity(value)
        if key in seen:
            raise _twice(axis.name, seen[key], value)
        seen[key] = value
    return axis


def _twice(name: str, first: Value, second: Value) -> InvalidError:
    shown = (json.dumps(first)[:60], json.dumps(second)[:60])
    same = "stands twice" if shown[0] == shown[1] else f"and {shown[1]} make the same configuration"
    return InvalidError(
        f"parameters.{name}: expected every value once; {shown[0]} {same}",
        code="duplicate_value",
        hint="one configuration is one run; to repeat it, send seeds, or add a parameter",
    )


def _ranged(name: str, given: Mapping[str, Any]) -> Axis:
    """Steps, a number of points, or a range to draw from."""
    keys = set(given)
    if keys == _OF_STEPS:
        return _stepped(name, given)
    if not {"min", "max"} <= keys or not keys <= (_OF_NUMBER if "num" in keys else _OF_RANGE):
        raise _refused(name, _FORMS, f"an object with {', '.join(sorted(keys)) or 'nothing in it'}")
    low, high = _number(name, given, "min"), _number(name, given, "max")
    log = _word(name, given, "scale", _SCALES) == "log"
    whole = _word(name, given, "type", _TYPES) == "int"
    if low >= high:
        raise _refused(name, "min below max", f"min {given['min']!r} and max {given['max']!r}")
    if log and low <= 0:
        raise _refused(name, "min above 0 for a logarithmic scale", repr(given["min"]))
    logs = _logs(low, high + 1 if whole and "num" not in given else high) if log else None
    axis = Axis(
        name=name, declared=_declared(name, given), low=low, high=high, whole=whole, logs=logs
    )
    if "num" in given:
        return _numbered(axis, given)
    if whole and (low.denominator, high.denominator) != (1, 1):
        raise _refused(name, "whole numbers as min and max of an int", f"{given['min']!r}")
    return axis


def _stepped(name: str, given: Mapping[str, Any]) -> Axis:
    """From min by step, up to max: max itself when it is hit exactly."""
    low, high, step = (_number(name, given, key) for key in ("min", "max", "step"))
    if step <= 0 or low > high:
        found = f"min {given['min']!r}, max {given['max']!r}, step {given['step']!r}"
        raise _refused(name, "min up to max by a step above 0", found)
    count = (high - low) // step + 1
    if count > MOST_VALUES:
        raise _too_many(name, count)
    whole = all(isinstance(given[key], int) for key in _OF_STEPS)
    exact = (low + step * place for place in range(count))
    values = tuple(int(value) if whole else float(value) for value in exact)
    return _listed(Axis(name=name, declared=_declared(name, given), values=values))


def _numbered(axis: Axis, given: Mapping[str, Any]) -> Axis:
    """So many points from min to max, both included."""
    name, count = axis.name, given["num"]
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise _refused(name, "num of at least 2", repr(count)[:40])
    if count > MOST_VALUES:
        raise _too_many(name, count)
    ends = isinstance(given["min"], int) and isinstance(given["max"], int)
    exact = list(_spread(axis, count))
    if axis.whole:
        values: tuple[Value, ...] = tuple(round(value) for value in exact)
    elif ends and axis.logs is None and all(value.denominator == 1 for value in exact):
        values = tuple(int(value) for value in exact)
    else:
        values = tuple(float(value) for value in exact)
    return _listed(Axis(name=name, declared=axis.declared, values=values))


def _spread(axis: Axis, count: int) -> Iterator[Fraction]:
    """Points at the same distance, or at the same ratio."""
    for place in range(count):
        if place in {0, count - 1}:
            yield axis.high if place else axis.low
        elif axis.logs is not None:
            yield Fraction(_between(axis.logs, Fraction(place, count - 1)))
        else:
            yield axis.low + (axis.high - axis.low) * Fraction(place, count - 1)


def _logs(low: Fraction, high: Fraction) -> tuple[Decimal, Decimal]:
    exact = Context(prec=_DIGITS)
    return exact.ln(_decimal(low, exact)), exact.ln(_decimal(high, exact))


def _between(logs: tuple[Decimal, Decimal], part: Fraction) -> Decimal:
    """What lies at `part` of the way between two logarithms, to 40 digits."""
    exact = Context(prec=_DIGITS)
    way = exact.multiply(exact.subtract(logs[1], logs[0]), _decimal(part, exact))
    return exact.exp(exact.add(logs[0], way))


def _decimal(value: Fraction, exact: Context) -> Decimal:
    return exact.divide(Decimal(value.numerator), Decimal(value.denominator))


def _number(name: str, given: Mapping[str, Any], key: str) -> Fraction:
    """A number exactly as it was written."""
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(name, f"a number as {key}", repr(value)[:40])
    encode_value(name, value)
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


def _word(name: str, given: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    value = given.get(key, known[0])
    if value not in known:
        raise _refused(name, f"{' or '.join(known)} as {key}", repr(value)[:40])
    return str(value)


def _declared(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The range as it was sent, for the ledger."""
    return {
        "name": name,
        **{
            key: value if isinstance(value, str) else encode_value(name, value)
            for key, value in given.items()
        },
    }


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return type(value).__name__


def _refused(name: str, expected: str, found: str) -> InvalidError:
    return InvalidError(
        f"parameters.{name}: expected {expected}; found {found}", code="parameters_invalid"
    )


def _too_many(name: str, count: int) -> InvalidError:
    return InvalidError(
        f"parameters.{name}: expected at most {MOST_VALUES:,} values; found {count:,}",
        code="space_too_large",
        hint="widen the step, or draw from the range with strategy=random and samples",
    )
