"""Which agent is asking, told from its payload, and what it asks.

One program serves all agents. Several of them read each other's settings files and call the same
command, so the payload's own keys decide, never the command line; where they say too little, the
environment does. Nothing here raises for a JSON object, whatever is in it.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # typing costs 6 ms, and the hook runs before every command
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CLAUDE, CODEX, OPENCODE, GEMINI = "claude", "codex", "opencode", "gemini"
COPILOT, CURSOR, VSCODE, GROK, UNKNOWN = "copilot", "cursor", "vscode", "grok", "unknown"
AGENTS = (CLAUDE, CODEX, OPENCODE, GEMINI, COPILOT, CURSOR, VSCODE, GROK, UNKNOWN)
REWRITING = frozenset({CLAUDE, CODEX, OPENCODE, GEMINI, COPILOT, VSCODE})
"""Agents whose hook may put another command in place of the one that was asked about."""

SHELL, TOOL, START, STOP, OTHER = "shell", "tool", "start", "stop", "other"
"""A shell command, a call of one of Tallystick's own MCP tools, a session's start, its end."""

OWN_TOOLS = ("mcp__tally__", "mcp__plugin_tally_tally__", "mcp_tally_", "tally_")
MOST_SESSION = 128
MOST_CALL = 200

_BEFORE_TOOL = frozenset({
    "pretooluse", "beforetool", "beforeshellexecution", "tool.execute.before", "execute.before",
})  # fmt: skip
_GEMINI_EVENTS = frozenset({
    "BeforeTool", "AfterTool", "BeforeAgent", "AfterAgent", "BeforeModel", "AfterModel",
    "BeforeToolSelection", "PreCompress",
})  # fmt: skip
_EDITORS = frozenset({"str_replace_based_edit_tool", "str_replace_editor", "memory"})
"""Tools whose `command` is the name of an operation."""
_RESULTS = frozenset({"toolResult", "tool_result", "tool_response", "toolResponse"})
_POWERSHELL = frozenset({"powershell", "pwsh"})
_SHELL_OPTIONS = frozenset({"-c", "-lc", "-ic", "-lic", "-cl"})
_OPENCODE_NAMES = {
    "event": "hook_event_name", "tool": "tool_name", "args": "tool_input",
    "sessionID": "session_id", "callID": "tool_use_id",
}  # fmt: skip
"""Our plugin passes on what its host names so."""


class Asked:
    """What an agent asks, in one shape for all of them."""

    __slots__ = (
        "agent", "call", "can_rewrite", "command", "cwd", "event", "kind", "payload", "session",
        "tool", "tool_input", "turn",
    )  # fmt: skip

    def __init__(self, agent: str, payload: Mapping[str, Any]) -> None:
        """Fields of the payload under any of the names that agents give them."""
        if agent == OPENCODE:
            payload = {_OPENCODE_NAMES.get(name, name): value for name, value in payload.items()}
        self.agent = agent
        self.payload = payload
        self.event = _text(payload, "hook_event_name", "hookEventName")
        """As the agent calls it; empty where it does not say."""
        self.tool = _text(payload, "tool_name", "toolName")
        self.tool_input = _tool_input(payload)
        self.session = _text(payload, "session_id", "sessionId", "conversation_id") or None
        if self.session is not None and len(self.session) > MOST_SESSION:
            self.session = None
        self.call = _call(payload, "tool_use_id", "toolUseId", "tool_call_id", "toolCallId")
        """The agent's own id of this call, None where it gives none."""
        self.turn = _call(payload, "turn_id", "generation_id", "prompt_id", "timestamp")
        """What tells this call from a later one where it has no id."""
        self.cwd = _cwd(payload, self.tool_input)
        self.kind = _kind(self)
        self.command, plain = _command(payload, self.tool_input)
        self.can_rewrite = agent in REWRITING and plain and self.tool.lower() not in _POWERSHELL
        if self.kind == SHELL and self.command is None:
            self.kind = OTHER


def read(payload: Mapping[str, Any], variables: Mapping[str, str], hint: str = "") -> Asked:
    """What a payload asks; `hint` counts only where neither payload nor environment tells."""
    return Asked(agent_of(payload, variables, hint), payload)


