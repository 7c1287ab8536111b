"""Recorded payloads of every agent, and the answer that each of them is to get, field by field.

In `payloads/AGENT.json`; `@ROOT@` stands for the project, other `@WORDS@` for texts of which the
parts that count are checked here.
"""

import itertools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import dialects
from tests.unit.agents.guarded import PROGRAM, TRAIN, Guarded

FILES = sorted((Path(__file__).parent / "payloads").glob("*.json"))
CASES = [
    pytest.param(file.stem, case, id=f"{file.stem}: {case['name']}")
    for file in FILES
    for case in json.loads(file.read_text())
]


def is_converted(text: str) -> bool:
    """The registered form: the original byte for byte, the session, where it came from."""
    program, verb, *words, command = shlex.split(text)
    options = dict(itertools.pairwise(words))
    assert (program, verb, words[-1]) == (PROGRAM, "exec", "--")
    assert "--env-all" in words
    assert options["--origin"].startswith("dec_")
    assert options["--session"]
    return command == TRAIN


def is_denial(text: str) -> bool:
    """Found what, why, the registered form, and what a person may do."""
    lines = text.splitlines()
    form = next(line for line in lines if line.startswith(PROGRAM))
    assert "python_script" in text
    assert shlex.split(form)[-1] == TRAIN
    assert "--origin" not in form, "a form that may be run twice must not name one decision"
    return "tally guard allow dec_" in lines[-1]


TEXTS: dict[str, Callable[[str], bool]] = {
    "@CONVERTED@": is_converted,
    "@DENIAL@": is_denial,
    "@CONTEXT@": lambda text: "registered run" in text,
    "@WARNING@": lambda text: "not stopped" in text,
    "@STARTED@": lambda text: "tally exec" in text and len(text.split()) <= 120,
    "@STILL@": lambda text: "torchrun" in text and "tail -f" not in text,
}


def check(found: Any, expected: Any) -> None:
    """The same fields and no other; texts that are named by a mark are looked into."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for name, value in expected.items():
            check(found[name], value)
    elif expected in TEXTS:
        assert TEXTS[expected](found)
    else:
        assert found == expected


@pytest.mark.parametrize(("agent", "case"), CASES)
def test_the_answer_is_the_one_that_this_agent_accepts(
    guarded: Guarded, agent: str, case: dict[str, Any]
) -> None:
    if mode := case.get("mode"):
        guarded.accept(f'mode = "{mode}"')
    payload = json.loads(json.dumps(case["payload"]).replace("@ROOT@", str(guarded.root)))
    environment = case.get("environment", {})
    answer = guarded.asked(payload, hint=case.get("hint", ""), **environment)
    expected = case["expected"]
    assert (answer.status, bool(answer.err)) == (expected["status"], expected["err"])
    if expected["out"] is None:
        assert answer.out == b""
    else:
        check(json.loads(answer.out), expected["out"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_payload_tells_which_agent_asks(file: Path) -> None:
    cases = json.loads(file.read_text())
    found = {
        dialects.agent_of(case["payload"], {})
        for case in cases
        if not case.get("environment") and not case.get("hint")
    }
    assert found == {file.stem}


def test_no_agent_was_forgotten() -> None:
    assert {file.stem for file in FILES} == set(dialects.AGENTS)
