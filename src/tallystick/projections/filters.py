"""The filter grammar: `status:failed param.lr>=1e-3 metric.val/loss<0.2 tag:best "free text"`.

Terms stand side by side and must all hold; a minus before one turns it round, and several values
after one comma each are alternatives. Reading is pure; `selecting` makes questions of the terms.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tallystick.db.expressions import usable_key
from tallystick.domain.status import Outcome, Status
from tallystick.errors import InvalidError

MOST_TERMS: Final = 32
LONGEST_FILTER: Final = 2_000


class Kind(StrEnum):
    """What a field holds, and so what it can be compared with."""

    WORD = "word"
    NUMBER = "number"
    TIME = "time"
    SPAN = "span"
    FLAG = "flag"
    TEXT = "text"
    TAG = "tag"
    HAS = "has"
    NAMED = "named"
    """Under a name: `param.lr`."""


FIELDS: Final[dict[str, Kind]] = {
    "id": Kind.WORD,
    "status": Kind.WORD,
    "outcome": Kind.WORD,
    "reason": Kind.WORD,
    "sweep": Kind.WORD,
    "session": Kind.WORD,
    "parent": Kind.WORD,
    "exit": Kind.NUMBER,
    "signal": Kind.NUMBER,
    "attempts": Kind.NUMBER,
    "point": Kind.NUMBER,
    "created": Kind.TIME,
    "started": Kind.TIME,
    "ended": Kind.TIME,
    "age": Kind.SPAN,
    "duration": Kind.SPAN,
    "archived": Kind.FLAG,
    "starred": Kind.FLAG,
    "compliant": Kind.FLAG,
    "tag": Kind.TAG,
    "name": Kind.TEXT,
    "command": Kind.TEXT,
    "note": Kind.TEXT,
    "text": Kind.TEXT,
    "has": Kind.HAS,
}
"""Every field without a name of its own."""

NAMED: Final = ("param", "metric", "min", "max", "summary")
"""Fields with one: a parameter; the last, least and greatest value of a metric; a summary."""

_CHOICES: Final = {
    "status": tuple(status.value for status in Status),
    "outcome": tuple(outcome.value for outcome in Outcome),
}

_OPERATORS: Final = {
    Kind.WORD: (":", "!=", "~"),
    Kind.NUMBER: (":", "!=", "<", "<=", ">", ">="),
    Kind.TIME: ("<", "<=", ">", ">="),
    Kind.SPAN: ("<", "<=", ">", ">="),
    Kind.FLAG: (":",),
    Kind.TEXT: (":", "~"),
    Kind.TAG: (":", "!="),
    Kind.HAS: (":",),
    Kind.NAMED: (":", "!=", "<", "<=", ">", ">=", "~"),
}

_TERM: Final = re.compile(
    r"""\s*(?P<not>-)?(?:
    (?P<field>[A-Za-z_]+)(?:\.(?:"(?P<quoted>[^"]+)"|(?P<key>[^\s"<>=!~:,]+)))?
    (?P<op>>=|<=|!=|>|<|=|:|~)(?P<values>(?:"[^"]*"|[^\s",]+)(?:,(?:"[^"]*"|[^\s",]+))*)
    |"(?P<phrase>[^"]+)"|(?P<word>[^\s"<>=!~:]+))(?=\s|$)""",
    re.VERBOSE,
)
_VALUE: Final = re.compile(r'"([^"]*)"|([^\s",]+)')
_KEY: Final = re.compile(
    r'(?P<down>-)?(?P<field>[a-z]+)(?:\.(?:"(?P<quoted>[^"]+)"|(?P<key>\S+)))?'
)
_SPAN: Final = re.compile(r"(?P<amount>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h|d|w)?")
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}

Value = str | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition. Times and spans are milliseconds."""

    field: str
    op: str
    values: tuple[Value, ...]
    name: str = ""
    """Of the parameter or metric."""
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """What a list is ordered by; runs without a value come last."""

    field: str
    name: str = ""
    descending: bool = False


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a filter; raises `InvalidError` (filter_invalid) and says what to do."""
    if len(text) > LONGEST_FILTER:
        raise _wrong(f"at most {LONGEST_FILTER} characters", f"{len(text)}")
    terms: list[Term] = []
    at = 0
    while text[at:].strip():
        found = _TERM.match(text, at)
        if found is None:
            rest = text[at:].strip()
            raise _wrong(
                'terms like status:failed, param.lr>=1e-3, tag:best or "free text"',
                f"{rest[:60]!r} at character {len(text) - len(text[at:].lstrip()) + 1}",
                hint="put what has a blank, a colon or a sign of comparison in it in double quotes",
            )
        terms.append(_term(found))
        at = found.end()
    if len(terms) > MOST_TERMS:
        raise _wrong(f"at most {MOST_TERMS} terms", f"{len(terms)}")
    return tuple(terms)


def parse_sort(text: str) -> SortKey:
    """What `sort` names: `metric.val/loss`, or `-ended` for the greatest first."""
    found = _KEY.fullmatch(text.strip())
    named = found is not None and found["field"] in NAMED
    sortable = ("created", "started", "ended", "duration", "status", "exit", "attempts", "point")
    name = (found["quoted"] or found["key"] or "") if found is not None else ""
    if found is None or bool(name) != named or not (named or found["field"] in sortable):
        raise InvalidError(
            f"sort: expected one of {', '.join(sortable)}, or a name after param., metric., min., "
            f"max. or summary., with a minus before it for the greatest first; found {text[:60]!r}",
            code="sort_invalid",
            next_actions=("GET /runs?sort=-ended", "GET /runs?sort=metric.loss"),
        )
    return SortKey(
        field=found["field"], name=_checked_name(name), descending=found["down"] is not None
    )


def _term(found: re.Match[str]) -> Term:
    negated = found["not"] is not None
    if found["field"] is None:
        words = found["phrase"] or found["word"]
        return Term(field="text", op="~", values=(words,), negated=negated)
    field, op = found["field"].lower(), ":" if found["op"] == "=" else found["op"]
    name = found["quoted"] or found["key"] or ""
    kind = _kind_of(field, name, found[0].strip())
    if op not in _OPERATORS[kind]:
        raise _wrong(f"{field} with one of {' '.join(_OPERATORS[kind])}", f"{found[0].strip()!r}")
    texts = [quoted or plain for quoted, plain in _VALUE.findall(found["values"])]
    if op not in {":", "!=", "~"} and len(texts) > 1:
        raise _wrong(f"one value after {op}", f"{found['values'][:60]!r}")
    values = tuple(_value(kind, field, op, text) for text in texts)
    if kind is Kind.NAMED:
        name = _checked_name(name)
    return Term(field=field, op=op, values=values, name=name, negated=negated)


def _kind_of(field: str, name: str, said: str) -> Kind:
    if field in NAMED:
        if not name:
            raise _wrong(f"a name after {field}, as in {field}.loss", f"{said[:60]!r}")
        return Kind.NAMED
    kind = FIELDS.get(field)
    if kind is None or name:
        near = difflib.get_close_matches(field, [*FIELDS, *NAMED], n=1)
        way = f"did you mean {near[0]}?" if near else f"a parameter is asked for as param.{field}"
        raise _wrong(
            f"one of {', '.join(FIELDS)}, or a name after {', '.join(f'{n}.' for n in NAMED)}",
            f"{said[:60]!r}",
            hint=f"{way} Words to look for in names and commands go in double quotes",
        )
    return kind


def _value(kind: Kind, field: str, op: str, text: str) -> Value:
    """The value as the field holds it."""
    choices = _CHOICES.get(field)
    if choices is not None and op != "~" and text not in choices:
        raise _wrong(f"{field} to be one of {', '.join(choices)}", f"{text[:40]!r}")
    if kind is Kind.NUMBER or (kind is Kind.NAMED and op in {"<", "<=", ">", ">="}):
        number = number_in(text)
        if number is None or number != number:  # noqa: PLR0124 - NaN compares with nothing
            raise _wrong(f"a number after {field}{op}", f"{text[:40]!r}")
        return number
    if kind is Kind.FLAG:
        if text.lower() not in {"true", "false", "yes", "no", "any"}:
            raise _wrong(f"{field}:true, {field}:false or {field}:any", f"{text[:40]!r}")
        return "any" if text.lower() == "any" else text.lower() in {"true", "yes"}
    if kind is Kind.TIME:
        return _time(field, text)
    if kind is Kind.SPAN:
        return _span(field, text)
    if kind is Kind.HAS:
        return _checked_has(text)
    return text


def number_in(text: str) -> float | None:
    """The number that a text is, NaN and the infinities included; None for other text."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _time(field: str, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(
            f"{field} to be compared with a date or a time such as 2026-05-01 or "
            "2026-05-01T12:00:00+02:00 (UTC unless it says otherwise)",
            f"{text[:40]!r}",
            hint="age<12h finds what was registered in the last twelve hours",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() * 1000


