"""Request bodies: raw bytes to a wire dataclass, strict, with refusals that teach.

JSON is read once for what the shape cannot see (repeated keys, NaN, lone surrogates, depth), once
by pydantic against the shape. Where agents call, an unknown field becomes a warning, never silence;
elsewhere it is refused. Validators are built at import, never for a request.
"""

import dataclasses
import json
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    Any,
    Final,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from tallystick.errors import InvalidError
from tallystick.wire.views import Warning as Notice

T = TypeVar("T")

_CONFIG: Final = ConfigDict(strict=True, extra="ignore")
_DOCUMENTED: Final = _CONFIG | ConfigDict(use_attribute_docstrings=True)
_SCALARS: Final = frozenset({"str", "int", "float", "bool", "none"})
_MOST_NOTICES: Final = 100  # unknown fields that are named one by one: an answer has its limits
_LONGEST_SHOWN: Final = 80  # characters of a found value: an error message is no place for a body

Known: TypeAlias = "Mapping[str, Known | None]"
"""Field names, with the fields of the objects that they hold."""


def strict(shape: type[Any]) -> type[Any]:
    """Let pydantic read a stdlib dataclass strictly."""
    for part in nested(shape):
        if "__pydantic_config__" not in vars(part):
            with_config(_CONFIG)(part)
    return shape


def documented(shape: type[Any]) -> type[Any]:
    """The same with its docstrings as descriptions; reading them from the source takes its time."""
    for part in nested(shape):
        with_config(_DOCUMENTED)(part)
    return shape


def nested(hint: Any) -> set[type[Any]]:
    """The dataclasses in a type, itself included."""
    if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        return set().union(*(nested(inner) for inner in get_args(hint)), set())
    found = {hint}
    for inner in get_type_hints(hint).values():
        if inner is not hint:
            found |= nested(inner)
    return found


@dataclass(frozen=True)
class Body(Generic[T]):
    """What one endpoint takes."""

    shape: type[T]
    optional: bool = False
    """An empty body stands for `{}`."""
    refuse_unknown: bool = False
    """Unknown fields are refused instead of answered with a warning."""
    not_finite: bool = False
    """NaN and the infinities are welcome, as bare tokens."""
    adapter: TypeAdapter[T] = field(init=False, repr=False)
    known: Known = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the validator, at import."""
        object.__setattr__(self, "adapter", TypeAdapter(strict(self.shape)))
        object.__setattr__(self, "known", _known(self.shape))

    def read(self, raw: bytes) -> tuple[T, list[Notice]]:
        """The body, and a warning for each unknown field; raises `InvalidError`."""
        if self.optional and not raw.strip():
            raw = b"{}"
        document = parse(raw, not_finite=self.not_finite)
        if not isinstance(document, dict):
            raise _wrong("body", "a JSON object", document)
        notices = _notices(list(_unknown(self.known, document)))
        if notices and self.refuse_unknown:
            raise InvalidError(
                notices[0].detail.replace("was ignored", "is refused"), code="unknown_field"
            )
        try:
            return self.adapter.validate_json(raw), notices
        except ValidationError as error:
            raise refusal_of(error) from None


def given(raw: bytes) -> dict[str, Any]:
    """The fields that were sent, null among them; of a body that was read already."""
    found: dict[str, Any] = parse(raw) if raw.strip() else {}
    return found


def parse(raw: bytes, *, not_finite: bool = False) -> Any:
    """JSON text as values; raises `InvalidError` for what is not exactly JSON in UTF-8."""
    try:
        text = raw.decode("utf-8")
        document = (_LENIENT if not_finite else _STRICT).decode(text)
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise _malformed(str(error)) from None
    if "\\ud" in text or "\\uD" in text:
        _refuse_surrogates(document)
    return document


def _notices(unknown: Sequence[tuple[str, list[str]]]) -> list[Notice]:
    """A warning for each unknown field; the last of very many stands for the others."""
    notices = [unknown_field(path, known) for path, known in unknown[:_MOST_NOTICES]]
    more = len(unknown) - len(notices)
    if more > 0:
        detail = f"{more} more fields are not known here and were ignored"
        notices.append(Notice(code="unknown_field", detail=detail))
    return notices


def unknown_field(path: str, known: Sequence[str]) -> Notice:
    """The warning for a field that nothing reads."""
    return Notice(
        code="unknown_field",
        detail=f"{path}: this field is not known here and was ignored; "
        f"known are {', '.join(known) or 'none'}",
    )


def _unknown(fields: Known, document: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    """Paths of unknown fields, with those that are known there."""
    for key, value in document.items():
        if key not in fields:
            yield key[:_LONGEST_SHOWN], list(fields)
            continue
        inner = fields[key]
        if inner is not None and isinstance(value, dict):
            for path, known in _unknown(inner, value):
                yield f"{key}.{path}", known


def _known(shape: type[Any]) -> Known:
    """Fields of a dataclass, each with those of the dataclass that it holds, if any."""
    hints = get_type_hints(shape)
    held = {item.name: _dataclass_in(hints[item.name]) for item in dataclasses.fields(shape)}
    return {name: None if inner is None else _known(inner) for name, inner in held.items()}


def _dataclass_in(hint: Any) -> type[Any] | None:
    if get_origin(hint) in (Union, types.UnionType):
        return next((part for part in map(_dataclass_in, get_args(hint)) if part), None)
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, refused when a key stands in it twice: readers disagree which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidError(
            f"body: the key {_show(twice)} stands twice in one object; expected once",
            code="duplicate_key",
        )
    return found


def _refuse_constant(token: str) -> float:
    raise InvalidError(
        f"body: {token} is not JSON; expected a finite number",
        code="not_finite",
        hint="NaN and Infinity are accepted in POST /runs/{id}/metrics only",
    )


def _refuse_surrogates(value: Any) -> None:
    """Half a character (a lone surrogate) has no UTF-8 form."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidError(
                "body: a string holds half of a character (a lone surrogate escape); "
                "expected whole Unicode characters",
                code="lone_surrogate",
            ) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key)
            _refuse_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_surrogates(item)


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_LENIENT: Final = json.JSONDecoder(object_pairs_hook=_unique)


