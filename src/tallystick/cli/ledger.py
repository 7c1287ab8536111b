"""`tally ledger`: verify it, export it, show its head, prove an entry.

Verifying and exporting read the data directory itself, so that they need neither the server nor
its word; `show` and `proof` ask the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, output
from tallystick.cli.output import UsageError
from tallystick.errors import NotFoundError, VerificationError

if TYPE_CHECKING:
    from tallystick.db.database import Database

app = typer.Typer(no_args_is_help=True, help="The ledger: verify, export, prove.")

VKey = Annotated[
    str | None,
    typer.Option("--vkey", metavar="KEY", help="Its verifier key, from someone you trust."),
]


@app.command(
    epilog=options.examples(
        "tally ledger verify", "tally ledger verify ./export --vkey 'tally.local/…'"
    ),
)
def verify(
    export: Annotated[
        Path | None,
        typer.Argument(metavar="[EXPORT]", help="An exported ledger instead of a server's own."),
    ] = None,
    data_dir: options.DataDir = None,
    vkey: VKey = None,
    as_json: options.Json = False,
) -> None:
    """Check every entry, every hash and the signature; exit code 4 names the first bad entry.

    Of a server's own ledger it also checks that the tables which screens read match it.
    """
    if export is not None and data_dir is not None:
        raise UsageError("name an export or a data directory, not both", code="verify_twice")
    report = verify_export(export, vkey) if export else verify_here(data_dir, vkey)
    if as_json:
        output.emit(report)
        return
    output.say("ok: the ledger verifies")
    output.facts(report.items())


def verify_export(export: Path, vkey: str | None) -> dict[str, Any]:
    """The verdict on an exported ledger; raises `VerificationError` naming the first bad entry."""
    import dataclasses

    from tallystick.ledger import verify as verifier

    if not export.is_dir():
        raise NotFoundError(f"{export}: expected the directory of an export", code="export_missing")
    try:
        report = verifier.verify_export(export, vkey)
    except verifier.VerificationError as error:
        raise VerificationError(
            str(error), hint=f"first bad entry: {error.entry}" if error.entry is not None else None
        ) from error
    return dataclasses.asdict(report)


def verify_here(data_dir: str | None, vkey: str | None) -> dict[str, Any]:
    """The verdict on a server's own ledger, read from its database; raises like `verify_export`."""
    from tallystick.projections.audit import verify_database

    with _database(data_dir) as database:
        report = verify_database(database, vkey=vkey)
    if report.problems:
        raise VerificationError(
            report.problems[0],
            hint=f"{len(report.problems)} problems in all; --json lists them",
            problems=report.problems,
        )
    if report.origin is None:
        raise NotFoundError("the ledger is empty: there is nothing to verify", code="ledger_empty")
    counts = {
        name: getattr(report, name)
        for name in ("entries", "checkpoints", "payloads", "missing_payloads", "rows")
    }
    key = "as given" if vkey else "read from the ledger itself; pin it with --vkey"
    return {"origin": report.origin, "root": report.root, "key": key, **counts}


@contextmanager
def _database(data_dir: str | None) -> "Iterator[Database]":
    """The database of a data directory; never creates one."""
    from tallystick.config import load
    from tallystick.db.open import open_database

    settings, _origins = load({"server.data_dir": data_dir})
    own = settings.server.data_dir / "tally.db"
    if settings.database.url is None and not own.is_file():
        raise NotFoundError(
            f"there is no ledger at {own}",
            code="ledger_missing",
            hint="name the server's data directory with --data-dir or TALLY_DATA_DIR",
        )
    database = open_database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


@app.command(
    epilog=options.examples("tally ledger export ./ledger", "python3 ledger/verify.py ledger")
)
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty directory.")],
    data_dir: options.DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Write the whole ledger as files that a stranger can verify with nothing but Python."""
    from tallystick.ledger.export import write_export
    from tallystick.ledger.ledger import Ledger

    with _database(data_dir) as database, database.read() as tx:
        opening = Ledger.read(tx, limit=1)
        if not opening:
            raise NotFoundError("the ledger is empty", code="ledger_empty")
        head = write_export(tx, out, str(opening[0].data["vkey"]))
    if as_json:
        output.emit({"directory": str(out.absolute()), "origin": head.origin, "size": head.size})
        return
    output.say(f"{head.size} entries of {head.origin} in {out}")
    output.note(f"verify with: python3 {out / 'verify.py'} {out}")


@app.command(epilog=options.examples("tally ledger show", "tally ledger show --json"))
def show(as_json: options.Json = False) -> None:
    """The ledger's origin, verifier key and newest signed head."""
    client = options.client_for()
    vkey, note = client.vkey(), client.checkpoint()
    origin, size, root = note.split("\n")[:3]
    if as_json:
        output.emit(
            {"origin": origin, "size": int(size), "root": root, "vkey": vkey, "checkpoint": note}
        )
        return
    output.facts((("origin", origin), ("entries", size), ("root", root), ("vkey", vkey)))
    output.say()
    output.say(note.rstrip("\n"))


@app.command(epilog=options.examples("tally ledger proof 41", "tally ledger proof 41 --json"))
def proof(
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=0, help="Position of the entry.")],
    as_json: options.Json = False,
) -> None:
    """Prove that an entry is in the ledger (RFC 6962 inclusion proof)."""
    document = options.client_for().proof(seq)
    if as_json:
        output.emit(document)
        return
    output.facts(
        (name, "\n".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in document.items()
    )
