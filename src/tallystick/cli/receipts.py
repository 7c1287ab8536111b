"""Receipts and proof files on the command line: found, written, and what was shown of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.cli import output
from tallystick.cli.output import UsageError
from tallystick.errors import InvalidError
from tallystick.ledger.proof_file import FIRST_LINE

if TYPE_CHECKING:
    from tallystick.client.receipts import Claim, Shown
    from tallystick.ledger.proof_file import ProofFile

MAX_BYTES = 4 * 1024 * 1024
"""More than any answer with a receipt holds."""

STANDARD_STREAM = "-"

VOUCHERS = {
    "given": "given",
    "pinned": "pinned here when the ledger was first seen",
    "server": "the server's own word; take it from somebody you trust, with --vkey",
}
"""Who vouches for a key, in words."""


def claim_in(argument: str, entry_file: Path | None) -> "Claim":
    """The claim that an argument names or is; raises `UsageError` when there is none."""
    from tallystick.client.receipts import claim_of

    try:
        claim = claim_of(_text_of(argument))
    except InvalidError as error:
        raise UsageError(error.detail, code=error.code, hint=error.hint) from error
    return claim if entry_file is None else claim.with_entry(_content(entry_file))


def _text_of(argument: str) -> str:
    """The JSON itself, standard input, or a file."""
    if argument.lstrip()[:1] in {"{", "["} or argument.startswith(FIRST_LINE):
        return argument
    if argument == STANDARD_STREAM:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        content = _content(Path(argument))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{argument}: expected text in UTF-8", code="receipt_malformed") from error


def _content(path: Path) -> bytes:
    """A small file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})", code="receipt_missing") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: larger than any receipt", code="receipt_malformed")
    return content


def write_proof(file: "ProofFile", out: str, *, as_json: bool) -> None:
    """Write a proof file, or print it, and say how a stranger verifies it."""
    text = file.text()
    if out == STANDARD_STREAM:
        sys.stdout.write(text)
        return
    Path(out).write_text(text, encoding="utf-8", newline="")
    if as_json:
        output.emit({"file": out, "seq": file.index, "checkpoint": file.checkpoint})
        return
    output.say(out)
    output.note(
        f"entry {file.index}; verify with: tally ledger check --offline {out} --vkey KEY, or any "
        "tool that reads C2SP tlog-proof"
    )


def show(shown: "Shown", *, as_json: bool) -> None:
    """What was shown of a claim, and what stays open."""
    if as_json:
        output.emit(shown)
        return
    open_words = "open: only the server can show it"
    whole = shown.inclusion and shown.present_size is not None
    output.say("ok: the receipt holds" if whole else "ok, as far as it was checked")
    output.facts(
        (
            ("entry", f"{shown.seq} of {shown.origin}"),
            ("leaf hash", shown.leaf_hash),
            ("signature", f"holds, of {shown.size} entries"),
            ("key", f"{shown.key} ({VOUCHERS[shown.key_from]})"),
            ("inclusion", "shown" if shown.inclusion else open_words),
            (
                "consistency",
                open_words
                if shown.present_size is None
                else f"shown: the ledger of {shown.present_size} entries continues it",
            ),
            ("says", shown.entry),
        )
    )
