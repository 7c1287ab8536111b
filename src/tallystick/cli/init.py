"""`tally init`: set the agents of a project up, and take it all back."""

import difflib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output

if TYPE_CHECKING:
    from tallystick.agents.found import Found
    from tallystick.agents.install import Change, Plan
    from tallystick.agents.pieces import Program

MANY_LINES = 40
"""A new file longer than this is named with its length; --full shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file, for --json."""

    path: str
    action: str
    """`create`, `change` or `delete`."""
    diff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """One file that a person must change, for --json."""

    path: str
    why: str
    paste: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What would be, or was, done, for --json."""

    root: str
    agents: tuple[str, ...]
    applied: bool
    changes: tuple[FileChange, ...]
    by_hand: tuple[ByHand, ...]


def init(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", show_default=False, help="The project. [default: here]"),
    ] = None,
    *,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            metavar="NAME",
            help="claude, codex, opencode, gemini, copilot, cursor; repeatable. "
            "[default: those that are found]",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every agent that is known.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Undo it: files become what they were before.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show it, and change nothing.")
    ] = False,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="Write the others where a file must be left alone."),
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show long new files whole.")] = False,
    as_json: options.Json = False,
) -> None:
    """Set up the agents of a project: guard, MCP server, skill, notes; --remove undoes it.

    Every change is shown first. What is there is kept, and merged with; done twice it changes
    nothing. A file that cannot be merged with (comments in JSON, broken TOML) is named with the
    text for it, and nothing is written at all unless --skip-broken; exit code 1.
    """
    from tallystick.agents import install

    root = _project(directory)
    program = program_here()
    if remove:
        wanted = install.plan_removal(root, program)
    else:
        wanted = install.plan(root, _chosen(root, agent, every=every, quiet=as_json), program)
    if not as_json:
        _show(wanted, full=full, remove=remove)
    is_stuck = bool(wanted.troubles) and not (skip_broken or remove)
    applied = False
    is_due = bool(wanted.changes) or (remove and install.is_recorded(root))
    if is_due and not dry_run and not is_stuck and _agreed(yes=yes or not wanted.changes):
        (install.undo if remove else install.apply)(wanted)
        applied = True
    if as_json:
        output.emit(_outcome(wanted, applied=applied))
    else:
        _conclude(wanted, applied=applied, remove=remove, is_stuck=is_stuck, dry_run=dry_run)
    if wanted.troubles:
        raise typer.Exit(output.REFUSED)


def _project(directory: Path | None) -> Path:
    """The directory to set up; raises `UsageError` where none can be."""
    from tallystick.agents.found import home_of
    from tallystick.client.config import process_environment

    root = (directory or Path.cwd()).resolve()
    if not root.is_dir():
        raise output.UsageError(f"expected a directory; found {root}", code="usage")
    home = home_of(process_environment())
    if root == Path("/") or (home is not None and root == home.resolve()):
        raise output.UsageError(
            f"expected the directory of a project; found {root}, where settings hold for all of "
            "them",
            code="usage",
            hint="cd into the project, or name it: tally init DIR",
        )
    return root


def program_here() -> "Program":
    """How agents are to call this installation."""
    from tallystick.agents.entry import hook_argv, tally_program
    from tallystick.agents.pieces import Program

    server = (*shlex.split(tally_program()), "mcp")
    return Program(hook=tuple(hook_argv()), server=server)


def _chosen(root: Path, named: list[str] | None, *, every: bool, quiet: bool) -> list[str]:
    """Names of the agents to set up; raises `UsageError` when there are none."""
    from tallystick.agents.found import NAMES, home_of, look
    from tallystick.agents.manifest import load
    from tallystick.client.config import process_environment

    if unknown := [name for name in named or () if name not in NAMES]:
        raise output.UsageError(
            f"--agent: expected one of {', '.join(NAMES)}; found {unknown[0]}", code="usage"
        )
    if named or every:
        return list(NAMES) if every else list(named or ())
    environment = process_environment()
    found = look(root, home=home_of(environment), path=environment.get("PATH"))
    if not found and not load(root).agents:
        raise output.UsageError(
            "expected an agent to set up; found none in this project, at home or on PATH",
            code="no_agent_found",
            hint=f"name one: tally init --agent {'|'.join(NAMES)}",
        )
    if not quiet:
        _introduce(found)
    return [one.agent.name for one in found]


def _introduce(found: "Iterable[Found]") -> None:
    for one in found:
        output.say(output.plain(f"found {one.agent.title}: {', '.join(one.signs)}"))
    output.say()


def _show(wanted: "Plan", *, full: bool, remove: bool) -> None:
    """Every change as a diff, and what must be done by hand."""
    for change in wanted.changes:
        lines = _diff(change)
        is_long = change.before is None and len(lines) > MANY_LINES
        output.say(f"{change.action} {change.path}")
        if remove and change.after is None:
            continue
        if is_long and not full:
            output.say(f"  {len((change.after or b'').splitlines())} lines, --full shows them")
            continue
        for line in lines[2:]:
            output.say(output.plain(f"  {line}"))
    for trouble in wanted.troubles:
        output.note(output.plain(f"{trouble.path}: left as it is: {trouble.why}"))
        if trouble.paste:
            output.note("  put this there by hand:")
            for line in trouble.paste.splitlines():
                output.note(output.plain(f"    {line}"))


def _diff(change: "Change") -> list[str]:
    """A unified diff; of a file without text, as far as it can be read."""
    before, after = (
        (content or b"").decode("utf-8", "replace").splitlines()
        for content in (change.before, change.after)
    )
    names = (f"a/{change.path}", f"b/{change.path}")
    return list(difflib.unified_diff(before, after, *names, lineterm="", n=2))


def _agreed(*, yes: bool) -> bool:
    """Whether to go on; raises `UsageError` where nobody can be asked."""
    if yes:
        return True
    if not output.is_terminal():
        raise output.UsageError(
            "expected somebody to ask, or --yes",
            code="not_confirmed",
            hint="--yes writes what was shown; --dry-run only shows it",
        )
    return typer.confirm("Write this?", err=True)


def _conclude(
    wanted: "Plan", *, applied: bool, remove: bool, is_stuck: bool, dry_run: bool
) -> None:
    if not wanted.changes and not wanted.troubles:
        output.say("nothing to do")
    elif is_stuck:
        output.note("nothing was written; --skip-broken writes the other files")
    elif not applied:
        output.say("nothing was written" if wanted.changes or dry_run else "nothing to do")
    elif remove:
        output.say(f"{len(wanted.changes)} files are as they were")
    else:
        output.say(f"{len(wanted.changes)} files written")
        for line in _next_steps(wanted):
            output.say(f"  {line}")


def _next_steps(wanted: "Plan") -> list[str]:
    """What only a person can do."""
    steps = {
        "claude": "claude     start it once here, and trust the folder and the server `tally`",
        "codex": "codex      start it once here, trust the project, then /hooks: approve `tally`; "
        "an unapproved hook is skipped without a word",
        "gemini": "gemini     start it once here, and trust the project's hooks",
    }
    own = [steps[name] for name in wanted.agents if name in steps]
    return [
        *own,
        "policy     edit .tally/policy.toml, then: tally policy accept",
        "check      tally doctor",
    ]


def _outcome(wanted: "Plan", *, applied: bool) -> Outcome:
    return Outcome(
        root=os.fspath(wanted.root),
        agents=wanted.agents,
        applied=applied,
        changes=tuple(
            FileChange(path=change.path, action=change.action, diff="\n".join(_diff(change)) + "\n")
            for change in wanted.changes
        ),
        by_hand=tuple(
            ByHand(path=each.path, why=each.why, paste=each.paste) for each in wanted.troubles
        ),
    )
