"""Expressions that the two engines spell differently: a value inside a JSON object, bytes as text.

A key of a JSON object is data here, never part of a path that could mean something else; one with
a double quote or a backslash in it is found by neither engine's path, so `usable_key` says so.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Double, Integer, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_NUMBER_OF_POSTGRES: Final = r"^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$"


def usable_key(key: str) -> bool:
    """Whether a key can be looked for."""
    return not set(key) & set('"\\\x00')


class JsonNumber(FunctionElement[float]):
    """The number under a key of a JSON object, or at a place in the array there; else NULL.

    Text that is written like a number counts as one, and so do `Infinity` and `-Infinity`; `NaN`,
    which compares with nothing, does not.
    """

    type = Double()
    inherit_cache = True


class JsonText(FunctionElement[str]):
    """The text under a key of a JSON object, numbers and truth values as JSON writes them."""

    type = String()
    inherit_cache = True


class TextOfBytes(FunctionElement[str]):
    """Bytes that hold UTF-8, as text."""

    type = String()
    inherit_cache = True


def json_number(
    column: ColumnElement[Any], key: str, place: int | None = None
) -> ColumnElement[Any]:
    """`JsonNumber` of a key that is `usable_key`."""
    return JsonNumber(column, literal(key, String), *_place(place))


def json_text(column: ColumnElement[Any], key: str, place: int | None = None) -> ColumnElement[Any]:
    """`JsonText` of a key that is `usable_key`."""
    return JsonText(column, literal(key, String), *_place(place))


def _place(place: int | None) -> list[ColumnElement[Any]]:
    return [] if place is None else [literal(place, Integer)]


@compiles(JsonNumber, "sqlite")
def _number_of_sqlite(element: JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    column, path = _sqlite_path(element, compiler, **kw)
    found = f"json_extract({column}, {path})"
    numeric = (
        f"{found} GLOB '[0-9-]*[0-9]' AND {found} NOT GLOB '*[^0-9e.+-]*' "
        f"AND {found} NOT GLOB '*[0-9.][+-]*' AND {found} NOT GLOB '-[^0-9]*' "
        f"AND {found} NOT GLOB '*e*[e.]*' AND {found} NOT GLOB '*.*.*'"
    )
    return (
        f"CASE json_type({column}, {path}) "
        f"WHEN 'integer' THEN {found} WHEN 'real' THEN {found} "
        f"WHEN 'text' THEN CASE {found} WHEN 'Infinity' THEN 9e999 WHEN '-Infinity' THEN -9e999 "
        f"ELSE CASE WHEN length({found}) = 1 AND {found} GLOB '[0-9]' OR {numeric} "
        f"THEN CAST({found} AS REAL) END END END"
    )


@compiles(JsonText, "sqlite")
def _text_of_sqlite(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    column, path = _sqlite_path(element, compiler, **kw)
    return (
        f"CASE json_type({column}, {path}) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
        f"ELSE CAST(json_extract({column}, {path}) AS TEXT) END"
    )


def _sqlite_path(
    element: JsonNumber | JsonText, compiler: SQLCompiler, **kw: Any
) -> tuple[str, str]:
    column, key, *place = [compiler.process(clause, **kw) for clause in element.clauses]
    path = f"'$.\"' || {key} || '\"'"
    return column, f"({path} || '[' || {place[0]} || ']')" if place else f"({path})"


@compiles(JsonNumber, "postgresql")
def _number_of_postgres(element: JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    found = _postgres_text(element, compiler, **kw)
    return (
        f"CASE WHEN {found} ~ '{_NUMBER_OF_POSTGRES}' OR {found} IN ('Infinity', '-Infinity') "
        f"THEN CAST({found} AS double precision) END"
    )


@compiles(JsonText, "postgresql")
def _postgres_text(element: JsonNumber | JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    column, key, *place = [compiler.process(clause, **kw) for clause in element.clauses]
    steps = ", ".join([f"CAST({key} AS text)", *(f"CAST({one} AS text)" for one in place)])
    return f"(CAST({column} AS jsonb) #>> ARRAY[{steps}])"


@compiles(TextOfBytes, "sqlite")
def _bytes_of_sqlite(element: TextOfBytes, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS TEXT)"


@compiles(TextOfBytes, "postgresql")
def _bytes_of_postgres(element: TextOfBytes, compiler: SQLCompiler, **kw: Any) -> str:
    return f"convert_from({compiler.process(element.clauses, **kw)}, 'UTF8')"
