"""Verifies a whole database: hashes, tree, signatures, texts, and every row of every projection.

What is checked is what P6.2 promises: each stored entry hashes to its leaf, the leaves and tiles to
the signed roots, every payload to its commitment, and the tables that screens read are exactly what
the ledger says, in every column of every row, and have no row more. The first bad entry or row is
named. A text that is gone counts as erased (P6.6), and a checkpoint older than the newest as
thinned out; neither is a fault. A restored old backup verifies by itself: only somebody who kept a
later checkpoint can tell. Memory does not grow with the ledger.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    MetaData,
    RowMapping,
    Select,
    String,
    Table,
    func,
    select,
    type_coerce,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import NullType

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

_TEXTS_AT_ONCE: Final = 200
"""Payloads in memory at a time; one may be as large as a request."""

_DEEPEST_TILE: Final = 7
"""256^8 entries are more than positions can count."""

_scratch = MetaData()
_commitments = Table("commitments", _scratch, Column("c", String, primary_key=True))
"""What entries commit to, kept on disk while payloads are looked for."""


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """What was verified, and what was found to be wrong, first bad thing first."""

    entries: int = 0
    checkpoints: int = 0
    payloads: int = 0
    missing_payloads: int = 0
    """Texts that were erased: something commits to them, and they are gone."""
    erased: list[str] = field(default_factory=list)
    """The first of those, each with the entry that commits to it; no fault."""
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
        try:
            _verify(tx, report, vkey)
        except DBAPIError:
            where = _undecodable(tx)
            if where is None:
                raise
            report.add(where)
    return report


def _verify(tx: Transaction, report: AuditReport, vkey: str | None) -> None:
    """All of it, from the ground up; what stands on something bad is not looked at."""
    key = vkey or _own_key(tx, report)
    heads = _verify_entries(tx, report)
    _verify_checkpoints(tx, report, key, heads)
    if report.ok:
        _verify_no_other_tiles(tx, report)
    _verify_payloads(tx, report)
    if report.ok:
        with tempfile.TemporaryDirectory(prefix="tally-verify-") as directory:
            scratch = open_database(f"sqlite:///{Path(directory) / 'scratch.db'}")
            try:
                scratch.create(_scratch)
                scratch.create(tables.metadata)
                _verify_texts(tx, scratch, report)
                if report.ok:
                    _verify_projections(tx, scratch, report)
            finally:
                scratch.close()


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


def _verify_entries(tx: Transaction, report: AuditReport) -> dict[int, tuple[bytes, int]]:
    """Every entry and tile; returns root and time at each size that has a checkpoint."""
    sizes = {row["size"] for row in tx.fetch(_as_stored(stored.checkpoints))}
    edge, heads = Edge(), {}
    levels: list[list[bytes]] = []
    for entry in _entries_as_stored(tx, report):
        problem = _problem_of(entry, edge.size)
        if problem is not None:
            report.add(problem)
            break
        edge = edge.append(entry.leaf_hash)
        _verify_tiles(tx, report, levels, entry)
        if edge.size in sizes:
            heads[edge.size] = (edge.root(), entry.ts)
    report.entries = edge.size
    report.root = edge.root().hex()
    return heads


def _entries_as_stored(tx: Transaction, report: AuditReport) -> Iterator[Entry]:
    """Entries in order, with their columns compared to their bytes."""
    for page in _pages(stored.entries, tx):
        for row in page:
            seq = row["seq"]
            if not (isinstance(row["bytes"], bytes) and isinstance(row["leaf_hash"], bytes)):
                report.add(f"entry {seq}: expected bytes and their hash, found another type")
                return
            try:
                entry = parse(seq, row["bytes"], row["leaf_hash"])
            except CorruptLedgerError as error:
                report.add(error.detail)
                return
            for column in _ENVELOPE_COLUMNS:
                if not _is_same(row[column], getattr(entry, column)):
                    report.add(
                        f"entry {seq}: column {column} says {row[column]!r}, "
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
        here = (table.c.level == level, table.c.idx == index)
        rows = tx.fetch(_as_stored(table).where(*here))
        if not rows or rows[0]["hashes"] != b"".join(hashes) or rows[0]["root"] != node:
            report.add(f"tile {level}/{index} is not what the entries up to {entry.seq} give")
        hashes.clear()
        level += 1


def root_of_nodes(hashes: list[bytes]) -> bytes:
    """The root over a full tile's hashes, which are nodes already (RFC 6962 section 2.1)."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[i : i + 2]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _verify_no_other_tiles(tx: Transaction, report: AuditReport) -> None:
    """Every tile has been compared, or it has no entries; and there is one of each."""
    table, before = stored.tiles, None
    for row in tx.fetch(_as_stored(table, "level", "idx").order_by(table.c.level, table.c.idx)):
        level, index = row["level"], row["idx"]
        if not (
            isinstance(level, int)
            and isinstance(index, int)
            and 0 <= level <= _DEEPEST_TILE
            and 0 <= index < report.entries // TILE_WIDTH ** (level + 1)
        ):
            report.add(f"tile {level}/{index} has no entries in the ledger")
        elif (level, index) == before:
            report.add(f"tile {level}/{index} is there twice")
        before = (level, index)


