"""`tally artifact`: the files of runs, kept by content."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli import options, output
from tallystick.errors import ConflictError

app = typer.Typer(no_args_is_help=True, help="Artifacts: the files of runs, kept by content.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, whole.")]


@app.callback()
def _noun() -> None:
    """Artifacts: the files of runs, kept by content."""


@app.command(
    "list",
    epilog=options.examples(
        "tally artifact list run_0123456789ab",
        "tally artifact list run_0123456789ab --prefix models/",
    ),
)
def list_artifacts(
    run_id: Run,
    prefix: Annotated[str, typer.Option(help="Only paths that begin with this.")] = "",
    as_json: options.Json = False,
) -> None:
    """List the files that were kept of a run."""
    found = list(options.client_for().artifacts(run_id, prefix=prefix))
    if as_json:
        output.emit(found)
        return
    now = output.now_seconds()
    output.table(
        ("PATH", ">BYTES", "SHA-256", "FROM", "KEPT"),
        (
            (
                item.path,
                str(item.bytes),
                item.sha256[:12],
                item.origin,
                output.ago(item.kept_at, now=now),
            )
            for item in found
        ),
        empty="no files; a run keeps what it writes to $TALLY_OUTPUT_DIR",
    )


@app.command(
    "get",
    epilog=options.examples(
        "tally artifact get run_0123456789ab models/final.pt",
        "tally artifact get run_0123456789ab config.json --out -",
    ),
)
def get(
    run_id: Run,
    path: Annotated[str, typer.Argument(metavar="PATH", help="As `tally artifact list` says.")],
    out: Annotated[
        str, typer.Option(help="Where it goes; `-` is standard output, by default its own name.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Download one file; its digest is verified before it has its name."""
    pieces = options.client_for().artifact(run_id, path)
    if out == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    target = Path(out or path.rpartition("/")[2])
    if target.exists() and not force:
        raise ConflictError(
            f"{target} is there already", code="file_exists", hint="--force replaces it"
        )
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    output.say(f"{target}: {target.stat().st_size} bytes, verified")


@app.command("collect", epilog=options.examples("tally artifact collect run_0123456789ab"))
def collect(run_id: Run, as_json: options.Json = False) -> None:
    """Look for files of a run now, without waiting for its end."""
    found = options.client_for().collect_artifacts(run_id)
    if as_json:
        output.emit(found)
        return
    output.say(f"kept {found.files} files, {found.bytes} bytes; {found.unchanged} unchanged")
    for item in found.left_out:
        output.note(f"{item.path} was left out: {item.why}")
