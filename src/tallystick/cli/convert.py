"""`tally convert`: what to do instead of executing a command; local, nothing is started."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output

if TYPE_CHECKING:
    from tallystick.shell.verdicts import Around


def convert(
    command: Annotated[
        str, typer.Argument(metavar="CMD", help="The command line, as one word; - reads stdin.")
    ],
    *,
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="A sweep that is there already.")
    ] = None,
    session: options.Session = None,
    as_json: options.Json = False,
) -> None:
    """Show the sweep and run calls that a command stands for (P7.2).

    Scripts are read in the current directory; no server is asked, and nothing is created. A loop
    over fixed values becomes one run for each value.
    """
    from tallystick.shell.convert import convert as converted
    from tallystick.shell.verdicts import Verdict

    text = sys.stdin.read().rstrip("\n") if command == "-" else command
    if not text.strip():
        raise output.UsageError("CMD: expected a command line; found nothing", code="text_empty")
    around = around_here()
    made = converted(text, workdir=around.cwd, session=session, sweep=sweep, around=around)
    if as_json:
        output.emit(made.view())
        return
    output.facts(
        (
            ("verdict", made.judgement.verdict.value),
            ("because", output.plain(made.judgement.detail)),
        )
    )
    output.say()
    if made.judgement.verdict is Verdict.UTILITY:
        output.note("nothing has to be registered; as a run it would be:")
    output.say(output.plain(made.cli))
    output.say()
    output.say(output.plain(made.curl))


def around_here() -> "Around":
    """What surrounds a command that is typed here: scripts are read from the disk."""
    from tallystick.agents.surroundings import of_process
    from tallystick.shell.verdicts import Around

    here = of_process()
    return Around(cwd=here.cwd, home=here.user_home, read=here.read, variables=here.variables)
