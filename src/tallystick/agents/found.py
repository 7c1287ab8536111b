"""Which agents work here: by their folders in the project and at home, and their programs on PATH.

Reads names of files only; runs nothing.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent that can be set up."""

    name: str
    """As `--agent` takes it, and as the guard's decisions name it."""
    title: str
    programs: tuple[str, ...]
    """Its commands on PATH, the usual one first."""
    in_project: tuple[str, ...]
    """Files and folders that only a project which uses it has."""
    at_home: tuple[str, ...]
    """Folders below the home directory that it makes."""
    needed: tuple[int, ...]
    """The oldest version that does what the guard needs; empty where none is known."""


AGENTS: Final = (
    Agent(
        name="claude",
        title="Claude Code",
        programs=("claude",),
        in_project=(".claude", "CLAUDE.md"),
        at_home=(".claude",),
        needed=(2, 1, 295),  # onFailure: "block"
    ),
    Agent(
        name="codex",
        title="Codex CLI",
        programs=("codex",),
        in_project=(".codex",),
        at_home=(".codex",),
        needed=(0, 169, 0),  # the version that was tried
    ),
    Agent(
        name="opencode",
        title="OpenCode",
        programs=("opencode",),
        in_project=(".opencode", "opencode.json", "opencode.jsonc"),
        at_home=(".config/opencode", ".opencode"),
        needed=(1, 18, 29),  # plugins with a default export
    ),
    Agent(
        name="gemini",
        title="Gemini CLI",
        programs=("gemini",),
        in_project=(".gemini", "GEMINI.md"),
        at_home=(".gemini",),
        needed=(),
    ),
    Agent(
        name="copilot",
        title="Copilot CLI",
        programs=("copilot",),
        in_project=(".github/copilot", ".github/copilot-instructions.md", ".github/hooks"),
        at_home=(".copilot",),
        needed=(),
    ),
    Agent(
        name="cursor",
        title="Cursor",
        programs=("cursor-agent", "cursor"),
        in_project=(".cursor", ".cursorrules"),
        at_home=(".cursor",),
        needed=(),
    ),
)
NAMES: Final = tuple(agent.name for agent in AGENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An agent, and what gave it away."""

    agent: Agent
    signs: tuple[str, ...]


def look(root: Path, *, home: Path | None, path: str | None) -> tuple[Found, ...]:
    """The agents of a project, in the order of `AGENTS`; `path` is the value of PATH."""
    found = []
    for agent in AGENTS:
        signs = [name for name in agent.in_project if (root / name).exists()]
        if home is not None:
            signs += [f"~/{name}" for name in agent.at_home if (home / name).is_dir()]
        program = program_of(agent, path)
        if signs or program:
            found.append(Found(agent=agent, signs=(*signs, *([program] if program else ()))))
    return tuple(found)


def program_of(agent: Agent, path: str | None) -> str | None:
    """The agent's program, absolute; None where PATH has none."""
    places = (shutil.which(name, path=path or "") for name in agent.programs)
    return next((place for place in places if place), None)


def agent_of(name: str) -> Agent:
    """The agent of a name; KeyError for another word."""
    return {agent.name: agent for agent in AGENTS}[name]


def home_of(environment: Mapping[str, str]) -> Path | None:
    """The home directory, None where the environment names none."""
    named = environment.get("HOME", "")
    return Path(named) if named.startswith("/") else None
