"""What the hook says to each agent: the smallest document that it accepts.

Some agents run the original command when they are told more than they know (a key too many, an
`ask`, a rewrite without `allow`), so every field here is one that its agent needs.
"""

from __future__ import annotations

import json

from tallystick.agents.dialects import (
    CLAUDE,
    CODEX,
    COPILOT,
    CURSOR,
    GEMINI,
    GROK,
    OPENCODE,
    UNKNOWN,
    VSCODE,
)

TYPE_CHECKING = False  # typing costs 6 ms, and the hook runs before every command
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tallystick.agents.dialects import Asked

BLOCKED = 2
"""With a text on standard error, the one form of a refusal that all agents know."""


class Answer:
    """Bytes for standard output, a text for standard error, an exit status."""

    __slots__ = ("err", "out", "status")

    def __init__(self, document: Mapping[str, Any] | None = None, err: str = "") -> None:
        """`document` is sent with status 0, nothing is sent for None; `err` alone refuses."""
        self.out = b"" if document is None else json.dumps(document).encode("ascii")
        self.err = err
        self.status = BLOCKED if err and document is None else 0


def passed() -> Answer:
    """Nothing is said, and the agent goes on as if nobody had asked."""
    return Answer()


def noted(asked: Asked, context: str) -> Answer:
    """The command passes, and the model is told something, where the agent can tell it."""
    if asked.agent in {CLAUDE, VSCODE}:
        return _specific(asked, {"additionalContext": context})
    return passed()


def started(asked: Asked, context: str) -> Answer:
    """What the model is told when a session begins."""
    if asked.agent in {CLAUDE, CODEX, GEMINI, VSCODE}:
        return _specific(asked, {"additionalContext": context})
    return passed()


def denied(asked: Asked, reason: str) -> Answer:
    """The command does not run, and the model is told why and what to run instead."""
    agent = asked.agent
    if agent in {CLAUDE, CODEX, VSCODE}:
        refusal = {"permissionDecision": "deny", "permissionDecisionReason": reason}
        return _specific(asked, refusal)
    if agent in {GEMINI, OPENCODE}:
        return Answer({"decision": "deny", "reason": reason})
    if agent == COPILOT:
        return Answer({"permissionDecision": "deny", "permissionDecisionReason": reason})
    if agent == CURSOR:
        return Answer({"permission": "deny", "user_message": reason, "agent_message": reason})
    if agent == GROK:
        answer = Answer({"decision": "deny", "reason": reason}, reason)
        answer.status = BLOCKED
        return answer
    return failed(reason)


def rewritten(asked: Asked, tool_input: Mapping[str, Any], context: str) -> Answer:
    """The agent calls its tool with changed fields: `tool_input` holds these alone.

    For an agent that replaces the whole input the unchanged fields are echoed. Raises ValueError
    for one that cannot be told to.
    """
    agent, whole = asked.agent, {**asked.tool_input, **tool_input}
    if agent in {CLAUDE, VSCODE}:  # without a decision: what asks the user goes on asking
        return _specific(asked, {"updatedInput": whole, "additionalContext": context})
    if agent == CODEX:  # without `allow` it rejects the rewrite and runs the original
        return _specific(asked, {"permissionDecision": "allow", "updatedInput": dict(tool_input)})
    if agent == GEMINI:  # merged into what is there
        return Answer({"hookSpecificOutput": {"tool_input": dict(tool_input)}})
    if agent == COPILOT:
        return Answer({"permissionDecision": "allow", "modifiedArgs": whole})
    if agent == OPENCODE:
        return Answer({"decision": "convert", "args": dict(tool_input)})
    raise ValueError(f"a hook of {agent} cannot rewrite")


def completed(asked: Asked, tool_input: Mapping[str, Any]) -> Answer:
    """A call of another tool gets a field that it lacked; raises as `rewritten` does."""
    if asked.agent in {CLAUDE, VSCODE}:
        return _specific(asked, {"updatedInput": {**asked.tool_input, **tool_input}})
    return rewritten(asked, tool_input, "")


def kept_going(asked: Asked, reason: str) -> Answer:
    """The agent does not stop yet, and is told why."""
    if asked.agent in {CLAUDE, CODEX}:
        return Answer({"decision": "block", "reason": reason})
    return passed()


def failed(reason: str) -> Answer:
    """Refused in the form that every agent knows."""
    return Answer(err=reason.strip() or "Tallystick's guard failed, and says no")


def _specific(asked: Asked, fields: Mapping[str, Any]) -> Answer:
    event = asked.event or ("PreToolUse" if asked.agent != UNKNOWN else "")
    return Answer({"hookSpecificOutput": {"hookEventName": event, **fields}})
