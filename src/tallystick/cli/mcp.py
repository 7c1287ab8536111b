"""`tally mcp`: the tools of an agent, over its standard input and output."""

from typing import Annotated

import typer

from tallystick.cli import options


def serve(
    session: options.Session = None,
    older_names: Annotated[
        bool,
        typer.Option(
            "--older-names",
            help="List create_run and start_run in the place of register_run and get_brief, for "
            "prompts that call those.",
        ),
    ] = False,
) -> None:
    """Speak the Model Context Protocol over standard input and output; agents start it.

    The server is found anew for every call, so it need not run yet. The same tools are answered
    by the server itself under /mcp.
    """
    from tallystick.client.client import Client
    from tallystick.mcp.stdio import serve as serve_stdio

    serve_stdio(Client(agent=True), older=older_names, session=session)
