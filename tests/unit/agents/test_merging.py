"""Pieces go into the files of others and out again; whatever else is there stays byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.agents import json_text
from tallystick.agents.merging import Block, Entries, Item, Member, Whole, hooks_in, is_our_hook
from tallystick.errors import InvalidError

OURS = {"type": "command", "command": "/opt/t/bin/python -I /opt/t/bin/tally hook", "timeout": 10}
THEIRS = {"type": "command", "command": "./guard.sh hook"}
GROUP = {"matcher": "Bash", "hooks": [OURS]}
SERVER = {"command": "/opt/t/bin/tally", "args": ["mcp"]}
ENTRIES = Entries(
    items=(
        Item(where=("hooks", "PreToolUse"), value=GROUP),
        Item(where=("hooks", "Stop"), value={"hooks": [OURS]}),
    ),
    members=(Member(where=("mcpServers",), key="tally", value=SERVER),),
)

KEYS = st.sampled_from(["hooks", "PreToolUse", "Stop", "mcpServers", "tally", "a", "é", ""])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from([OURS, THEIRS, GROUP, {"hooks": [THEIRS, OURS]}, SERVER, {"url": "http://x"}])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
GROUPS = st.lists(
    st.sampled_from([GROUP, {"hooks": [THEIRS, OURS]}, {"hooks": [THEIRS]}, 7]), max_size=4
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "model": VALUES,
        "hooks": st.dictionaries(st.sampled_from(["PreToolUse", "Stop", "Other"]), GROUPS),
        "mcpServers": st.dictionaries(
            st.sampled_from(["tally", "other"]), st.just(SERVER) | VALUES
        ),
    },
)
LAYOUTS = st.sampled_from(
    [
        {"indent": None},
        {"indent": 2},
        {"indent": "\t"},
        {"indent": 4, "ensure_ascii": False},
        {"indent": None, "separators": (",", ":")},
    ]
)


def dumped(value: Any, layout: dict[str, Any], end: str) -> bytes:
    return (json.dumps(value, **layout) + end).replace("\n", end or "\n").encode()


def foreign(value: Any) -> Any:
    """A document without anything of ours, and without hooks and servers that are empty."""
    document = json.loads(value) if value else {}
    hooks = {}
    for event, groups in dict(document.get("hooks", {})).items():
        kept = [rest for group in groups if (rest := foreign_group(group)) is not None]
        if kept:
            hooks[event] = kept
    servers = {
        key: entry
        for key, entry in dict(document.get("mcpServers", {})).items()
        if not (key == "tally" and entry == SERVER)
    }
    rest = {key: item for key, item in document.items() if key not in {"hooks", "mcpServers"}}
    return rest | {"hooks": hooks or None, "mcpServers": servers or None}


def foreign_group(group: Any) -> Any:
    if not isinstance(group, dict) or OURS not in group.get("hooks", []):
        return group
    left = [hook for hook in group["hooks"] if hook != OURS]
    return {**group, "hooks": left} if left else None


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, LAYOUTS, st.sampled_from(["", "\n", "\r\n"]))
def test_what_belongs_to_others_survives_putting_in_and_taking_out(
    document: Any, layout: dict[str, Any], end: str
) -> None:
    before = dumped(document, layout, end)
    base = ENTRIES.without(before)
    written = ENTRIES.onto(base)
    assert ENTRIES.holds(written)
    assert foreign(written) == foreign(before)
    taken = ENTRIES.without(written)
    assert foreign(taken) == foreign(before)
    assert ENTRIES.without(taken or b"{}") == (taken or b"{}")


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, LAYOUTS, st.sampled_from(["", "\n", "\r\n"]))
def test_a_file_without_anything_of_ours_is_not_touched_by_taking_out(
    document: Any, layout: dict[str, Any], end: str
) -> None:
    clean = foreign(dumped(document, layout, end))
    before = dumped({key: item for key, item in clean.items() if item is not None}, layout, end)
    assert ENTRIES.without(before) == before


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, LAYOUTS, st.sampled_from(["", "\n", "\r\n"]))
def test_putting_in_twice_is_putting_in_once(
    document: Any, layout: dict[str, Any], end: str
) -> None:
    written = ENTRIES.onto(ENTRIES.without(dumped(document, layout, end)))
    assert ENTRIES.onto(ENTRIES.without(written)) is not None
    assert json.loads(ENTRIES.onto(ENTRIES.without(written))) == json.loads(written)


@settings(max_examples=60, deadline=None)
@given(VALUES, LAYOUTS)
def test_every_value_stands_where_the_parser_says(value: Any, layout: dict[str, Any]) -> None:
    text = json.dumps(value, **layout)

    def check(node: json_text.Node) -> None:
        assert json.loads(text[node.start : node.end]) == node.value
        for item in node.items:
            check(item)

    check(json_text.parse(text))


@given(st.text(max_size=30) | st.text(alphabet='{}[]",:\\/*tnu 1-e', max_size=30))
def test_what_is_parsed_is_json_and_noise_is_refused(text: str) -> None:
    try:
        node = json_text.parse(text)
    except InvalidError:
        return
    assert node.value == json.loads(text)


def test_short_lists_and_indentation_of_others_stay_as_they_are() -> None:
    before = b'{\n    "allow": ["a", "b"],\n    "hooks": {\n        "Stop": []\n    }\n}'
    written = ENTRIES.onto(before).decode()
    assert '\n    "allow": ["a", "b"],\n' in written
    assert '\n        "Stop": [\n            {\n                "hooks": [\n' in written
    assert written.endswith("}")


def test_windows_line_ends_stay() -> None:
    written = ENTRIES.onto(b'{\r\n  "a": 1\r\n}\r\n').decode()
    assert written.replace("\r\n", "").count("\n") == 0


def test_a_hook_that_somebody_put_beside_ours_stays() -> None:
    mixed = {"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [THEIRS, OURS]}]}}
    taken = ENTRIES.without(json.dumps(mixed).encode())
    assert taken is not None
    left = {"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [THEIRS]}]}}
    assert json.loads(taken) == left


def test_a_server_of_somebody_else_by_our_name_stays() -> None:
    theirs = {"mcpServers": {"tally": {"type": "http", "url": "http://127.0.0.1:8787/mcp"}}}
    written = ENTRIES.onto(json.dumps(theirs).encode())
    assert json.loads(written)["mcpServers"] == theirs["mcpServers"]
    assert ENTRIES.holds(written)
    taken = ENTRIES.without(written)
    assert taken is not None
    assert json.loads(taken) == theirs


def test_the_hook_of_another_installation_is_replaced() -> None:
    old = json.dumps({"hooks": {"Stop": [{"hooks": [{"command": "/old/bin/tally hook"}]}]}})
    assert not ENTRIES.holds(old.encode())
    base = ENTRIES.without(old.encode())
    assert base is None
    assert list(hooks_in(json.loads(ENTRIES.onto(base)))) == [OURS, OURS]


@pytest.mark.parametrize(
    "text",
    [
        '{"hooks": []}',
        '{"hooks": {"PreToolUse": {}}}',
        '{"mcpServers": null}',
        "[]",
        '{"a": 1} // a comment',
        '{"a": 1,}',
        '{"a": 1, "a": 2}',
        '\ufeff{"a": 1}',
        '{"a": NaN}',
        "[" * 300 + "]" * 300,
    ],
)
def test_settings_that_cannot_be_merged_with_are_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        ENTRIES.onto(text.encode())


@pytest.mark.parametrize(
    ("hook", "is_ours"),
    [
        (OURS, True),
        ({"command": "/x/tally", "args": ["hook"]}, True),
        ({"exec": "/x/python", "args": ["-I", "-m", "tallystick", "hook"]}, True),
        ({"command": "'/with space/tally' hook"}, True),
        (THEIRS, False),
        ({"command": "tally run list"}, False),
        ({"command": "echo 'unfinished"}, False),
        ({"command": ["tally", 7]}, False),
        ("tally hook", False),
        ({}, False),
    ],
)
def test_our_hooks_are_known_by_their_words(hook: Any, is_ours: bool) -> None:
    assert is_our_hook(hook) is is_ours


BLOCK = Block(lines="local/\n")
TABLE = Block(lines='[mcp_servers.tally]\ncommand = "x"\n', toml=("mcp_servers", "tally"))


@given(st.text(alphabet="ab #\n", max_size=12).map(lambda text: text + "\n" if text else ""))
def test_a_text_with_a_block_taken_out_is_the_text(text: str) -> None:
    written = BLOCK.onto(text.encode())
    assert BLOCK.holds(written)
    taken = BLOCK.without(written) or b""
    assert taken.decode().rstrip("\n") == text.rstrip("\n")


def test_what_is_written_around_a_block_stays() -> None:
    written = BLOCK.onto(b"before\n") + b"after\n"
    assert BLOCK.holds(written)
    assert BLOCK.without(written) == b"before\nafter\n"


@pytest.mark.parametrize(
    "text",
    [
        "# tallystick:begin\nlocal/\n",
        "# tallystick:end\n# tallystick:begin\n",
        "# tallystick:begin\n# tallystick:begin\n# tallystick:end\n",
    ],
)
def test_half_a_block_is_for_a_person_to_mend(text: str) -> None:
    with pytest.raises(InvalidError, match="once each"):
        BLOCK.onto(text.encode())


def test_a_table_goes_into_toml_unless_somebody_has_it() -> None:
    written = TABLE.onto(b'model = "m"\n[other]\na = 1')
    assert TABLE.holds(written)
    assert TABLE.without(written) == b'model = "m"\n[other]\na = 1\n'
    assert TABLE.holds(b'[mcp_servers.tally]\nurl = "http://127.0.0.1"\n')


@pytest.mark.parametrize("text", ["model = ", "mcp_servers = {a = {command = 'x'}}\n", "\xff"])
def test_toml_that_cannot_be_added_to_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        TABLE.onto(text.encode("latin-1"))


def test_a_file_of_ours_is_known_by_its_mark_and_one_without_by_its_bytes() -> None:
    marked = Whole(content=b"// Written by us, 2\n", mark=b"Written by us")
    assert marked.without(b"// Written by us, 1\n") is None
    assert marked.without(b"something else") == b"something else"
    plain = Whole(content=b"text\n")
    assert plain.without(b"text\n") is None
    assert plain.without(b"another\n") == b"another\n"


def test_a_file_that_people_edit_is_written_once() -> None:
    policy = Whole(content=b"# rules\n", keep=True)
    assert policy.holds(b'mode = "deny"\n')
    assert not policy.holds(None)
