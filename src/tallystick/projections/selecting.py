"""What a filter and an order ask of the tables; the grammar is in `filters`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from tallystick.db.database import Transaction
from tallystick.db.expressions import TextOfBytes, json_number, json_text
from tallystick.ledger.tables import payloads
from tallystick.projections.filters import SortKey, Term, mentions, number_in
from tallystick.projections.operations import measured
from tallystick.projections.tables import runs as shape

_t = shape.table.c

_COMMITMENT_CHARACTERS: Final = 64

_WORDS: Final[dict[str, ColumnElement[Any]]] = {
    "id": _t.id,
    "status": _t.status,
    "outcome": _t.outcome,
    "reason": _t.reason_code,
    "sweep": _t.sweep,
    "session": _t.session,
    "parent": _t.parent,
}
_NUMBERS: Final[dict[str, ColumnElement[Any]]] = {
    "exit": _t.exit_code,
    "signal": _t.signal,
    "attempts": _t.attempts,
    "point": _t.point,
    "created": _t.created_at,
    "started": _t.started_at,
    "ended": _t.ended_at,
}
_TEXTS: Final[dict[str, tuple[ColumnElement[Any], ...]]] = {
    "name": (_t.name,),
    "command": (_t.command,),
    "note": (_t.note,),
    "text": (_t.name, _t.command, _t.note),
}
_PLACES: Final = {"metric": 0, "min": 1, "max": 2}
"""Of the numbers that are kept of each metric."""

_COMPARE: Final[dict[str, Callable[[Any, Any], ColumnElement[bool]]]] = {
    ":": lambda field, value: field == value,
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs, and in which order; without an order the newest come first."""

    terms: tuple[Term, ...] = ()
    sort: SortKey | None = None
    now: int = 0
    """Milliseconds; what ages are counted from."""

    def source(self) -> FromClause:
        """The tables that are looked at."""
        fields = ("metric", "min", "max", "summary", "has")
        if mentions(self.terms, *fields) or (self.sort and self.sort.field in fields):
            return shape.table.outerjoin(measured, measured.c.run == _t.id)
        return shape.table

    def conditions(self) -> list[ColumnElement[bool]]:
        """All of which must hold."""
        return [_condition(term, self.now) for term in self.terms]

    def order(self) -> list[ColumnElement[Any]]:
        """The keys of the order; the newest first among equals."""
        ways = [key.desc() if down else key.asc() for key, down in self._keys()]
        return [way.nulls_last() for way in ways] + [_t.created_seq.desc()]

    def following(self, tx: Transaction, seq: int) -> ColumnElement[bool]:
        """What comes after the run that was registered by entry `seq`, where it stands now."""
        keys = self._keys()
        if not keys:
            return _t.created_seq < seq
        wanted = [key.label(f"k{place}") for place, (key, _) in enumerate(keys)]
        rows = tx.fetch(
            select(*wanted).select_from(self.source()).where(_t.created_seq == seq).limit(1)
        )
        if not rows:
            return false()
        found: list[Any] = list(rows[0].values())
        ways: list[ColumnElement[bool]] = []
        same: list[ColumnElement[bool]] = []
        for (key, down), value in zip(keys, found, strict=True):
            if value is not None:
                beyond = key < value if down else key > value
                ways.append(and_(*same, or_(beyond, key.is_(None))))
            same.append(key.is_(None) if value is None else key == value)
        ways.append(and_(*same, _t.created_seq < seq))
        return or_(*ways)

    def _keys(self) -> list[tuple[ColumnElement[Any], bool]]:
        """The values that are ordered by, and whether the greatest come first."""
        sort = self.sort
        if sort is None or (sort.field == "created" and sort.descending):
            return []
        if sort.field == "created":
            return [(_t.created_seq, False)]
        if sort.field == "param":
            texts = json_text(_t.params, sort.name)
            return [(json_number(_t.params, sort.name), sort.descending), (texts, sort.descending)]
        return [(_value_of(sort.field, sort.name, self.now), sort.descending)]


def _value_of(field: str, name: str, now: int) -> ColumnElement[Any]:
    """The number, or the word, that a field stands for."""
    if field in _PLACES:
        return json_number(measured.c.ranges, name, _PLACES[field])
    if field == "summary":
        return json_number(measured.c.summary, name)
    if field == "duration":
        return func.coalesce(_t.ended_at, literal(now)) - _t.started_at
    if field == "age":
        return literal(now) - _t.created_at
    return _WORDS[field] if field in _WORDS else _NUMBERS[field]


