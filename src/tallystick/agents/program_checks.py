"""Checks of what `tally init` writes, and of the programs that read it."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tallystick.agents import found, install
from tallystick.agents.manifest import digest_of
from tallystick.agents.merging import hooks_in
from tallystick.agents.pieces import (
    HOOK_FILES,
    MARK,
    SHARED_SKILLS,
    SKILL_FOLDERS,
    machine_pieces,
    skill_files,
)
from tallystick.agents.visit import Visit
from tallystick.api.skills import PROTOCOL
from tallystick.doctor.finding import Finding, fail, ok, warn

VERSION_SECONDS: Final = 20.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_AGAIN: Final = "tally init"
_BESIDE: Final = {
    "claude": (".claude/settings.json", "~/.claude/settings.json"),
    "codex": ("~/.codex/hooks.json", "~/.codex/config.toml", ".codex/config.toml"),
    "opencode": (".opencode/plugin/*", ".opencode/plugins/*", "~/.config/opencode/plugins/*"),
    "gemini": ("~/.gemini/settings.json",),
    "copilot": (".claude/settings.json", ".github/hooks/*.json", "~/.copilot/hooks/*.json"),
    "cursor": (".claude/settings.json", "~/.cursor/hooks.json"),
}
"""Where each agent would find a guard, too; ~ is the home directory."""


def version(visit: Visit, agent: str) -> Finding:
    """The agent's program, and whether it is new enough for what is written for it."""
    check, known = f"{agent} version", found.agent_of(agent)
    program = found.program_of(known, visit.environment.get("PATH"))
    if program is None:
        names = " or ".join(known.programs)
        return warn(
            check,
            f"{names} is not on PATH; its version cannot be told",
            f"which {known.programs[0]}",
        )
    try:
        said = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            check=False,
            env=dict(visit.environment),
            stdin=subprocess.DEVNULL,
        ).stdout
    except subprocess.TimeoutExpired:
        return warn(check, f"{program} --version says nothing", f"{program} --version")
    number = _VERSION.search(said)
    if number is None:
        return warn(check, f"{program} --version: {said.strip()[:80]!r}", f"{program} --version")
    needed = ".".join(map(str, known.needed))
    if tuple(map(int, number[0].split("."))) < known.needed:
        return fail(
            check, f"{number[0]}: expected {needed} or newer", f"update {known.title} ({program})"
        )
    return ok(check, f"{number[0]}{f', {needed} is needed' if needed else ''}")


def files(visit: Visit, agent: str) -> Finding:
    """The files with this agent's guard and server are as `tally init` would write them now."""
    own = machine_pieces([agent], visit.program)
    return _as_written(visit, f"{agent} files", set(own))


def notes(visit: Visit) -> Finding:
    """AGENTS.md and its kin, the policy and the ignore files are as they would be written."""
    wanted = install.plan(visit.root, visit.agents, visit.program)
    own = set(machine_pieces(found.NAMES, visit.program))
    paths = {change.path for change in wanted.changes} | {each.path for each in wanted.troubles}
    rest = {path for path in paths - own if f"/{PROTOCOL}/" not in path}
    return _as_written(visit, "notes", rest) if rest else ok("notes", "AGENTS.md and the others")


def skills(visit: Visit) -> Finding:
    """Every copy of the skill is the served text, byte for byte, and no link."""
    folders = [SHARED_SKILLS]
    folders += [SKILL_FOLDERS[name] for name in visit.agents if name in SKILL_FOLDERS]
    expected = {path: content.encode() for path, content in skill_files().items()}
    for folder in folders:
        place = visit.root / folder / PROTOCOL
        for path, content in expected.items():
            if place.is_symlink() or (place / path).is_symlink():
                return fail("skill", f"{folder}/{PROTOCOL} is a link; some agents skip it", _AGAIN)
            if not (place / path).is_file():
                return fail("skill", f"{folder}/{PROTOCOL}/{path} is missing", _AGAIN)
            if (place / path).read_bytes() != content:
                return fail("skill", f"{folder}/{PROTOCOL}/{path} is another text", _AGAIN)
    digest = digest_of(b"".join(expected[path] for path in sorted(expected)))
    return ok("skill", f"{len(folders)} equal to the served text, {digest[:12]}")


def duplicates(visit: Visit, agent: str) -> Finding:
    """Whether the agent loads the guard twice: harmless, as both name one decision, but slower."""
    check = f"{agent} loaded"
    seen = [HOOK_FILES[agent]] if _has_guard(visit.root / HOOK_FILES[agent]) else []
    for pattern in _BESIDE[agent]:
        base = visit.home if pattern.startswith("~/") else visit.root
        found_there = sorted(base.glob(pattern.removeprefix("~/"))) if base else []
        others = (path for path in found_there if path != visit.root / HOOK_FILES[agent])
        seen += [str(path) for path in others if _has_guard(path)]
    if len(seen) > 1:
        return warn(
            check,
            f"by {len(seen)} files: {', '.join(seen)}; each command is judged once by each",
            f"take the guard out of {seen[-1]}",
        )
    return ok(check, f"once, by {seen[0]}") if seen else fail(check, "by no file", _AGAIN)


def tracked(visit: Visit) -> Finding:
    """Files with this machine's paths are not in git, where they would break other clones."""
    check = "own files"
    if not install.is_in_git(visit.root):
        return ok(check, "no git repository")
    own = sorted(machine_pieces(visit.agents, visit.program))
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--", *own],
            cwd=visit.root,
            capture_output=True,
            timeout=VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn(check, f"git cannot be asked: {error}", "git ls-files")
    names = [name for name in listed.decode("utf-8", "replace").split("\0") if name]
    if names:
        return warn(
            check,
            f"in git, with paths of this machine: {', '.join(names)}",
            f"git rm --cached {' '.join(names)}; every clone runs `tally init` itself",
        )
    return ok(check, "not in git")


def _as_written(visit: Visit, check: str, paths: set[str]) -> Finding:
    """Whether files are as `tally init` would write them."""
    wanted = install.plan(visit.root, visit.agents, visit.program)
    for trouble in wanted.troubles:
        if trouble.path in paths:
            return fail(check, f"{trouble.path}: {trouble.why}", "tally init --dry-run")
    for change in wanted.changes:
        if change.path in paths:
            what = "is missing" if change.before is None else "is not as init would write it"
            return fail(check, f"{change.path} {what}", _AGAIN)
    return ok(check, ", ".join(sorted(paths)))


def _has_guard(path: Path) -> bool:
    """Whether a settings file, or a plugin, calls the guard."""
    try:
        content = path.read_bytes()
        if path.suffix in {".js", ".ts"}:
            return MARK in content
        return any(_hooks(path, content))
    except (OSError, ValueError):
        return False


def _hooks(path: Path, content: bytes) -> Iterator[Any]:
    text = content.decode()
    yield from hooks_in(tomllib.loads(text) if path.suffix == ".toml" else json.loads(text))
