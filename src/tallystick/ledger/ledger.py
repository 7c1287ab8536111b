"""The append-only log over a database: append, read, prove (P6.1 to P6.3).

Invariant: entries, the tiles they fill and the signed checkpoint that covers them are written in
one transaction of the caller's, and the edge kept here moves only after that commit (`adopt`). One
thread appends; the reading methods are static, and any thread may call them with its own
transaction. What entries mean, and when to commit, is decided elsewhere.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, select

from tallystick.db.database import Transaction
from tallystick.errors import ConflictError, InvalidError, NotFoundError, VerificationError
from tallystick.ledger.checkpoint import Checkpoint, open_checkpoint
from tallystick.ledger.entry import Draft, Entry, Payload, parse, place
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import (
    TILE_LEVELS,
    TILE_WIDTH,
    Edge,
    consistency_proof,
    inclusion_proof,
)
from tallystick.ledger.tables import checkpoints, entries, payloads, tiles
from tallystick.ledger.tiles import (
    TileReader,
    corrupt,
    entry_count,
    finished_tiles,
    read_bundle,
    read_edge,
    read_tile,
)

__all__ = ["Appended", "Draft", "Entry", "Ledger", "Payload"]

CHECKPOINT_PERIOD_MS: Final = 3_600_000  # of the checkpoints of one hour, only the last is kept
_TEXTS_AT_ONCE: Final = 500  # bound parameters in one statement; SQLite allows 32,766
_DEEPEST_TILE: Final = 7  # 256^8 entries are more than 64-bit positions can count

_COMMITMENTS = re.compile(rb'"c":"([0-9a-f]{64})"').findall

_NEWEST_CHECKPOINT = (
    select(checkpoints.c.size, checkpoints.c.note, checkpoints.c.ts)
    .order_by(checkpoints.c.size.desc())
    .limit(1)
)
_FORGET_CHECKPOINT = delete(checkpoints).where(checkpoints.c.size == bindparam("forgotten"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What one append added, its signed checkpoint, and the edge for `adopt` after the commit."""

    entries: tuple[Entry, ...]
    checkpoint: str
    edge: Edge


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the committed ledger ends; `signed_ts` is the time of its newest checkpoint, in ms."""

    edge: Edge
    note: str
    signed_ts: int | None


class Ledger:
    """One log under one key. Owned by the writer thread; `size` and `edge` may be read by any."""

    def __init__(self, signer: Signer) -> None:
        """An empty ledger; call `load` before the first append to a database that has one."""
        self._signer = signer
        self._head = self._empty()

    @property
    def origin(self) -> str:
        """The name of this log, the first line of every checkpoint."""
        return self._signer.origin

    @property
    def vkey(self) -> str:
        """The key that verifies its checkpoints, as others pin it."""
        return self._signer.vkey

    @property
    def size(self) -> int:
        """How many entries are committed, and so the next entry's `seq`."""
        return self._head.edge.size

    @property
    def edge(self) -> Edge:
        """The right edge of the committed tree."""
        return self._head.edge

    @property
    def note(self) -> str:
        """The newest signed checkpoint that is committed; an empty ledger has one too."""
        return self._head.note

    def vouch(self, text: str) -> str:
        """A note of `text` signed by the ledger's key: what people granted, for whoever pinned it.

        Raises `InvalidError` for a text that could pass for a tree head of this ledger.
        """
        if text.split("\n", 1)[0] == self.origin or not text.endswith("\n"):
            raise InvalidError(
                "a note: expected a text that ends its lines and is no tree head; "
                f"found {text[:80]!r}",
                code="note_invalid",
            )
        return self._signer.sign(text)

    def load(self, tx: Transaction) -> None:
        """Take over the ledger that the database holds, if it is what its checkpoint signed.

        Raises `CorruptLedgerError` when entries, tiles and the newest checkpoint do not agree, or
        when it was signed by another key; the ledger then keeps the head it had.
        """
        size, rows = entry_count(tx), tx.fetch(_NEWEST_CHECKPOINT)
        if not rows:
            if size:
                raise corrupt("the ledger", f"a checkpoint of its {size} entries", "none")
            self._head = self._empty()
            return
        note, signed_ts = rows[0]["note"], rows[0]["ts"]
        signed = self._opened(note)
        if not rows[0]["size"] == signed.size == size:
            raise corrupt("the ledger", f"{signed.size} entries, as its checkpoint says", f"{size}")
        edge = read_edge(tx, size)
        if edge.root() != signed.root:
            raise corrupt(
                f"the tree of {size} entries",
                f"root {signed.root.hex()}, as its checkpoint says",
                f"root {edge.root().hex()} from the stored hashes",
            )
        self._head = _Head(edge, note, signed_ts)

    def append(
        self, tx: Transaction, drafts: Sequence[Draft], payloads: Sequence[Payload] = ()
    ) -> Appended:
        """Write `drafts` as the next entries, with `payloads` and one signed checkpoint.

        Of the payloads, those are written that one of the entries commits to.
        Needs a write transaction, once for each; the kept edge does not move until `adopt`. No
        drafts write nothing. Raises `InvalidError` before anything is written, `ConflictError`
        (`ledger_moved`) when the database's ledger is not the one that was loaded.
        """
        head = self._head
        if not drafts and not payloads:
            return Appended(entries=(), checkpoint=head.note, edge=head.edge)
        first = head.edge.size
        added = tuple(place(seq, draft) for seq, draft in enumerate(drafts, first))
        payload_rows = _payload_rows(payloads, beside=added)
        self._require_current(tx)
        leaves = [entry.leaf_hash for entry in added]
        tx.insert(entries, [_entry_row(entry) for entry in added])
        tx.insert(tiles, finished_tiles(tx, head.edge, leaves))
        _write_payloads(tx, payload_rows)
        edge = head.edge.extend(leaves)
        note = self._signed(edge)
        self._write_checkpoint(tx, edge.size, note, added[-1].ts)
        return Appended(entries=added, checkpoint=note, edge=edge)

    def adopt(self, appended: Appended) -> None:
        """Move the kept edge, after the commit; appends that are rolled back are not adopted."""
        if appended.edge.size - len(appended.entries) != self.size:
            raise ConflictError(
                f"adopt: expected entries from {self.size} on; found an append that ends at "
                f"{appended.edge.size} after {len(appended.entries)} entries",
                code="ledger_moved",
            )
        if appended.entries:
            signed_ts = appended.entries[-1].ts
            self._head = _Head(appended.edge, appended.checkpoint, signed_ts)

    @staticmethod
    def read(
        tx: Transaction,
        *,
        after: int = -1,
        limit: int = 500,
        stream: str | None = None,
        session: str | None = None,
    ) -> list[Entry]:
        """At most `limit` entries with `seq` > `after`, in order; of one stream or session only."""
        statement = select(entries.c.seq, entries.c.leaf_hash, entries.c.bytes)
        statement = statement.where(entries.c.seq > after).order_by(entries.c.seq).limit(limit)
        if stream is not None:
            statement = statement.where(entries.c.stream == stream)
        if session is not None:
            statement = statement.where(entries.c.session == session)
        return [parse(row["seq"], row["bytes"], row["leaf_hash"]) for row in tx.fetch(statement)]

    @staticmethod
    def checkpoint(tx: Transaction) -> str | None:
        """The newest signed checkpoint in the database; None when there are no entries."""
        rows = tx.fetch(_NEWEST_CHECKPOINT)
        return str(rows[0]["note"]) if rows else None

    @staticmethod
    def inclusion(tx: Transaction, seq: int, size: int) -> list[bytes]:
        """The proof that entry `seq` is in the tree of `size` entries (RFC 6962 section 2.1.1).

        Raises `InvalidError` unless 0 <= seq < size <= entries here.
        """
        _require_within(tx, size)
        return inclusion_proof(TileReader(tx, size), seq, size)

    @staticmethod
    def consistency(tx: Transaction, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `old` entries begins the tree of `new` (section 2.1.2).

        Raises `InvalidError` unless 0 <= old <= new <= entries here.
        """
        _require_within(tx, new)
        return consistency_proof(TileReader(tx, new), old, new)

    @staticmethod
    def tile(tx: Transaction, level: int, index: int, *, width: int = TILE_WIDTH) -> bytes:
        """A tile's first `width` hashes, joined (C2SP tlog-tiles); or `NotFoundError`."""
        held = entry_count(tx) >> level * TILE_LEVELS if 0 <= level <= _DEEPEST_TILE else 0
        _require_tile(f"tile {index} of level {level}", index, width=width, held=held)
        return b"".join(read_tile(tx, level, index, width=width))

    @staticmethod
    def entry_bundle(tx: Transaction, index: int, *, width: int = TILE_WIDTH) -> bytes:
        """A bundle's first `width` entries, each after its 16-bit length; or `NotFoundError`."""
        _require_tile(f"entry bundle {index}", index, width=width, held=entry_count(tx))
        bundle = read_bundle(tx, index, width=width)
        return b"".join(len(raw).to_bytes(2, "big") + raw for raw in bundle)

    @staticmethod
    def texts(tx: Transaction, commitments: Iterable[str]) -> dict[str, bytes]:
        """The payloads of `commitments` (hex) that are still there; an erased one is left out."""
        wanted, found = list(dict.fromkeys(commitments)), {}
        statement = select(payloads.c.c, payloads.c.bytes)
        for start in range(0, len(wanted), _TEXTS_AT_ONCE):
            some = wanted[start : start + _TEXTS_AT_ONCE]
            rows = tx.fetch(statement.where(payloads.c.c.in_(some)))
            found.update({row["c"]: row["bytes"] for row in rows})
        return found

    def _empty(self) -> _Head:
        return _Head(Edge(), self._signed(Edge()), None)

    def _signed(self, edge: Edge) -> str:
        return self._signer.sign(Checkpoint(self.origin, edge.size, edge.root()).text())

    def _opened(self, note: str) -> Checkpoint:
        try:
            return open_checkpoint(note, self._signer.key)
        except VerificationError as error:
            raise corrupt(
                "the newest checkpoint",
                f"a note signed by {self.vkey}",
                error.detail,
                hint="If the key file was replaced, put back the one that this ledger began with; "
                "if not, keep a copy of the database as it is, and restore the newest good backup.",
            ) from error

    def _require_current(self, tx: Transaction) -> None:
        found = entry_count(tx)
        if found != self.size:
            raise ConflictError(
                f"the ledger: expected {self.size} entries, as loaded; found {found}",
                code="ledger_moved",
                hint="Another writer appended: load the ledger again, and decide again.",
                expected=self.size,
                found=found,
            )

    def _write_checkpoint(self, tx: Transaction, size: int, note: str, ts: int) -> None:
        """Keep the newest checkpoint, and the last one of each hour before it."""
        before = self._head.signed_ts
        if before is not None and before // CHECKPOINT_PERIOD_MS == ts // CHECKPOINT_PERIOD_MS:
            tx.execute(_FORGET_CHECKPOINT, {"forgotten": self.size})
        tx.insert(checkpoints, [{"size": size, "note": note, "ts": ts}])


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "ts": entry.ts,
        "type": entry.type,
        "stream": entry.stream,
        "session": entry.session,
        "actor_token": entry.actor_token,
        "actor_role": entry.actor_role,
        "leaf_hash": entry.leaf_hash,
        "bytes": entry.raw,
    }


