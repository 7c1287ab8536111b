# ruff: noqa: INP001 - a part of docs/generate.py
"""Pieces of Markdown, and what the code says about its own shapes."""

import ast
import dataclasses
import inspect
import types
from collections.abc import Hashable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Literal, NewType, Union, cast, get_args, get_origin

MADE = "<!-- Made by docs/generate.py from the code: `make docs` writes it again. -->\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; bars inside cells are escaped, line breaks become spaces."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Inline code, empty for nothing."""
    return f"`{text}`" if text else ""


def prose(text: str | None) -> str:
    """A docstring as one paragraph."""
    return " ".join(inspect.cleandoc(text or "").split())


def notes(shape: type[Any]) -> Mapping[str, str]:
    """What stands under each field of a class."""
    return _notes(cast("Hashable", shape))


@cache
def _notes(key: Hashable) -> Mapping[str, str]:
    shape = cast("type[Any]", key)
    tree = ast.parse(inspect.getsource(inspect.getmodule(shape) or types))
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == shape.__name__:
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
                    value = after.value
                    if isinstance(value, ast.Constant) and isinstance(field.target, ast.Name):
                        found[field.target.id] = prose(str(value.value))
    return found


_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    Any: "any",
}


def type_name(hint: Any) -> str:
    """A type as readers of JSON say it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(part) for part in arguments)
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    if origin is Literal:
        return " or ".join(f'"{word}"' for word in arguments)
    if origin is not None:
        return "object"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(f'"{word}"' for word in hint)
    if isinstance(hint, NewType):
        return f"text ({hint.__name__})"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def field_rows(shape: type[Any], *, hints: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Name, type, meaning."""
    for field in dataclasses.fields(shape):
        yield code(field.name), type_name(hints[field.name]), notes(shape).get(field.name, "")
