"""`tally ledger`: verify it, export it, show its head, prove an entry, check what was kept.

Verifying and exporting read the data directory itself, so that they need neither the server nor
its word; `show`, `proof` and `check` ask the server, and believe it what it proves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, output, receipts
from tallystick.cli.output import UsageError
from tallystick.errors import NotFoundError, VerificationError
from tallystick.ledger import proof_file

if TYPE_CHECKING:
    from tallystick.db.database import Database

app = typer.Typer(
    no_args_is_help=True, help="The ledger: verify, export, proof, check; known and forget."
)

UNKNOWABLE = (
    "what was cut off at the end cannot be seen from here, a restored backup verifies too: compare "
    "with a receipt or a checkpoint that was kept elsewhere (tally ledger check)"
)

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
        typer.Argument(metavar="EXPORT", help="An exported ledger instead of a server's own."),
    ] = None,
    data_dir: options.DataDir = None,
    vkey: VKey = None,
    as_json: options.Json = False,
) -> None:
    """Check every entry, every hash and the signature; exit code 4 names the first bad entry.

    Of a server's own ledger it also checks that the tables which screens read match it. It cannot
    tell whether there were later entries once: whoever kept a receipt or a checkpoint can.
    """
    if export is not None and data_dir is not None:
        raise UsageError("name an export or a data directory, not both", code="verify_twice")
    report = verify_export(export, vkey) if export else verify_here(data_dir, vkey)
    output.note(f"note: {UNKNOWABLE}")
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


@app.command(
    epilog=options.examples(
        "tally ledger proof run_0123456789ab",
        "tally ledger proof run_0123456789ab --out - | tally ledger check -",
        "tally ledger proof 41 --json",
    )
)
def proof(
    target: Annotated[
        str, typer.Argument(metavar="RUN|SEQ", help="Id of a run, or the position of an entry.")
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="- prints it. [default: RUN.tlog-proof]"),
    ] = None,
    entry: Annotated[
        int | None,
        typer.Option(
            "--entry", min=0, metavar="SEQ", help="An entry of the run. [default: newest]"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Prove that an entry is in the ledger, in a file that anyone can verify offline.

    For a run, its newest entry (run.ended once it is over) goes into a C2SP tlog-proof, with the
    entry's own bytes. For a position the RFC 6962 inclusion proof is printed, unless --out asks
    for the file.
    """
    client = options.client_for()
    if target.isascii() and target.isdigit():
        if entry is not None:
            raise UsageError("--entry picks an entry of a run, not of an entry", code="entry_twice")
        if out is None:
            _show_proof(client.proof(int(target)), as_json=as_json)
            return
        file = client.prove_entry(int(target))
    else:
        file = client.prove_run(target, entry=entry)
    receipts.write_proof(file, out or f"{target}{proof_file.SUFFIX}", as_json=as_json)


def _show_proof(document: dict[str, Any], *, as_json: bool) -> None:
    """An inclusion proof as the server gave it."""
    if as_json:
        output.emit(document)
        return
    output.facts(
        (name, "\n".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in document.items()
    )


@app.command(
    epilog=options.examples(
        "tally run create --json -- python train.py > run.json; tally ledger check run.json",
        "tally ledger check run_0123456789ab.tlog-proof --offline --vkey 'tally.local/…'",
    )
)
def check(
    receipt: Annotated[
        str,
        typer.Argument(
            metavar="RECEIPT",
            help="A file, - for standard input, or the JSON itself: a receipt, an answer that "
            "holds one, or a .tlog-proof.",
        ),
    ],
    vkey: VKey = None,
    entry_file: Annotated[
        Path | None,
        typer.Option("--entry-file", metavar="FILE", help="The entry's bytes, to be proven too."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server, and say what stays open.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show that a receipt's entry is in the ledger, and that the ledger of now continues it.

    Exit code 4 when it does not: both signed notes are printed then. Exit code 2 for what is no
    receipt, 1 when something is missing to judge it. The key is the one given, else the one pinned
    here, else the server's own word.
    """
    claim = receipts.claim_in(receipt, entry_file)
    client = options.client_for()
    if offline:
        shown = client.check_offline(claim, vkey=vkey)
    else:
        shown = client.check_receipt(claim, vkey=vkey)
    receipts.show(shown, as_json=as_json)


@app.command(epilog=options.examples("tally ledger known", "tally ledger known --json"))
def known(as_json: options.Json = False) -> None:
    """List the ledgers that were seen from here, each with its newest checkpoint.

    They are pinned in ~/.tally/known_ledgers, or where TALLY_KNOWN_LEDGERS says.
    """
    ledgers = options.client_for().known
    pins, broken = ledgers.all()
    for error in broken:
        output.note(output.plain(f"warning: {error.detail}; {error.hint}"))
    if as_json:
        output.emit([{"origin": pin.origin, "size": pin.size, **asdict(pin)} for pin in pins])
        return
    output.table(
        ("ID", ">ENTRIES", "PINNED", "SEEN AT"),
        (
            (
                pin.origin,
                str(pin.size),
                output.ago(pin.pinned_at / 1000),
                pin.urls[-1] if pin.urls else "",
            )
            for pin in pins
        ),
        empty=f"no ledger is known in {ledgers.directory}",
    )


@app.command(epilog=options.examples("tally ledger forget tally.local/0123456789abcdef"))
def forget(
    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="The ledger's name, as `known` lists it.")
    ],
) -> None:
    """Forget what was seen of a ledger: the next checkpoint is taken on trust.

    Only after its server was restored or replaced on purpose. A note of a fork stays where it is.
    """
    ledgers = options.client_for().known
    if not ledgers.forget(origin):
        raise NotFoundError(
            f"no ledger {origin!r} is known here",
            code="ledger_unknown",
            next_actions=("tally ledger known",),
        )
    output.note(f"forgotten: {output.plain(origin)}")
