"""Hashes of the tree as the database keeps them: C2SP tiles, 256 hashes wide and 8 levels high.

A full tile is one row, written once. The unfinished tile at the right of level 0 is the leaf hashes
of the newest entries; above, it is the roots of the full tiles one level below. So a proof reads at
most two tiles a level, and an append writes nothing but what is new.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select

from tallystick.db.database import Transaction
from tallystick.errors import CorruptLedgerError
from tallystick.ledger.merkle import (
    HASH_BYTES,
    TILE_LEVELS,
    TILE_WIDTH,
    Edge,
    leaf_hash,
    root_of,
)
from tallystick.ledger.tables import entries, tiles

_NEWEST = select(func.max(entries.c.seq).label("seq"))
_TILE = select(tiles.c.hashes).where(
    tiles.c.level == bindparam("level"), tiles.c.idx == bindparam("idx")
)
_LEAVES = (
    select(entries.c.leaf_hash.label("hash"))
    .where(entries.c.seq >= bindparam("first"), entries.c.seq < bindparam("end"))
    .order_by(entries.c.seq)
)
_ROOTS = (
    select(tiles.c.root.label("hash"))
    .where(
        tiles.c.level == bindparam("below"),
        tiles.c.idx >= bindparam("first"),
        tiles.c.idx < bindparam("end"),
    )
    .order_by(tiles.c.idx)
)
_ENTRY_BYTES = (
    select(entries.c.seq, entries.c.leaf_hash, entries.c.bytes)
    .where(entries.c.seq >= bindparam("first"), entries.c.seq < bindparam("end"))
    .order_by(entries.c.seq)
)


def entry_count(tx: Transaction) -> int:
    """How many entries the database holds, by the position of the newest."""
    newest = tx.fetch(_NEWEST)[0]["seq"]
    return 0 if newest is None else int(newest) + 1


def read_tile(tx: Transaction, level: int, index: int, *, width: int = TILE_WIDTH) -> list[bytes]:
    """The first `width` hashes of a tile; `CorruptLedgerError` when they are not all there."""
    if width == TILE_WIDTH:
        rows = tx.fetch(_TILE, {"level": level, "idx": index})
        joined = rows[0]["hashes"] if rows else b""
        hashes = [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]
    else:
        span = {"first": index * TILE_WIDTH, "end": index * TILE_WIDTH + width}
        if level == 0:
            rows = tx.fetch(_LEAVES, span)
        else:
            rows = tx.fetch(_ROOTS, {"below": level - 1, **span})
        hashes = [row["hash"] for row in rows]
    if len(hashes) != width:
        raise corrupt(f"tile {index} of level {level}", f"{width} hashes", f"{len(hashes)}")
    return hashes


def read_bundle(tx: Transaction, index: int, *, width: int = TILE_WIDTH) -> list[bytes]:
    """The bytes of the first `width` entries of bundle `index`; `CorruptLedgerError` on a gap."""
    first = index * TILE_WIDTH
    rows = tx.fetch(_ENTRY_BYTES, {"first": first, "end": first + width})
    for position, row in enumerate(rows, first):
        if row["seq"] != position:
            raise corrupt(f"entry {position}", "an entry", f"entry {row['seq']} in its place")
    if len(rows) != width:
        raise corrupt(f"entry {first + len(rows)}", "an entry", "none")
    return [row["bytes"] for row in rows]


class TileReader:
    """Hashes of complete subtrees of the tree of `size` entries, each tile read at most once."""

    def __init__(self, tx: Transaction, size: int) -> None:
        """Good for one proof, while `tx` lasts."""
        self._tx = tx
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of subtree `index` at `level` of the binary tree (see merkle.Reader)."""
        tile_level, height = divmod(level, TILE_LEVELS)
        tile, offset = divmod(index << height, TILE_WIDTH)
        hashes = self._tiles.get((tile_level, tile))
        if hashes is None:
            held = (self._size >> tile_level * TILE_LEVELS) - tile * TILE_WIDTH
            hashes = read_tile(self._tx, tile_level, tile, width=min(TILE_WIDTH, held))
            self._tiles[tile_level, tile] = hashes
        return root_of(hashes[offset : offset + (1 << height)])


def read_edge(tx: Transaction, size: int) -> Edge:
    """The right edge of the tree of all `size` entries, rebuilt from unfinished tiles.

    The newest entries' bytes are hashed again, so that a change in them is named at once.
    """
    peaks: tuple[bytes, ...] = ()
    for level in reversed(range((size.bit_length() + TILE_LEVELS - 1) // TILE_LEVELS)):
        tile, width = divmod(size >> level * TILE_LEVELS, TILE_WIDTH)
        if width and level == 0:
            _check_newest(tx, tile * TILE_WIDTH, size)
        if width:
            peaks += Edge().extend(read_tile(tx, level, tile, width=width)).peaks
    return Edge(size, peaks)


def finished_tiles(tx: Transaction, edge: Edge, leaves: Sequence[bytes]) -> list[dict[str, Any]]:
    """Rows of the tiles that `leaves`, appended at `edge`, make full; no rows are written.

    What is read back of a tile's beginning must hash to the kept edge, else `CorruptLedgerError`:
    a tile is written once, and nothing wrong may enter it.
    """
    rows: list[dict[str, Any]] = []
    level, held, new = 0, edge.size, list(leaves)
    while (held + len(new)) // TILE_WIDTH > held // TILE_WIDTH:
        first, width = divmod(held, TILE_WIDTH)
        hashes = [*_beginning(tx, edge, level), *new] if width else new
        new = []
        for start in range(0, len(hashes) - TILE_WIDTH + 1, TILE_WIDTH):
            full = hashes[start : start + TILE_WIDTH]
            new.append(root_of(full))
            idx = first + start // TILE_WIDTH
            rows.append({"level": level, "idx": idx, "root": new[-1], "hashes": b"".join(full)})
        level, held = level + 1, first
    return rows


def corrupt(what: str, expected: str, found: str, *, hint: str | None = None) -> CorruptLedgerError:
    """The error for a ledger that does not hold: what was expected, what was found, what to do."""
    return CorruptLedgerError(
        f"{what}: expected {expected}; found {found}",
        expected=expected,
        found=found,
        hint=hint
        or "Nothing more is written. Keep a copy of the database as it is, export the ledger and "
        "run verify.py on it to find the first bad entry, then restore the newest good backup.",
    )


def _check_newest(tx: Transaction, first: int, end: int) -> None:
    for row in tx.fetch(_ENTRY_BYTES, {"first": first, "end": end}):
        leaf = leaf_hash(row["bytes"])
        if leaf != row["leaf_hash"]:
            raise corrupt(
                f"entry {row['seq']}",
                f"bytes with leaf hash {row['leaf_hash'].hex()}",
                f"bytes with leaf hash {leaf.hex()}",
            )


def _beginning(tx: Transaction, edge: Edge, level: int) -> list[bytes]:
    part = edge.tile_part(level)
    tile = edge.size >> (level + 1) * TILE_LEVELS
    hashes = read_tile(tx, level, tile, width=part.size)
    if root_of(hashes) != part.root():
        raise corrupt(
            f"tile {tile} of level {level}",
            f"hashes with root {part.root().hex()}",
            f"hashes with root {root_of(hashes).hex()}",
        )
    return hashes