def _verify_checkpoints(
    tx: Transaction, report: AuditReport, vkey: str, heads: dict[int, tuple[bytes, int]]
) -> None:
    """Every kept checkpoint is signed and has the root and the time of the tree of its size."""
    kept = tx.fetch(_as_stored(stored.checkpoints).order_by(stored.checkpoints.c.size))
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
        if row["size"] == newest:
            report.add(f"checkpoint of size {newest} is there twice")
        newest = row["size"]
        try:
            signed = open_checkpoint(str(row["note"]), key)
        except TallystickError as error:
            report.add(f"checkpoint of size {newest}: {error.detail}")
            continue
        root, ts = heads.get(newest, (None, None))
        if signed.size == newest > report.entries:
            continue  # what is missing is told below
        if not _is_same(newest, signed.size) or signed.root != root:
            report.add(f"checkpoint of size {newest}: the tree of that size has another root")
        elif not _is_same(row["ts"], ts):
            report.add(
                f"checkpoint of size {newest}: column ts holds {row['ts']!r}, "
                f"its last entry says {ts!r}"
            )
    if newest != report.entries and report.ok:
        bad = min(newest, report.entries)
        what = "is missing" if bad == report.entries else "is not signed"
        report.add(
            f"entry {bad} {what}: the newest checkpoint covers {newest} entries, "
            f"stored are {report.entries}"
        )


def _verify_payloads(tx: Transaction, report: AuditReport) -> None:
    """Every stored text is what its commitment says."""
    before = None
    for page in _pages(stored.payloads, tx, size=_TEXTS_AT_ONCE):
        for row in page:
            if row["c"] == before:
                report.add(f"payload {before} is there twice")
            before = row["c"]
            report.payloads += 1
            parts = (row["salt"], row["bytes"])
            whole = b"".join(parts) if all(isinstance(part, bytes) for part in parts) else None
            if whole is None or hashlib.sha256(whole).hexdigest() != row["c"]:
                report.add(f"payload {row['c']}: its bytes do not match the commitment")


def _verify_texts(tx: Transaction, scratch: Database, report: AuditReport) -> None:
    """Every text that is there has a commitment, and the length that the entry says."""
    table = stored.payloads
    after = -1
    while entries := Ledger.read(tx, after=after, limit=PAGE):
        wanted = {c: (n, entry.seq) for entry in entries for c, n in _texts_in(entry.data)}
        found = {}
        for some in _cut(list(wanted)):
            lengths = select(table.c.c, func.length(table.c.bytes).label("n"))
            found.update({r["c"]: r["n"] for r in tx.fetch(lengths.where(table.c.c.in_(some)))})
        for commitment, (length, seq) in wanted.items():
            if commitment not in found:
                report.missing_payloads += 1
                if len(report.erased) < MOST_PROBLEMS:
                    report.erased.append(f"entry {seq}: the text {commitment} was erased")
            elif found[commitment] != length:
                report.add(f"entry {seq}: text {commitment} does not have {length} bytes")
        with scratch.write() as target:
            target.upsert(_commitments, [{"c": commitment} for commitment in wanted])
        after = entries[-1].seq
    with scratch.read() as committed:
        for page in _pages(table, tx, "c"):
            known = {row["c"] for row in _rows_of(_commitments, committed, page)}
            for row in page:
                if row["c"] not in known:
                    report.add(f"payload {row['c']}: no entry commits to it")


def _texts_in(data: Any) -> Iterator[tuple[str, int]]:
    """Every `{"c", "n"}` in an entry's data."""
    if isinstance(data, dict):
        if data.keys() == {"c", "n"}:
            yield data["c"], data["n"]
        else:
            for name, value in data.items():
                if name != "params":  # free keys: {"c": 1, "n": 2} is a configuration there
                    yield from _texts_in(value)


