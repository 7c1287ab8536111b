"""Verifies a whole database: hashes, tree, signatures, texts, and every row of every projection.

What is checked is what P6.2 promises: each stored entry hashes to its leaf, the leaves and tiles to
the signed roots, every payload to its commitment, and the tables that screens read are exactly what
the ledger says. The first bad entry or row is named. A restored old backup verifies by itself: only
somebody who kept a later checkpoint can tell.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table, select

from tallystick.db.database import Database, Transaction
from tallystick.db.open import open_database
from tallystick.errors import CorruptLedgerError, InvalidError, TallystickError, VerificationError
from tallystick.ledger import tables as stored
from tallystick.ledger.checkpoint import VerifierKey, open_checkpoint
from tallystick.ledger.entry import Entry, parse
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.merkle import TILE_WIDTH, Edge, leaf_hash, node_hash
from tallystick.ledger.verify import malformed
from tallystick.projections import tables
from tallystick.projections.replay import PAGE, replay

_ENVELOPE_COLUMNS: Final = (
    "seq", "ts", "type", "stream", "session", "actor_token", "actor_role",
)  # fmt: skip
MOST_PROBLEMS: Final = 20
"""Enough to see what happened; the first is the one that matters."""


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What was verified, and what was found to be wrong, first bad thing first."""

    entries: int = 0
    checkpoints: int = 0
    payloads: int = 0
    missing_payloads: int = 0
    rows: int = 0
    origin: str | None = None
    root: str | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems

    def add(self, problem: str) -> None:
        """Note a problem, up to `MOST_PROBLEMS`."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def verify_database(database: Database, *, vkey: str | None = None) -> AuditReport:
    """Verify the ledger and its projections as they are at one moment; changes nothing.

    `vkey` pins the key; without it the one named in the ledger's first entry is used.
    """
    report = AuditReport()
    with database.read() as tx:
        key = vkey or _own_key(tx, report)
        roots = _verify_entries(tx, report)
        _verify_checkpoints(tx, report, key, roots)
        _verify_payloads(tx, report)
        if report.ok:
            _verify_texts(tx, report)
        if report.ok:
            _verify_projections(tx, report)
    return report


def _own_key(tx: Transaction, report: AuditReport) -> str:
    """The key that the first entry names; what is wrong with that entry is told by others."""
    try:
        first = Ledger.read(tx, limit=1)
    except CorruptLedgerError:
        return ""
    if not first or not isinstance(first[0].data, dict):
        return ""
    report.origin = first[0].data.get("origin")
    return str(first[0].data.get("vkey"))


def _verify_entries(tx: Transaction, report: AuditReport) -> dict[int, bytes]:
    """Every entry and tile; returns the root at each size that has a checkpoint."""
    sizes = {row["size"] for row in tx.fetch(select(stored.checkpoints.c.size))}
    edge, roots = Edge(), {}
    levels: list[list[bytes]] = []
    for entry in _entries_as_stored(tx, report):
        problem = _problem_of(entry, edge.size)
        if problem is not None:
            report.add(problem)
            break
        edge = edge.append(entry.leaf_hash)
        _verify_tiles(tx, report, levels, entry)
        if edge.size in sizes:
            roots[edge.size] = edge.root()
    report.entries = edge.size
    report.root = edge.root().hex()
    return roots


def _entries_as_stored(tx: Transaction, report: AuditReport) -> Iterator[Entry]:
    """Entries in order, with their columns compared to their bytes."""
    table = stored.entries
    after = -1
    while rows := tx.fetch(
        select(table).where(table.c.seq > after).order_by(table.c.seq).limit(PAGE)
    ):
        for row in rows:
            after = row["seq"]
            if not (isinstance(row["bytes"], bytes) and isinstance(row["leaf_hash"], bytes)):
                report.add(f"entry {after}: expected bytes and their hash, found another type")
                return
            try:
                entry = parse(row["seq"], row["bytes"], row["leaf_hash"])
            except CorruptLedgerError as error:
                report.add(error.detail)
                return
            for column in _ENVELOPE_COLUMNS:
                if row[column] != getattr(entry, column):
                    report.add(
                        f"entry {after}: column {column} says {row[column]!r}, "
                        f"its bytes say {getattr(entry, column)!r}"
                    )
            yield entry


def _problem_of(entry: Entry, expected_seq: int) -> str | None:
    """What is wrong with one entry, or None."""
    if entry.seq != expected_seq:
        return f"entry {expected_seq} is missing: found position {entry.seq} instead"
    if leaf_hash(entry.raw) != entry.leaf_hash:
        return f"entry {entry.seq}: its bytes do not hash to its leaf hash"
    problem = malformed(entry.raw, entry.seq)
    return None if problem is None else f"entry {entry.seq}: {problem}"


def _verify_tiles(
    tx: Transaction, report: AuditReport, levels: list[list[bytes]], entry: Entry
) -> None:
    """Each tile that an entry completes is stored, with its hashes and its root."""
    node, level = entry.leaf_hash, 0
    while True:
        if level == len(levels):
            levels.append([])
        hashes = levels[level]
        hashes.append(node)
        if len(hashes) < TILE_WIDTH:
            return
        index = entry.seq // TILE_WIDTH ** (level + 1)
        node = root_of_nodes(hashes)
        table = stored.tiles
        rows = tx.fetch(select(table).where(table.c.level == level, table.c.idx == index))
        if not rows or rows[0]["hashes"] != b"".join(hashes) or rows[0]["root"] != node:
            report.add(f"tile {level}/{index} is not what the entries up to {entry.seq} give")
        hashes.clear()
        level += 1


def root_of_nodes(hashes: list[bytes]) -> bytes:
    """The root over a full tile's hashes, which are nodes already (RFC 6962 section 2.1)."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[i : i + 2]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _verify_checkpoints(
    tx: Transaction, report: AuditReport, vkey: str, roots: dict[int, bytes]
) -> None:
    """Every kept checkpoint is signed and has the root of the tree of its size."""
    kept = tx.fetch(select(stored.checkpoints).order_by(stored.checkpoints.c.size))
    if not kept and not report.entries and report.ok:
        return  # a ledger that nothing was ever written to
    try:
        key = VerifierKey.parse(vkey)
    except (InvalidError, VerificationError) as error:
        report.add(f"the verifier key cannot be read: {error.detail}")
        return
    newest = 0
    for row in kept:
        report.checkpoints += 1
        newest = row["size"]
        try:
            signed = open_checkpoint(str(row["note"]), key)
        except TallystickError as error:
            report.add(f"checkpoint of size {newest}: {error.detail}")
            continue
        if signed.size != newest or signed.root != roots.get(newest):
            report.add(f"checkpoint of size {newest}: the tree of that size has another root")
    if newest != report.entries:
        report.add(f"the newest checkpoint covers {newest} entries, stored are {report.entries}")


