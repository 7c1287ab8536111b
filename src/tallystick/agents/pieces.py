"""Which files an agent needs, and what stands in them: the one place that knows settings formats.

Hooks name this machine's interpreter and program by absolute path, so files with hooks or servers
are this clone's own: where Claude Code has a local file beside a shared one, the local one is used,
and what git does not ignore yet is ignored (ADR 0014). Skills, notes for agents and the policy are
for everybody. Pure, but for reading the texts that are installed with the package.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from tallystick.agents.merging import Block, Entries, Item, Member, Piece, Whole
from tallystick.api.skills import PROTOCOL, load_skills

HOOK_SECONDS: Final = 10
"""What an agent waits for the hook; the hook gives up well before by itself."""
SERVER: Final = "tally"
"""What our MCP server is called in settings."""
MARK: Final = b"Written by `tally init`"
POLICY: Final = ".tally/policy.toml"
LOCAL: Final = ".tally/local"
IGNORED: Final = ".gitignore"
SKILL_FOLDERS: Final = {"claude": ".claude/skills"}
"""Where an agent looks for skills that does not look in the shared folder."""
SHARED_SKILLS: Final = ".agents/skills"
NOTES: Final = {"claude": "CLAUDE.md", "gemini": "GEMINI.md"}
"""What an agent reads that does not read AGENTS.md."""
SHARED_NOTES: Final = "AGENTS.md"
HOOK_FILES: Final = {
    "claude": ".claude/settings.local.json",
    "codex": ".codex/hooks.json",
    "opencode": ".opencode/plugins/tally.js",
    "gemini": ".gemini/settings.json",
    "copilot": ".github/hooks/tally.json",
    "cursor": ".cursor/hooks.json",
}
"""Where each agent finds the guard."""
SERVER_FILES: Final = {
    "claude": ".mcp.json",
    "codex": ".codex/config.toml",
    "opencode": "opencode.json",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/mcp.json",
}
"""Where each agent finds the MCP server; Copilot reads that of Claude Code."""

_MARKDOWN: Final = ("<!-- ", " -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How agents on this machine call us, as words."""

    hook: tuple[str, ...]
    """For example /w/.venv/bin/python -I /w/.venv/bin/tally hook."""
    server: tuple[str, ...]
    """For example /w/.venv/bin/tally mcp."""


def pieces_for(
    agents: Iterable[str], program: Program, *, ignored: Iterable[str] = ()
) -> dict[str, Piece]:
    """Every file that the agents need, by its path below the project, in the order to write.

    `ignored`: which of them git is to ignore.
    """
    chosen = list(agents)
    shared: dict[str, Piece] = {
        ".tally/.gitignore": Block(lines="local/\n"),
        POLICY: Whole(content=_asset("policy.toml").encode(), keep=True),
    }
    if lines := "".join(f"/{path}\n" for path in sorted(ignored)):
        shared[IGNORED] = Block(lines=lines)
    folders = (SKILL_FOLDERS[name] for name in chosen if name in SKILL_FOLDERS)
    for folder in (SHARED_SKILLS, *folders):
        shared |= _skill(folder)
    shared[SHARED_NOTES] = _notes(SHARED_SKILLS)
    for name in chosen:
        if name in NOTES:
            shared[NOTES[name]] = _notes(SKILL_FOLDERS.get(name, SHARED_SKILLS))
    return shared | machine_pieces(chosen, program)


def machine_pieces(agents: Iterable[str], program: Program) -> dict[str, Piece]:
    """The part that names this machine's programs: hooks and servers."""
    own: dict[str, Piece] = {}
    for name in agents:
        own |= _OF_AGENT[name](program)
    return own


def skill_files() -> Mapping[str, str]:
    """The files of the skill by their path below its folder."""
    return load_skills()[PROTOCOL].files


def _skill(folder: str) -> dict[str, Piece]:
    return {
        f"{folder}/{PROTOCOL}/{path}": Whole(content=content.encode())
        for path, content in sorted(skill_files().items())
    }


def _notes(skills: str) -> Block:
    lines = _asset("snippet.md").replace("@SKILL@", f"{skills}/{PROTOCOL}/SKILL.md")
    return Block(lines=lines, comment=_MARKDOWN)


