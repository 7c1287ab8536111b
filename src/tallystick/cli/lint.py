"""`tally lint`: what will cost something later about a command, before it becomes a run (P5.2)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output
from tallystick.cli.command import command_of

if TYPE_CHECKING:
    from tallystick.shell.lint import LintFinding


def lint(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND", help="As it would be sent, in quotes; - reads standard input."
        ),
    ],
    as_json: options.Json = False,
    workdir: Annotated[
        str | None,
        typer.Option("--workdir", metavar="DIR", help="Where it would start. [default: here]"),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="A parameter of the run; repeatable."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when anything is found.")
    ] = False,
) -> None:
    """What will cost something later about a command; nothing is run, and no server is asked.

    Scripts that it names are read. Each finding has a code with a page of its own in `docs/lint`.
    Nothing here refuses a run.
    """
    text = sys.stdin.read() if command == ["-"] else command_of(command)
    found = _found(text, Path(workdir or ".").absolute(), params or [])
    if as_json:
        output.emit([each._asdict() for each in found])
    else:
        _show(found)
    if strict and found:
        raise typer.Exit(output.REFUSED)


def _found(text: str, workdir: Path, params: list[str]) -> "tuple[LintFinding, ...]":
    """The findings, with what the scripts say."""
    from tallystick.scripts import read_script
    from tallystick.shell.lint import lint as findings
    from tallystick.shell.verdicts import Around

    around = Around(cwd=str(workdir), home=str(Path.home()), read=read_script)
    named = dict(each.partition("=")[::2] for each in params)
    return findings(text, workdir=str(workdir), params=named, around=around)


def _show(found: "tuple[LintFinding, ...]") -> None:
    """Three lines each: what, and what to do instead."""
    for each in found:
        output.say(output.plain(f"{each.code} {each.name}: {each.detail}"))
        output.say(output.plain(f"    {each.hint}"))
    if not found:
        output.note("nothing to say about it")
