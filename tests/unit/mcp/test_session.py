"""Whose conversation a tool call is: the order of the sources (P1.1)."""

import json

import pytest

from tallystick.mcp.session import Found, Places, Source, find

EVERYWHERE = Places(
    argument="argument",
    meta={"threadId": "thread", "x-codex-turn-metadata": {"session_id": "turn"}},
    headers={"x-tallystick-session": "header"},
    environment={"CODEX_THREAD_ID": "environment"},
)


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ({}, Found(id="argument", source=Source.ARGUMENT)),
        ({"argument": None}, Found(id="thread", source=Source.REQUEST)),
        ({"argument": " ", "meta": None}, Found(id="header", source=Source.HEADER)),
        (
            {"argument": None, "meta": {}, "headers": {}},
            Found(id="environment", source=Source.ENVIRONMENT),
        ),
        (
            {"argument": None, "meta": None, "headers": None, "environment": None},
            Found(id="", source=Source.TOKEN),
        ),
    ],
)
def test_the_sources_come_in_their_order(without: dict[str, object], expected: Found) -> None:
    places = {name: getattr(EVERYWHERE, name) for name in ("argument", "meta", "headers")}
    given = {**places, "environment": EVERYWHERE.environment, **without}
    assert find(Places(**given)) == expected


@pytest.mark.parametrize(
    "turn",
    [
        {"session_id": "s"},
        {"thread_id": "s"},
        json.dumps({"session_id": "s", "thread_id": "t"}),
    ],
)
def test_what_codex_says_of_a_turn_is_read(turn: object) -> None:
    assert find(Places(meta={"x-codex-turn-metadata": turn})).id == "s"


@pytest.mark.parametrize("turn", ["{", "[]", 3, None, {"session_id": 4}, '"s"'])
def test_what_says_nothing_is_passed_over(turn: object) -> None:
    found = find(Places(meta={"x-codex-turn-metadata": turn, "threadId": 7}))
    assert found == Found(id="", source=Source.TOKEN)


def test_an_unexpanded_variable_gives_way_and_alone_is_sent_to_be_refused() -> None:
    places = Places(argument="$CHAT_SESSION_ID", headers={"x-tallystick-session": "real"})
    assert find(places) == Found(id="real", source=Source.HEADER)
    alone = find(Places(argument="$CHAT_SESSION_ID"))
    assert alone == Found(id="$CHAT_SESSION_ID", source=Source.ARGUMENT)


@pytest.mark.parametrize(
    "name",
    ["TALLY_CHAT_SESSION_ID", "CLAUDE_CODE_SESSION_ID", "CODEX_THREAD_ID", "GEMINI_SESSION_ID"],
)
def test_every_agents_variable_is_known(name: str) -> None:
    found = find(Places(environment={name: "here"}))
    assert found == Found(id="here", source=Source.ENVIRONMENT)
