"""Signed tree heads as a client sees them, opened with nothing but Python.

The signature is checked by the verifier that exports carry (`ledger/verify.py`): it takes a few
milliseconds, less than loading a library that would do it faster.
"""

from dataclasses import dataclass

from tallystick.errors import VerificationError
from tallystick.ledger import verify
from tallystick.ledger.merkle import verify_consistency


@dataclass(frozen=True, slots=True)
class Head:
    """A tree head whose signature was checked, or that was checked before it was kept."""

    origin: str
    size: int
    root: bytes
    note: str
    """The signed note, whole."""


def head_of(note: str, vkey: str) -> Head:
    """The head in a note that `vkey` signed; raises `VerificationError` (checkpoint_invalid)."""
    try:
        name, public = verify.parse_vkey(vkey)
        size, root = verify.open_checkpoint(note, name, public)
    except (verify.VerificationError, ValueError) as error:  # ValueError: text that is no Unicode
        raise VerificationError(str(error), code="checkpoint_invalid") from error
    return Head(name, size, root, note)


def origin_of_key(vkey: str) -> str:
    """The ledger that a verifier key belongs to; raises `VerificationError` (vkey_invalid)."""
    try:
        return verify.parse_vkey(vkey)[0]
    except (verify.VerificationError, ValueError) as error:
        raise VerificationError(str(error), code="vkey_invalid") from error


def claimed_origin(note: str) -> str:
    """The first line of a note: whose it claims to be, before anything is checked."""
    return note.partition("\n")[0]


def claimed_size(note: str) -> int:
    """The number of entries that a note claims, before anything is checked; -1 for none."""
    digits = note.split("\n", 2)[1:2]
    return int(digits[0]) if digits and digits[0].isascii() and digits[0].isdigit() else -1


def require_growth(old: Head, new: Head, hashes: list[bytes]) -> None:
    """Raise `VerificationError` unless the tree of `old` is the beginning of the tree of `new`."""
    verify_consistency(
        hashes, old_size=old.size, new_size=new.size, old_root=old.root, new_root=new.root
    )


def forked(why: str, *, origin: str, trusted: str, presented: str) -> VerificationError:
    """The error that shows both notes, whole: what is trusted here, and what contradicts it."""
    return VerificationError(
        f"{origin} is not the ledger that was seen before: {why}\n\n"
        f"{both_notes(trusted, presented)}\n"
        "Keep both: a backup was restored, or the ledger was rewritten, or there are two of it.",
        code="ledger_forked",
        hint="ask whoever runs the server; to trust what it presents now, deliberately, forget "
        "what was seen before",
        next_actions=(f"tally ledger forget {origin}",),
        origin=origin,
        trusted=trusted,
        presented=presented,
    )


def both_notes(trusted: str, presented: str) -> str:
    """Two signed notes, whole, with a line above each."""
    return (
        f"trusted here, {claimed_size(trusted)} entries:\n\n{trusted}\n"
        f"presented by the server, {claimed_size(presented)} entries:\n\n{presented}"
    )
