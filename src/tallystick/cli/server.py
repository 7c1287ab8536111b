"""`tally up` and `tally server`: the server itself, what it is set to, and how it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import findings, options, output

if TYPE_CHECKING:
    from tallystick.errors import TallystickError

app = typer.Typer(no_args_is_help=True, help="The server: its settings, its health.")


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

    Runs go on without it, and are found again at its next start. A ledger that does not match its
    signed head is served, but not written. Exit code 1 for settings that cannot work or a directory
    in use, 3 for what may pass (a full disk, a locked database), 4 for a damaged ledger.
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
    server.run(ready=lambda url: _greet(url, settings.server.data_dir, server.handler.broken))


def _greet(url: str, data_dir: Path, broken: "TallystickError | None") -> None:
    """What a person needs once the server answers; first of all, whether it can write."""
    if broken is not None:
        output.note("!!")
        output.note("!! READ-ONLY: this server answers questions and refuses every change")
        output.note(output.plain(f"!!   found      {broken.detail}  [{broken.code}]"))
        if broken.hint:
            output.note(output.plain(f"!!   to do      {broken.hint}"))
        output.note(f"!!   look       tally server doctor --data-dir {data_dir}")
        output.note(f"!!              tally ledger verify --data-dir {data_dir}")
        output.note(
            "!! Runs that are under way go on; their outcomes wait for the repaired ledger."
        )
        output.note("!!")
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


@app.command(
    epilog=options.examples("tally server doctor", "tally server doctor --data-dir /srv/tally")
)
def doctor(data_dir: options.DataDir = None, as_json: options.Json = False) -> None:
    """Look at the data directory and this host; say what is wrong, and how to mend it.

    Changes nothing, and may run beside a server. Exit code 1 when something fails.
    """
    from tallystick.clock import SystemClock
    from tallystick.config import load
    from tallystick.doctor.rounds import examine

    settings, _origins = load({"server.data_dir": data_dir})
    findings.report(examine(settings, SystemClock()), as_json=as_json)