def _malformed(why: str) -> InvalidError:
    return InvalidError(
        f"body: expected a JSON object in UTF-8; found something else: {why}",
        code="body_malformed",
        next_actions=("GET /openapi.json describes the body of every call",),
    )


def refusal_of(error: ValidationError) -> InvalidError:
    """The first field that is wrong, in words, and all of them as facts."""
    wrong: dict[str, dict[str, str]] = {}
    for item in error.errors(include_url=False, include_context=False):
        path, expected = _path(item["loc"]), item["msg"].removeprefix("Input should be ")
        found = "nothing" if item["type"] == "missing" else _show(item["input"])
        if item["type"] == "missing":
            expected = "a value: this field is required"
        entry = wrong.setdefault(path, {"field": path, "expected": expected, "found": found})
        if expected not in entry["expected"]:
            entry["expected"] += f" or {expected}"
    fields = list(wrong.values())
    first = fields[0]
    return InvalidError(
        f"{first['field']}: expected {first['expected']}; found {first['found']}",
        code="body_invalid",
        next_actions=("GET /openapi.json describes the body of every call",),
        errors=fields[:20],
    )


def _path(location: tuple[int | str, ...]) -> str:
    """A field's path, without pydantic's names for the branches of a union."""
    parts = list(location)
    if len(parts) > 1 and parts[-1] in _SCALARS:
        parts.pop()
    return ".".join(str(part)[:_LONGEST_SHOWN] for part in parts) or "body"


def _wrong(where: str, expected: str, found: Any) -> InvalidError:
    return InvalidError(
        f"{where}: expected {expected}; found {_show(found)}",
        code="body_invalid",
        next_actions=("GET /openapi.json describes the body of every call",),
    )


def _show(found: Any) -> str:
    """A value as it might stand in a message, cut short."""
    if isinstance(found, dict | list):
        return f"{'an object' if isinstance(found, dict) else 'an array'} of {len(found)}"
    if isinstance(found, float) and not math.isfinite(found):
        return repr(found)
    shown = json.dumps(found, default=str)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[: _LONGEST_SHOWN - 3] + "..."
