"""`tally doctor`: whether the agents of a project are kept to the protocol, piece by piece."""

from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli import findings, options


def doctor(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", show_default=False, help="The project. [default: here]"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Prove each piece that `tally init` has set up; say what is wrong, and how to mend it.

    Starts the installed guard with a canary, asks Codex what it has loaded, lists the tools of the
    MCP server; changes nothing. The project is the nearest directory upwards that has .tally/. Exit
    code 1 when something fails. About the server itself: tally server doctor.
    """
    from tallystick.agents.checkup import examine, visit_of
    from tallystick.agents.project import find_root
    from tallystick.cli.init import program_here
    from tallystick.client.config import process_environment
    from tallystick.clock import SystemClock

    environment = process_environment()
    start = (directory or Path.cwd()).resolve()
    root = Path(find_root(str(start), environment.get("HOME", "")) or start)
    visit = visit_of(root, program_here(), environment=environment, clock=SystemClock())
    findings.report(examine(visit), as_json=as_json)
