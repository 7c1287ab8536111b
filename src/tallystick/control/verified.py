"""A ledger that is looked at more closely whenever it is loaded (P6.2).

`Ledger.load` compares the signed head with the stored tree; here the newest entries, 256 to 511 of
them, are hashed again as well, and the newest full tile of each level is compared with what is
below it. The cost does not grow with the ledger. What lies further back is for `tally ledger
verify`, which reads everything.
"""

from typing import Final

from tallystick.db.database import Transaction
from tallystick.errors import CorruptLedgerError
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.merkle import TILE_WIDTH, leaf_hash, root_of
from tallystick.ledger.tiles import corrupt, entry_count, read_tile

NEXT_ACTIONS: Final = (
    "tally server doctor",
    "tally ledger verify",
    "docs/howto/trouble.md says how to put a backup in its place",
)
"""For the person who reads the refusal of a write."""


class VerifiedLedger(Ledger):
    """A `Ledger` whose `load` also checks the newest entries and tiles."""

    def load(self, tx: Transaction) -> None:
        """Take over what the database holds; raises `CorruptLedgerError` naming what is wrong."""
        try:
            check_newest(tx, entry_count(tx))
            super().load(tx)
        except CorruptLedgerError as error:
            error.next_actions = error.next_actions or NEXT_ACTIONS
            raise


def check_newest(tx: Transaction, size: int) -> None:
    """Hash the newest entries again, and compare the newest full tiles with what they cover."""
    full = size // TILE_WIDTH
    first = max(0, full - 1) * TILE_WIDTH
    leaves = _hashed(tx, first, size)
    if full:
        stored = read_tile(tx, 0, full - 1)
        for seq, (found, expected) in enumerate(zip(stored, leaves, strict=False), first):
            if found != expected:
                raise _differs(f"tile {full - 1} of level 0, entry {seq}", expected, found)
    level = 1
    while full := full // TILE_WIDTH:
        above = read_tile(tx, level, full - 1)
        below = read_tile(tx, level - 1, full * TILE_WIDTH - 1)
        if above[-1] != root_of(below):
            raise _differs(f"tile {full - 1} of level {level}", root_of(below), above[-1])
        level += 1


def _hashed(tx: Transaction, first: int, size: int) -> list[bytes]:
    """The leaf hash of every entry from `first` on, each as its bytes give it."""
    leaves: list[bytes] = []
    for entry in Ledger.read(tx, after=first - 1, limit=size - first):
        expected = first + len(leaves)
        if entry.seq != expected:
            raise corrupt(f"entry {expected}", "an entry", f"entry {entry.seq} in its place")
        columns: tuple[object, ...] = (entry.raw, entry.leaf_hash)  # as a stranger left them
        if not all(isinstance(value, bytes) for value in columns):
            raise corrupt(f"entry {expected}", "bytes and their hash", "values of another type")
        if leaf_hash(entry.raw) != entry.leaf_hash:
            raise _differs(f"entry {expected}", entry.leaf_hash, leaf_hash(entry.raw))
        leaves.append(entry.leaf_hash)
    if len(leaves) != size - first:
        raise corrupt(f"entry {first + len(leaves)}", "an entry", "none")
    return leaves


def _differs(what: str, expected: bytes, found: bytes) -> CorruptLedgerError:
    """An error that names both hashes."""
    return corrupt(what, f"hash {expected.hex()}", f"hash {found.hex()}")
