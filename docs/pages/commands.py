# ruff: noqa: INP001 - a part of docs/generate.py
"""docs/reference/cli.md: the help of every command, and the block of it in README.md."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from docs.pages.markdown import MADE
from tallystick.cli.main import app

WIDTH = 88

INTRO = """\
`tally <noun> <verb>`; a verb is spelled the same in the command line, the client and the HTTP path.
The answer goes to standard output, everything else to standard error; `--json` prints it as the
server gave it. Where the server, the token and the session come from is told under
[settings](settings.md#variables-of-the-client), what the exit codes mean under
[errors](errors.md#exit-codes-of-tally).
"""

HELP_BLOCK = re.compile(r"(?<=```text\n\$ tally --help\n)(.*?)(?=\n```)", re.DOTALL)


def page() -> str:
    """The page."""
    parts = ["# The command line\n", MADE, INTRO]
    for name, text in helps():
        parts += [f"## `{name}`\n", f"```text\n{text}\n```\n"]
    return "\n".join(parts)


def helps() -> Iterator[tuple[str, str]]:
    """Every command with its help, as it is printed."""
    yield from _helps(typer.main.get_command(app), "tally", None)


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    text = command.get_help(context)
    yield context.command_path, "\n".join(line.rstrip() for line in text.splitlines())
    for verb, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, verb, context)


def with_help(readme: str) -> str:
    """README with the present help in its block."""
    text = next(help_text for _, help_text in helps())
    return HELP_BLOCK.sub(lambda _: text, readme)
