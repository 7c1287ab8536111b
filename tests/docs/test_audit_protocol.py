"""docs/spec/audit-protocol.md says of every clause what exists, and names only what does."""

import re

import pytest

from tallystick.api.app import ENDPOINTS
from tallystick.domain.codec import EVENT_TYPES
from tests.docs.page import Row, cells, page

PAGE = page("docs/spec/audit-protocol.md")
CODES = set(re.findall(r"^\| `(\w+)` \|", page("docs/reference/errors.md"), re.MULTILINE))
CALLS = {f"{each.method} {each.path}" for each in ENDPOINTS if not each.hidden}
HEAD = ("Clause", "State", "Calls", "Codes", "Entries")
ROWS = [
    dict(zip(HEAD, cells(line), strict=True))
    for line in re.findall(r"^\| P\d\.\d \|.*$", PAGE, re.MULTILINE)
]
CLAUSES = re.findall(r"^- \*\*(P\d\.\d)\*\*", PAGE, re.MULTILINE)


def test_every_clause_has_a_row_and_no_other_has() -> None:
    assert [row["Clause"] for row in ROWS] == CLAUSES
    assert CLAUSES[0] == "P1.1"
    assert len(CLAUSES) == 36


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["Clause"])
def test_a_row_names_calls_codes_and_entries_that_exist(row: Row) -> None:
    assert row["State"].split(":")[0] in {"offered", "partly", "planned"}
    assert words(row["Calls"]) <= CALLS
    assert words(row["Codes"]) <= CODES
    assert words(row["Entries"]) <= set(EVENT_TYPES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["Clause"])
def test_what_is_not_all_there_is_said_to_be_so_in_the_clause(row: Row) -> None:
    text = PAGE.partition(f"- **{row['Clause']}**")[2]
    clause = re.split(r"\n\n|\n- ", text)[0].lower()
    says_less = "not offered yet" in " ".join(clause.split())
    if row["State"] == "offered":
        assert not says_less
    if row["State"] == "planned":
        assert says_less


def test_every_call_that_changes_something_carries_a_clause() -> None:
    named = set().union(*(words(row["Calls"]) for row in ROWS))
    changing = {call for call in CALLS if not call.startswith("GET ")}
    # These change nothing that a clause speaks of: what lists show, and a look at the host.
    changing -= {f"POST /runs/{{run}}/{verb}" for verb in ("archive", "unarchive")}
    changing -= {"POST /cluster/detect"}
    assert sorted(changing - named) == []


def words(cell: str) -> set[str]:
    marked = set(re.findall(r"`([^`]+)`", cell))
    return marked or ({cell} if cell else set())
