"""Parameters of a query: declared once, for reading them and for the OpenAPI document."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tallystick.errors import InvalidError

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})

LONGEST_TEXT: Final = 512
"""Characters of one parameter: ids, words and search terms are far shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One parameter; `kind` is int, float, bool or str."""

    name: str
    description: str
    kind: type[int] | type[float] | type[bool] | type[str] = str
    default: int | float | bool | str | None = None
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    longest: int = LONGEST_TEXT
    """Characters of a text."""
    pattern: str = ""
    """What the route makes of a text beyond its length, for the OpenAPI document."""

    def read(self, text: str) -> int | float | bool | str:
        """The value in `text`; raises `InvalidError` saying what was expected and found."""
        if self.kind is bool:
            return self._boolean(text)
        if self.kind is int:
            return self._whole(text)
        if self.kind is float:
            return self._number(text)
        if self.choices and text not in self.choices:
            raise self._wrong(f"one of {', '.join(self.choices)}", text)
        if len(text) > self.longest or "\x00" in text:
            raise self._wrong(f"at most {self.longest} characters, none of them NUL", text)
        return text

    def _boolean(self, text: str) -> bool:
        word = text.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise self._wrong("true or false", text)

    def _whole(self, text: str) -> int:
        digits = text.removeprefix("-")
        value = int(text) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
        low, high = self.minimum, self.maximum
        if value is None or (low is not None and value < low):
            raise self._wrong(self._range(), text)
        if high is not None and value > high:
            raise self._wrong(self._range(), text)
        return value

    def _number(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._wrong("a number", text)
        return value

    def _range(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"a whole number from {self.minimum} to {self.maximum}"
        if self.minimum is not None:
            return f"a whole number, at least {self.minimum}"
        return "a whole number"

    def _wrong(self, expected: str, found: str) -> InvalidError:
        shown = found if len(found) <= 60 else found[:57] + "..."
        return InvalidError(
            f"query parameter {self.name}: expected {expected}; found {shown!r}",
            code="parameter_invalid",
            parameter=self.name,
            next_actions=("GET /openapi.json lists the parameters of every call",),
        )

    def schema(self) -> dict[str, Any]:
        """The parameter in the OpenAPI document."""
        kinds = {int: "integer", float: "number", bool: "boolean", str: "string"}
        shape: dict[str, Any] = {"type": kinds[self.kind]}
        if self.kind is str:
            shape |= {"enum": list(self.choices)} if self.choices else {"maxLength": self.longest}
        if self.pattern:
            shape["pattern"] = self.pattern
        for key, value in (
            ("minimum", self.minimum),
            ("maximum", self.maximum),
            ("default", self.default),
        ):
            if value is not None:
                shape[key] = value
        return {
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.description,
            "schema": shape,
        }


def read_all(
    declared: Sequence[Query], given: Sequence[tuple[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """Values by name, defaults filled in, and the names that are not declared."""
    if not declared and not given:
        return {}, []
    by_name = {query.name: query for query in declared}
    values: dict[str, Any] = {query.name: query.default for query in declared}
    seen: set[str] = set()
    unknown: list[str] = []
    for name, text in given:
        query = by_name.get(name)
        if query is None:
            unknown.append(name)
            continue
        if name in seen:
            raise InvalidError(
                f"query parameter {name}: expected once; found more than once",
                code="parameter_repeated",
                parameter=name,
            )
        seen.add(name)
        values[name] = query.read(text)
    for query in declared:
        if query.required and query.name not in seen:
            raise InvalidError(
                f"query parameter {query.name}: required, but missing",
                code="parameter_missing",
                parameter=query.name,
            )
    return values, unknown