def _condition(term: Term, now: int) -> ColumnElement[bool]:
    """One term; what has no value does not match, and matches when the term is turned round."""
    equal = _known(or_(*(_one(term, term.op.replace("!=", ":"), v, now) for v in term.values)))
    found = and_(_known(_given(term, now)), not_(equal)) if term.op == "!=" else equal
    return not_(found) if term.negated else found


def _known(found: ColumnElement[bool]) -> ColumnElement[bool]:
    """False where there is nothing to compare."""
    known: ColumnElement[bool] = func.coalesce(found, false())
    return known


def _given(term: Term, now: int) -> ColumnElement[bool]:
    """Whether the run has any value there, which may be another."""
    if term.field in {"param", "metric", "min", "max", "summary"}:
        return _has(f"{term.field}.{term.name}")
    if term.field == "tag":
        return true()
    return _value_of(term.field, "", now).is_not(None)


def _one(term: Term, op: str, value: Any, now: int) -> ColumnElement[bool]:
    """Whether one alternative holds."""
    field = term.field
    if field in {"param", "metric", "min", "max", "summary"}:
        return _named(term, op, value)
    if field == "tag":
        return _contains_exactly(_t.tags, value)
    if field == "has":
        return _has(value)
    if field in _TEXTS:
        return _mentioned(field, value)
    if field in {"archived", "starred", "compliant"}:
        return _flag(field, value)
    if op == "~":
        return _WORDS[field].icontains(value, autoescape=True)
    return _COMPARE[op](_value_of(field, "", now), value)


def _flag(field: str, value: Any) -> ColumnElement[bool]:
    """`value` is True, False or "any"."""
    if value == "any":
        return true()
    held = {
        "archived": _t.archived.is_(True),
        "starred": _t.starred.is_(True),
        "compliant": _t.violations == "[]",
    }[field]
    return held if value else not_(held)


def _named(term: Term, op: str, value: Any) -> ColumnElement[bool]:
    """A parameter, a metric or a summary."""
    if term.field in _PLACES:
        texts = json_text(measured.c.ranges, term.name, _PLACES[term.field])
    else:
        column = _t.params if term.field == "param" else measured.c.summary
        texts = json_text(column, term.name)
    numbers = (
        json_number(_t.params, term.name)
        if term.field == "param"
        else _value_of(term.field, term.name, 0)
    )
    if op == "~":
        return texts.icontains(value, autoescape=True)
    if op != ":":
        return _COMPARE[op](numbers, value)
    alternatives = [texts == value]
    number = number_in(value)
    if number is not None:
        if number != number:  # noqa: PLR0124 - NaN
            alternatives.append(texts == "NaN")
        else:
            alternatives.append(numbers == number)
    if term.field == "param":
        alternatives.append(texts == f"'{value}")  # text that is written like a number is marked
    return or_(*alternatives)


def _has(said: str) -> ColumnElement[bool]:
    field, _, name = said.partition(".")
    if field in _PLACES:
        return json_text(measured.c.ranges, name, 0).is_not(None)
    if field == "param":
        return json_text(_t.params, name).is_not(None)
    if field == "summary":
        return json_text(measured.c.summary, name).is_not(None)
    if field == "tag":
        return _t.tags != "[]"
    return {"note": _t.note, "sweep": _t.sweep, "parent": _t.parent}[field].is_not(None)


def _contains_exactly(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Whether a JSON array of texts holds one; a text inside it is found with its quotes alone."""
    needle = orjson.dumps(value).decode()
    return func.replace(column, needle, "") != column


def _mentioned(field: str, words: str) -> ColumnElement[bool]:
    """Whether the texts behind commitments, or a tag, or an id, say these words."""
    keys = [func.substr(column, 1, _COMMITMENT_CHARACTERS) for column in _TEXTS[field]]
    said = TextOfBytes(payloads.c.bytes).icontains(words, autoescape=True)
    found: ColumnElement[bool] = exists(
        select(null()).select_from(payloads).where(payloads.c.c.in_(keys), said)
    )
    if field != "text":
        return found
    return or_(found, _t.id == words, _t.tags.icontains(words, autoescape=True))
