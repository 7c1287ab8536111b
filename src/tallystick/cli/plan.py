"""`tally plan`: whether a plan puts its experiments on the record (P7.1)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli import options, output

app = typer.Typer(no_args_is_help=True, help="Plans: do they register their experiments?")


@app.callback()
def root() -> None:
    """Plans, and whether they register their experiments."""


@app.command(
    epilog=options.examples(
        "tally plan check PLAN.md", "tally plan check --kind tasks - < todo.json"
    )
)
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The plan; - reads stdin.")],
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="markdown, tasks, shell, makefile or notebook. [default: by its name]"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Name each line that would execute an experiment unregistered, and what to put there.

    Reads Markdown, task lists, shell scripts, Makefiles and notebooks. Exit code 0 when the plan is
    compliant, 1 when it is not.
    """
    from tallystick.cli.convert import around_here
    from tallystick.shell.plans import KINDS
    from tallystick.shell.plans import check as checked

    if kind is not None and kind not in KINDS:
        raise output.UsageError(
            f"--kind: expected {', '.join(KINDS)}; found {kind[:40]}", code="usage"
        )
    text = _read(file)
    report = checked(text, kind=kind, name="" if file == "-" else file, around=around_here())
    if as_json:
        output.emit(report.view())
    else:
        for found in report.findings:
            output.say(output.plain(f"{file}:{found.line}: {found.code} {found.detail}"))
            if found.text:
                output.say(output.plain(f"    {found.text}"))
            for line in found.cli:
                output.say(output.plain(f"  → {line}"))
        output.note(_verdict(report.needs_experiments, len(report.findings)))
    raise typer.Exit(output.OK if report.compliant else output.REFUSED)


def _verdict(needs: bool, findings: int) -> str:
    """The last line."""
    if findings:
        return f"{findings} finding{'' if findings == 1 else 's'}: not compliant yet"
    return "compliant" if needs else "compliant: it needs no experiments"


def _read(file: str) -> str:
    """The plan's text; raises `UsageError` when it cannot be read."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise output.UsageError(f"{file}: {error}", code="file_unreadable") from None
