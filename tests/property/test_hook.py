"""No payload makes the hook crash, hang, or answer what its agent does not accept.

Thousands of payloads in this process, where a failure shrinks well, and dozens in the real one.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tallystick.agents import deciding, dialects, hook
from tallystick.agents.answers import Answer
from tests.unit.agents.guarded import Guarded

SOAK = os.environ.get("TALLY_SOAK") == "1"
PAYLOADS = Path(__file__).parents[1] / "unit" / "agents" / "payloads"
RECORDED = [
    case["payload"]
    for file in sorted(PAYLOADS.glob("*.json"))
    for case in json.loads(file.read_text())
]
REAL = 200 if SOAK else 30
"""Payloads that are given to the real program."""

searching = settings(
    max_examples=20_000 if SOAK else 500,
    deadline=timedelta(seconds=5 * hook.DEADLINE_SECONDS),  # other tests have the other core
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

PIECES = (
    *(
        "python",
        "python3 -m",
        " train.py",
        "torchrun ",
        "bash -c ",
        "bash run.sh",
        "tally exec -- ",
    ),
    *("$(", "`", ")", "'", '"', "\\", "\n", "\r", "\t", " ", ";", "&&", "||", "|", "&", "<<EOF\n"),
    *(
        "EOF\n",
        "<<<",
        "<(",
        ">",
        "{",
        "}",
        "((",
        "))",
        "[[",
        "for s in 1 2; do ",
        "; done",
        "case ",
    ),
    *("in", "esac", "function f", "f()", "if ", "then ", "fi", "eval ", "ssh h ", "xargs ", "env "),
    *("sudo ", "make train", "$'\\x41'", "${a:-b}", "~", "*", "#", "=", "-", "é", "\u202e", "\0"),
    *("\ud800", "𝄞", "-c 'import torch'", "sbatch ", "wait", "%", "srun ", "docker run x "),
)
command = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.text(st.characters(), max_size=60),
    st.text(max_size=30).map(lambda text: f"python train.py {text}"),
)
value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["bash", "Bash", "PreToolUse", "Stop", "SessionStart", "opencode", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["command", "cmd", "cwd", "status"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = sorted(
    {name for payload in RECORDED for name in payload}
    | {
        "dialect",
        "agent",
        "event",
        "toolName",
        "toolArgs",
        "toolInput",
        "workspaceRoot",
        "directory",
    }
)


@st.composite
def mangled(draw: st.DrawFn) -> dict[str, Any]:
    """A recorded payload with another command, and some of its fields lost or changed."""
    payload = dict(draw(st.sampled_from(RECORDED)))
    text = draw(command)
    for name in ("tool_input", "toolInput", "args"):
        if isinstance(payload.get(name), dict):
            payload[name] = {**payload[name], "command": text}
    if isinstance(payload.get("toolArgs"), str):
        payload["toolArgs"] = json.dumps({"command": text})
    if "command" in payload:
        payload["command"] = text
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        if draw(st.booleans()):
            payload.pop(name, None)
        else:
            payload[name] = draw(value)
    return payload


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A project that the guard looks after."""
    return Guarded(tmp_path)


def in_project(guarded: Guarded, payload: Any) -> bytes:
    return json.dumps(payload).replace("@ROOT@", str(guarded.root)).encode()


def check(answer: Answer, content: bytes) -> None:
    """The answer is one that this agent accepts."""
    assert answer.status in {0, 2}
    assert bool(answer.err) == (answer.status == 2), "a refusal says why"
    answer.err.encode(errors="replace")
    if not answer.out:
        return
    assert answer.out.isascii()
    document = json.loads(answer.out, parse_constant=_refuse)
    payload = json.loads(content)
    check_document(dialects.agent_of(payload, {}), document)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