def _payload_rows(
    items: Sequence[Payload], *, beside: Sequence[Entry]
) -> Sequence[Mapping[str, Any]]:
    """Rows of the payloads that an entry commits to, each checked: no other text is ever kept."""
    if items and not beside:
        raise InvalidError("payloads are written together with the entries that commit to them")
    for item in items:
        if hashlib.sha256(item.salt + item.bytes).hexdigest() != item.c:
            raise InvalidError(
                "payload: expected c to be SHA-256(salt || bytes)",
                code="payload_mismatch",
                c=item.c,
            )
    if not items:
        return []
    committed = {c for entry in beside for c in _COMMITMENTS(entry.raw)}
    return [
        {"c": item.c, "salt": item.salt, "bytes": item.bytes}
        for item in items
        if item.c.encode() in committed
    ]


def _write_payloads(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    tx.upsert(payloads, rows)  # one text may be committed to by several entries


def _require_within(tx: Transaction, size: int) -> None:
    held = entry_count(tx)
    if size > held:
        raise InvalidError(
            f"size: expected at most {held}, the entries here; found {size}",
            code="proof_range",
            limit=held,
        )


def _require_tile(what: str, index: int, *, width: int, held: int) -> None:
    if not 1 <= width <= TILE_WIDTH or index < 0 or index * TILE_WIDTH + width > held:
        raise NotFoundError(
            f"{what}, {width} wide: this ledger has no such tile yet", code="tile_missing"
        )
