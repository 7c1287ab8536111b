"""docs/explanation/pitfalls.md names every fault of the list, and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.page import REPOSITORY, Row, page, rows

PAGE = page("docs/explanation/pitfalls.md")
NUMBERS = {"D": 12, "S": 13, "X": 15, "A": 14, "P": 5, "Z": 9}
TABLES = ("durability", "scheduling", "execution", "integrity", "performance", "access")
ROWS = [row for table in TABLES for row in rows(PAGE, table)]
SAYS = "Test, or what it waits for"
MARKS = {"covered", "partly", "waits", "not here"}


def test_every_fault_has_one_row() -> None:
    wanted = [f"{letter}{n + 1}" for letter, count in NUMBERS.items() for n in range(count)]
    assert [row["Row"] for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["Row"])
def test_a_row_names_tests_that_exist_or_what_it_waits_for(row: Row) -> None:
    assert row["State"] in MARKS
    named = re.findall(r"([\w/]+\.py)::(\w+)", row[SAYS])
    assert bool(named) == (row["State"] in {"covered", "partly"})
    assert ("waits: " in row[SAYS]) == (row["State"] == "partly")
    for path, name in named:
        assert name in names_in(REPOSITORY / "tests" / path), f"{path} has no {name}"


@cache
def names_in(file: Path) -> frozenset[str]:
    """The tests of a file, those that it inherits from a behaviour suite included."""
    found = {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return frozenset(name for name in found if name.startswith("test_"))


def test_a_test_that_does_not_exist_would_be_noticed() -> None:
    assert "test_that_nobody_wrote" not in names_in(Path(__file__))
    assert "test_every_fault_has_one_row" in names_in(Path(__file__))
