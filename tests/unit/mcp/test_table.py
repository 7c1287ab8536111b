"""What an agent pays for, and is promised: the list of tools."""

import json

import pytest

from tallystick.mcp.table import OLDER_NAMES, TOOLS, listed
from tallystick.mcp.words import DESCRIPTIONS, INSTRUCTIONS

MOST_BYTES = 16_000
"""Of names, descriptions and arguments, which a model reads: about 4,000 tokens."""


@pytest.mark.parametrize("older", [False, True])
def test_ten_tools_at_most_are_listed_and_their_list_stays_small(older: bool) -> None:
    tools = listed(older=older)
    shown = [(tool.name, tool.description, tool.input_schema) for tool in tools]
    size = len(json.dumps(shown))
    print(f"{len(tools)} tools, {size} bytes")
    assert len(tools) <= 10
    assert size <= MOST_BYTES
    assert set(OLDER_NAMES) <= {tool.name for tool in tools} if older else True


def test_programs_that_cut_at_two_kilobytes_lose_nothing() -> None:
    assert len(INSTRUCTIONS.encode()) <= 2048
    assert all(len(text.encode()) <= 2048 for text in DESCRIPTIONS.values())
    assert set(DESCRIPTIONS) == set(TOOLS)


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_the_example_in_a_description_fits_the_schema(name: str) -> None:
    examples = [
        line.partition(": ")[2] for line in DESCRIPTIONS[name].splitlines() if ": {" in line
    ]
    for example in examples:
        TOOLS[name].takes.model_validate_json(example)
    assert examples or name == "tally_help"


def test_what_ends_something_says_so_and_what_reads_changes_nothing() -> None:
    kinds = {tool.name: tool.annotations for tool in listed()}
    assert all(kind is not None for kind in kinds.values())
    destructive = {name for name, kind in kinds.items() if kind and kind.destructive_hint}
    reading = {name for name, kind in kinds.items() if kind and kind.read_only_hint}
    assert destructive == {"stop_run"}
    assert reading >= {"get_run", "wait_run", "list_runs", "get_sweep", "get_brief", "tally_help"}
    assert "register_run" not in reading