def _verify_payloads(tx: Transaction, report: AuditReport) -> None:
    """Every stored text is what its commitment says."""
    table = stored.payloads
    after = ""
    while rows := tx.fetch(select(table).where(table.c.c > after).order_by(table.c.c).limit(PAGE)):
        for row in rows:
            after = row["c"]
            report.payloads += 1
            parts = (row["salt"], row["bytes"])
            whole = b"".join(parts) if all(isinstance(part, bytes) for part in parts) else None
            if whole is None or hashlib.sha256(whole).hexdigest() != after:
                report.add(f"payload {after}: its bytes do not match the commitment")


def _verify_texts(tx: Transaction, report: AuditReport) -> None:
    """Every commitment in an entry has its text, of the length that the entry says."""
    after = -1
    while entries := Ledger.read(tx, after=after, limit=PAGE):
        wanted = {c: (n, entry.seq) for entry in entries for c, n in _commitments(entry.data)}
        found = Ledger.texts(tx, wanted)
        for commitment, (length, seq) in wanted.items():
            text: Any = found.get(commitment)  # a damaged column can hold anything
            if text is None:
                report.missing_payloads += 1
                report.add(f"entry {seq}: the text {commitment} that it commits to is missing")
            elif not isinstance(text, bytes) or len(text) != length:
                report.add(f"entry {seq}: text {commitment} does not have {length} bytes")
        after = entries[-1].seq


def _commitments(data: Any) -> Iterator[tuple[str, int]]:
    """Every `{"c", "n"}` in an entry's data."""
    if isinstance(data, dict):
        if data.keys() == {"c", "n"}:
            yield data["c"], data["n"]
        else:
            for name, value in data.items():
                if name != "params":  # free keys: {"c": 1, "n": 2} is a configuration there
                    yield from _commitments(value)


def _verify_projections(tx: Transaction, report: AuditReport) -> None:
    """Rebuild into a scratch database and compare every column of every row."""
    with tempfile.TemporaryDirectory(prefix="tally-verify-") as scratch_dir:
        scratch = open_database(f"sqlite:///{Path(scratch_dir) / 'scratch.db'}")
        try:
            scratch.create(tables.metadata)
            with scratch.write() as target:
                replay(tx, target)
            with scratch.read() as rebuilt:
                for table in tables.metadata.sorted_tables:
                    if not table.name.startswith("op_"):
                        _compare(table, tx, rebuilt, report)
        finally:
            scratch.close()


def _compare(table: Table, live: Transaction, rebuilt: Transaction, report: AuditReport) -> None:
    """Every row of both sides, by id; databases do not agree on an order of ids."""
    for page in _pages(table, live):
        theirs = {row["id"]: row for row in _rows_of(table, rebuilt, page)}
        for ours in page:
            report.rows += 1
            if ours["id"] not in theirs:
                report.add(f"table {table.name}: row {ours['id']} has no entry in the ledger")
            else:
                _compare_row(table, ours, theirs[ours["id"]], report)
    for page in _pages(table, rebuilt):
        there = {row["id"] for row in _rows_of(table, live, page)}
        for row in page:
            if row["id"] not in there:
                report.add(f"table {table.name}: row {row['id']} is missing")


def _compare_row(
    table: Table, ours: dict[str, Any], theirs: dict[str, Any], report: AuditReport
) -> None:
    """Column by column; the first that differs is named."""
    for column, value in ours.items():
        if value != theirs[column]:
            report.add(
                f"table {table.name}: row {ours['id']}: column {column} holds {value!r}, "
                f"the ledger says {theirs[column]!r}"
            )
            return


def _rows_of(table: Table, tx: Transaction, page: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the same ids as those of a page."""
    ids = [row["id"] for row in page]
    return [dict(row) for row in tx.fetch(select(table).where(table.c.id.in_(ids)))]


def _pages(table: Table, tx: Transaction) -> Iterator[list[dict[str, Any]]]:
    """All rows, a page at a time."""
    statement = select(table).order_by(table.c.id).limit(PAGE)
    rows = tx.fetch(statement)
    while rows:
        yield [dict(row) for row in rows]
        rows = tx.fetch(statement.where(table.c.id > rows[-1]["id"]))
