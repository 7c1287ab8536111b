"""Reads what a page says, so that a test can hold the code to it."""

import re
from pathlib import Path
from typing import TypeAlias

REPOSITORY = Path(__file__).resolve().parents[2]

Row: TypeAlias = dict[str, str]
"""One row of a table: the cells by the words of the header, code marks taken off single words."""


def page(path: str) -> str:
    return (REPOSITORY / path).read_text()


def rows(text: str, name: str) -> list[Row]:
    """The rows of the table that follows the comment `<!-- table: name -->`."""
    _, mark, rest = text.partition(f"<!-- table: {name} -->\n\n")
    assert mark, f"the page has no table {name}"
    head, _, *body = (cells(line) for line in rest.partition("\n\n")[0].splitlines())
    return [dict(zip(head, row, strict=True)) for row in body]


def cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    found = [cell.strip() for cell in re.split(r"(?<!\\)\|", inner)]
    return [re.sub(r"^`([^`]*)`$", r"\1", cell) for cell in found]