def _verify_projections(tx: Transaction, scratch: Database, report: AuditReport) -> None:
    """Rebuild into a scratch database and compare every column of every row."""
    with scratch.write() as target:
        replay(tx, target)
    with scratch.read() as rebuilt:
        for table in tables.metadata.sorted_tables:
            if not table.name.startswith("op_"):
                _compare(table, tx, rebuilt, report)


def _compare(table: Table, live: Transaction, rebuilt: Transaction, report: AuditReport) -> None:
    """Every row of both sides, by id; databases do not agree on an order of ids."""
    found, expected, good = 0, 0, report.ok
    for page in _pages(table, live):
        theirs = {row["id"]: row for row in _rows_of(table, rebuilt, page)}
        for ours in page:
            found += 1
            if ours["id"] not in theirs:
                report.add(f"table {table.name}: row {ours['id']} has no entry in the ledger")
            else:
                _compare_row(table, ours, theirs[ours["id"]], report)
    for page in _pages(table, rebuilt):
        there = {row["id"] for row in _rows_of(table, live, page)}
        for row in page:
            expected += 1
            if row["id"] not in there:
                report.add(f"table {table.name}: row {row['id']} is missing")
    report.rows += found
    held = live.fetch(select(func.count().label("n")).select_from(table))[0]["n"]
    if good and report.ok and not held == found == expected:  # ids are unique no longer
        report.add(f"table {table.name}: {held} rows, the ledger says {expected}: one is doubled")


def _compare_row(table: Table, ours: RowMapping, theirs: RowMapping, report: AuditReport) -> None:
    """Column by column; the first that differs is named."""
    for column, value in ours.items():
        if not _is_same(value, theirs[column]):
            report.add(
                f"table {table.name}: row {ours['id']}: column {column} holds {value!r}, "
                f"the ledger says {theirs[column]!r}"
            )
            return


def _is_same(found: object, expected: object) -> bool:
    """Equal, and of one type: 2 is no true, and 1.0 is no 1."""
    if isinstance(found, bool):  # what PostgreSQL has a type for, SQLite keeps as a number
        found = int(found)
    return type(found) is type(expected) and found == expected


def _as_stored(table: Table, *names: str) -> Select[*tuple[Any, ...]]:
    """Cells as the database holds them: nothing is made to look like the column's type."""
    columns = [table.c[name] for name in names] or list(table.columns)
    return select(*(type_coerce(column, NullType()).label(column.name) for column in columns))


def _rows_of(table: Table, tx: Transaction, page: Sequence[RowMapping]) -> Sequence[RowMapping]:
    """The rows with the same keys as those of a page."""
    (key,) = table.primary_key
    return tx.fetch(_as_stored(table).where(key.in_([row[key.name] for row in page])))


def _pages(
    table: Table, tx: Transaction, *names: str, size: int = PAGE
) -> Iterator[Sequence[RowMapping]]:
    """All rows by key, a page at a time; the columns named, or all."""
    (key,) = table.primary_key
    statement = _as_stored(table, *names).order_by(key).limit(size)
    rows = tx.fetch(statement)
    while rows:
        yield rows
        last = rows[-1][key.name]
        rows = tx.fetch(statement.where(key.is_not(None) if last is None else key > last))


def _cut(items: list[str]) -> Iterator[list[str]]:
    """Pieces that fit into one statement."""
    for start in range(0, len(items), PAGE):
        yield items[start : start + PAGE]


def _undecodable(tx: Transaction) -> str | None:
    """The first text that is not UTF-8, which SQLite stores and no driver reads; or None."""
    facts = [t for t in tables.metadata.sorted_tables if not t.name.startswith("op_")]
    for table in (*stored.metadata.sorted_tables, *facts):
        columns = [column for column in table.columns if isinstance(column.type, String)]
        keys = [func.hex(column).label(f"key_{column.name}") for column in table.primary_key]
        for column in columns:
            for row in tx.fetch(select(func.hex(column).label("cell"), *keys)):
                try:
                    bytes.fromhex(row["cell"] or "").decode()
                except UnicodeDecodeError:
                    key = "/".join(
                        bytes.fromhex(row[k.name] or "").decode("utf-8", "backslashreplace")
                        for k in keys
                    )
                    return f"table {table.name}: row {key}: column {column.name} is not UTF-8"
    return None