def _claude(program: Program) -> dict[str, Piece]:
    """The local settings: the shared ones are loaded by Copilot and Cursor, too."""
    hook = {
        "type": "command",
        "command": program.hook[0],
        "args": list(program.hook[1:]),
        "timeout": HOOK_SECONDS,
    }
    guarding = {**hook, "onFailure": "block"}
    groups: list[tuple[str, dict[str, Any]]] = [
        ("SessionStart", {"hooks": [hook]}),
        ("PreToolUse", {"matcher": "Bash|PowerShell|Monitor", "hooks": [guarding]}),
        ("PreToolUse", {"matcher": f"mcp__{SERVER}__.*", "hooks": [hook]}),
        ("Stop", {"hooks": [hook]}),
    ]
    return {HOOK_FILES["claude"]: _hooks(groups), SERVER_FILES["claude"]: _server(program)}


def _codex(program: Program) -> dict[str, Piece]:
    """No hook on our own tools: Codex tells an MCP server the conversation by itself."""
    hook = {"type": "command", "command": shlex.join(program.hook), "timeout": HOOK_SECONDS}
    groups: list[tuple[str, dict[str, Any]]] = [
        ("SessionStart", {"hooks": [hook]}),
        ("PreToolUse", {"matcher": "^Bash$", "hooks": [hook]}),
        ("Stop", {"hooks": [hook]}),
    ]
    table = (
        f"[mcp_servers.{SERVER}]\n"
        f"command = {_toml(program.server[0])}\n"
        f"args = [{', '.join(map(_toml, program.server[1:]))}]\n"
    )
    return {
        HOOK_FILES["codex"]: _hooks(groups),
        SERVER_FILES["codex"]: Block(lines=table, toml=("mcp_servers", SERVER)),
    }


def _opencode(program: Program) -> dict[str, Piece]:
    script = _asset("tally.js").replace("@HOOK@", json.dumps(list(program.hook)))
    entry = {"type": "local", "command": list(program.server), "enabled": True}
    return {
        HOOK_FILES["opencode"]: Whole(content=script.encode(), mark=MARK),
        SERVER_FILES["opencode"]: Entries(
            members=(Member(where=("mcp",), key=SERVER, value=entry),)
        ),
    }


def _gemini(program: Program) -> dict[str, Piece]:
    """Gemini counts in milliseconds."""
    hook = {
        "type": "command",
        "name": "tallystick",
        "command": shlex.join(program.hook),
        "timeout": HOOK_SECONDS * 1000,
    }
    groups: list[tuple[str, dict[str, Any]]] = [
        ("SessionStart", {"hooks": [hook]}),
        (
            "BeforeTool",
            {"matcher": f"run_shell_command|mcp_{SERVER}_.*|{SERVER}__.*", "hooks": [hook]},
        ),
    ]
    hooks, server = _hooks(groups), _server(program)
    return {HOOK_FILES["gemini"]: Entries(items=hooks.items, members=server.members)}


def _copilot(program: Program) -> dict[str, Piece]:
    hook = {
        "type": "command",
        "exec": program.hook[0],
        "args": list(program.hook[1:]),
        "timeoutSec": HOOK_SECONDS,
    }
    return {HOOK_FILES["copilot"]: _versioned("preToolUse", hook)}


def _cursor(program: Program) -> dict[str, Piece]:
    """Not closed on failure: where Cursor's workers start no hooks, every command would fail."""
    hook = {"command": shlex.join(program.hook), "timeout": HOOK_SECONDS}
    return {
        HOOK_FILES["cursor"]: _versioned("beforeShellExecution", hook),
        SERVER_FILES["cursor"]: _server(program),
    }


_OF_AGENT: Final = {
    "claude": _claude,
    "codex": _codex,
    "opencode": _opencode,
    "gemini": _gemini,
    "copilot": _copilot,
    "cursor": _cursor,
}


def _hooks(groups: Iterable[tuple[str, dict[str, Any]]]) -> Entries:
    return Entries(
        items=tuple(Item(where=("hooks", event), value=group) for event, group in groups)
    )


def _versioned(event: str, hook: dict[str, Any]) -> Entries:
    """The format of Copilot and Cursor: a version, and handlers without groups."""
    return Entries(
        items=(Item(where=("hooks", event), value=hook),),
        needed=(Member(where=(), key="version", value=1),),
    )


def _server(program: Program) -> Entries:
    entry = {"command": program.server[0], "args": list(program.server[1:])}
    return Entries(members=(Member(where=("mcpServers",), key=SERVER, value=entry),))


def _toml(text: str) -> str:
    """A basic string of TOML, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _asset(name: str) -> str:
    return (resources.files("tallystick.agents") / "assets" / name).read_bytes().decode()