def _span(field: str, text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise _wrong(
            f"{field} to be compared with a duration such as 90, 90s, 5m, 12h, 3d or 2w",
            f"{text[:40]!r}",
        )
    return float(found["amount"]) * _UNITS[found["unit"] or "s"]


def _checked_has(text: str) -> str:
    field, _, name = text.partition(".")
    if field in NAMED and name:
        return f"{field}.{_checked_name(name)}"
    if text in {"note", "tag", "sweep", "parent"}:
        return text
    raise _wrong("has:note, has:tag, has:sweep, has:parent or has:metric.loss", f"{text[:40]!r}")


def _checked_name(name: str) -> str:
    if not usable_key(name):
        raise _wrong("a name without quotes and backslashes", f"{name[:40]!r}")
    return name


def _wrong(expected: str, found: str, *, hint: str = "") -> InvalidError:
    return InvalidError(
        f"filter: expected {expected}; found {found}",
        code="filter_invalid",
        hint=hint or 'example: status:failed param.lr>=1e-3 metric.val/loss<0.2 tag:best "resnet"',
        next_actions=("GET /openapi.json describes the grammar with the parameter filter",),
    )


def mentions(terms: Sequence[Term], *fields: str) -> bool:
    """Whether any of the fields is asked for."""
    return any(term.field in fields for term in terms)