def agent_of(payload: Mapping[str, Any], variables: Mapping[str, str], hint: str = "") -> str:
    """The agent that made a payload; `unknown` where nothing tells."""
    if payload.get("dialect") == OPENCODE or payload.get("agent") == OPENCODE:
        return OPENCODE
    event = _text(payload, "hook_event_name", "hookEventName")
    if event in _GEMINI_EVENTS:
        return GEMINI
    if "conversation_id" in payload and not payload.keys().isdisjoint(
        ("cursor_version", "generation_id", "workspace_roots")
    ):
        return CURSOR
    if "tool_name" not in payload and not payload.keys().isdisjoint(
        ("toolName", "toolInput", "toolArgs", "workspaceRoot")
    ):
        return _camel(payload)
    return _snake(payload, variables, hint, event)


def _camel(payload: Mapping[str, Any]) -> str:
    if "toolInput" in payload or "workspaceRoot" in payload:
        return GROK
    return COPILOT


def _snake(payload: Mapping[str, Any], variables: Mapping[str, str], hint: str, event: str) -> str:
    transcript = _text(payload, "transcript_path")
    if "turn_id" in payload or "/.codex/" in transcript:
        return CODEX
    if "prompt_id" in payload or "effort" in payload or "/.claude/" in transcript:
        return CLAUDE
    if "/.gemini/" in transcript:
        return GEMINI
    if "timestamp" in payload and event in {"PreToolUse", "PostToolUse", "Stop", "SessionStart"}:
        if "tool_use_id" in payload or "hookEventName" in payload:
            return VSCODE
        if not transcript and "tool_name" in payload:
            return COPILOT
    return _by_surroundings(payload, variables, hint)


def _by_surroundings(payload: Mapping[str, Any], variables: Mapping[str, str], hint: str) -> str:
    if "permission_mode" in payload and "timestamp" not in payload and "model" not in payload:
        return CLAUDE
    for name, agent in (
        ("CLAUDECODE", CLAUDE),
        ("CLAUDE_CODE_SESSION_ID", CLAUDE),
        ("GEMINI_SESSION_ID", GEMINI),
        ("GEMINI_PROJECT_DIR", GEMINI),
        ("CODEX_THREAD_ID", CODEX),
    ):
        if variables.get(name):
            return agent
    return hint if hint in AGENTS else UNKNOWN


def _kind(asked: Asked) -> str:
    event = asked.event.lower().replace("_", "")
    if event in {"sessionstart", "session.start"}:
        return START
    if event == "stop":
        return STOP
    if not event:  # Copilot's camelCase payloads name none; what has a result is over
        event = "pretooluse" if asked.payload.keys().isdisjoint(_RESULTS) else ""
    if event not in _BEFORE_TOOL:
        return OTHER
    if asked.tool.startswith(OWN_TOOLS):
        return TOOL
    if asked.tool.startswith(("mcp__", "mcp_")) or asked.tool in _EDITORS:
        return OTHER
    return SHELL


def _tool_input(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The tool's arguments; Copilot sends them as a JSON text."""
    for name in ("tool_input", "toolInput", "toolArgs", "tool_args"):
        found = payload.get(name)
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                found = {"command": found}  # what cannot be read is taken for the command itself
        if isinstance(found, dict):
            return found
    return {}


def _command(payload: Mapping[str, Any], tool_input: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The shell text that would run, and whether it stands there as one text."""
    for place in (tool_input, payload):
        for name in ("command", "cmd", "script"):
            found = place.get(name)
            if isinstance(found, str):
                return found, name == "command" and place is tool_input
            if isinstance(found, list) and found:
                return _joined([str(word) for word in found]), False
    return None, False


def _joined(words: list[str]) -> str:
    """An argument list as shell text; the script of `bash -lc` is that text already."""
    if len(words) == 3 and words[1] in _SHELL_OPTIONS and words[0].endswith("sh"):
        return words[2]
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)


def _cwd(payload: Mapping[str, Any], tool_input: Mapping[str, Any]) -> str:
    """Where the command would run: absolute, or empty where the payload does not say."""
    directory = _text(payload, "cwd", "directory")
    if not directory:
        roots = payload.get("workspace_roots")
        first = roots[0] if isinstance(roots, list) and roots else payload.get("workspaceRoot")
        directory = first if isinstance(first, str) else ""
    own = _text(tool_input, "workdir", "dir_path", "directory", "working_directory", "cwd")
    joined = os.path.join(directory, own)
    return os.path.normpath(joined) if joined.startswith("/") and "\0" not in joined else ""


def _text(found: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is a text and not empty."""
    for name in names:
        value = found.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _call(payload: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that is there, as a word the ledger takes."""
    for name in names:
        value = payload.get(name)
        if isinstance(value, int | str) and value != "":
            word = "".join(c if "!" <= c <= "~" else "_" for c in str(value)[:MOST_CALL])
            return word or None
    return None