SPECIFIC = {
    frozenset({"hookEventName", "permissionDecision", "permissionDecisionReason"}),
    frozenset({"hookEventName", "updatedInput", "additionalContext"}),
    frozenset({"hookEventName", "updatedInput"}),
    frozenset({"hookEventName", "additionalContext"}),
}
CODEX = {
    frozenset({"hookEventName", "permissionDecision", "permissionDecisionReason"}),
    frozenset({"hookEventName", "permissionDecision", "updatedInput"}),
    frozenset({"hookEventName", "additionalContext"}),
}
TOP = {
    "claude": {frozenset({"hookSpecificOutput"}), frozenset({"decision", "reason"})},
    "vscode": {frozenset({"hookSpecificOutput"})},
    "codex": {frozenset({"hookSpecificOutput"}), frozenset({"decision", "reason"})},
    "gemini": {frozenset({"hookSpecificOutput"}), frozenset({"decision", "reason"})},
    "opencode": {frozenset({"decision", "reason"}), frozenset({"decision", "args"})},
    "copilot": {
        frozenset({"permissionDecision", "permissionDecisionReason"}),
        frozenset({"permissionDecision", "modifiedArgs"}),
    },
    "cursor": {frozenset({"permission", "user_message", "agent_message"})},
    "grok": {frozenset({"decision", "reason"})},
    "unknown": set[frozenset[str]](),
}


def check_document(agent: str, document: Mapping[str, Any]) -> None:
    assert frozenset(document) in TOP[agent], agent
    found = document.get("hookSpecificOutput")
    decided = {**document, **(found or {})}.get("permissionDecision", "deny")
    assert decided in {"allow", "deny"}, "`ask` runs the original in some agents"
    if agent in {"claude", "vscode"} and found is not None:
        assert frozenset(found) in SPECIFIC
    if agent == "codex" and found is not None:
        assert frozenset(found) in CODEX
        if "updatedInput" in found:
            assert found["permissionDecision"] == "allow"
    for name, text in {**document, **(found or {})}.items():
        if name in {"reason", "permissionDecisionReason", "agent_message", "additionalContext"}:
            assert all(c.isprintable() or c in "\n\t" for c in text), (
                "a reason must not move anybody's cursor"
            )
            assert len(text) < 10_000, "agents put longer texts aside"


@searching
@given(content=st.binary(max_size=200) | value.map(lambda found: json.dumps(found).encode()))
@example(content=b"[" * 200_000)
@example(content=b'{"a":' * 50_000)
@example(content=b'{"cwd": "\\ud800"}')
@example(content=b'{"cwd": "/", "cwd": 1e999}')
@example(content=b"\xef\xbb\xbf{}")
def test_no_bytes_break_it(guarded: Guarded, content: bytes) -> None:
    check(hook.run(content, guarded.here()), content)


@searching
@given(payload=mangled())
def test_no_payload_breaks_it(guarded: Guarded, payload: dict[str, Any]) -> None:
    content = in_project(guarded, payload)
    check(hook.run(content, guarded.here()), content)


@searching
@given(text=command)
@example(text="python train.py " + "(" * 5_000)
@example(text="python train.py $(" * 500)
@example(text="bash -c '" * 300)
@example(text="python " + "x" * 50_000)  # more takes shlex seconds, not the hook
@example(text="python train.py <<A <<B\nA\nB\n")
@example(text="for i in {1..100000000}; do python train.py; done")
def test_a_rewritten_command_holds_the_original_byte_for_byte(guarded: Guarded, text: str) -> None:
    content = json.dumps(guarded.claude(text)).encode()
    answer = hook.run(content, guarded.here())
    check(answer, content)
    if b'"updatedInput"' not in answer.out:
        return
    line = json.loads(answer.out)["hookSpecificOutput"]["updatedInput"]["command"]
    words_of_line = shlex.split(line)
    carried, detached = words_of_line[-1], "--detach" in words_of_line
    assert deciding.is_text(text)
    assert carried == text or (detached and text.rstrip().startswith(carried.rstrip()))


def test_the_real_program_answers_the_same(guarded: Guarded) -> None:
    """Also the bytes that it writes and the status that it leaves with."""
    import random

    drawn = random.Random(7)
    for number in range(REAL):
        payload = dict(drawn.choice(RECORDED))
        if number % 3:
            payload.pop(drawn.choice(sorted(payload)))
        content = in_project(guarded, payload)
        if number % 5 == 0:
            content = content[: drawn.randrange(len(content))]
        expected = hook.run(content, guarded.here())
        done = subprocess.run(
            [sys.executable, "-I", "-m", "tallystick", "hook"], input=content,
            capture_output=True, timeout=30, check=False, cwd=guarded.root,
            env={"PATH": os.defpath, **guarded.variables},
        )  # fmt: skip
        assert done.returncode == expected.status, content
        assert bool(done.stdout) == bool(expected.out)
        if done.stdout:
            check(Answer(json.loads(done.stdout)), content) if not expected.err else None
