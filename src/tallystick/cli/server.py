"""`tally up` and `tally server`: the server itself, and what it is set to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli import options, output

app = typer.Typer(no_args_is_help=True, help="The server: its settings.")


def up(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="0 picks a free one. [default: 8787]"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Ledger, keys, tokens and run directories. [default: ~/.local/share/tallystick]",
        ),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            metavar="DIR",
            help="Where runs start that name no directory. [default: here]",
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option("--ready-file", metavar="FILE", help="Written once requests are answered."),
    ] = None,
    max_concurrent: Annotated[
        int | None,
        typer.Option("--max-concurrent", min=1, help="Runs at a time. [default: GPUs, else cores]"),
    ] = None,
) -> None:
    """Start the server, until Ctrl-C or TERM.

    Runs go on without it, and are found again at its next start.
    """
    from tallystick.config import load
    from tallystick.server import build

    settings, _origins = load(
        {
            "server.host": host,
            "server.port": port,
            "server.data_dir": data_dir,
            "server.workspace": workspace,
            "server.ready_file": ready_file,
            "execution.max_concurrent": max_concurrent,
        }
    )
    server = build(settings)
    server.run(ready=lambda url: _greet(url, settings.server.data_dir))


def _greet(url: str, data_dir: Path) -> None:
    """What a person needs once the server answers."""
    output.note(f"Tallystick answers at {url}")
    output.note(f"  data       {data_dir}")
    output.note(f"  tokens     {data_dir / 'admin.token'} (yours), agent.token (agents')")
    output.note("  try        tally exec -- echo hello")
    output.note("  stop       Ctrl-C; runs go on, and are found again at the next start")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting, for --json."""

    key: str
    value: str
    source: str


@app.command(epilog=options.examples("tally server config", "tally server config --origin --json"))
def config(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where every value came from.")
    ] = False,
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """The settings that `tally up` would use here; secrets are shown as stars."""
    from tallystick.config import load

    _settings, origins = load({"server.data_dir": data_dir})
    if as_json:
        rows: list[Any] = [
            Setting(key=item.key, value=item.value, source=item.source) for item in origins
        ]
        output.emit(rows)
        return
    if origin:
        output.table(
            ("KEY", "VALUE", "FROM"),
            ((item.key, item.value or "-", item.source) for item in origins),
            empty="no settings",
        )
        return
    output.table(
        ("KEY", "VALUE"), ((item.key, item.value or "-") for item in origins), empty="no settings"
    )
