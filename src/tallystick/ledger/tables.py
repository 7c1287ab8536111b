"""The tables of the ledger: what is hashed, what is committed to, and what proofs read.

`entries` and `tiles` are append-only (the database refuses to change them); `payloads` may be
erased (P6.6); of `checkpoints`, the newest and one an hour are kept. Nothing here runs a query.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table

# On SQLite only a column declared INTEGER is the row's own key; 64 bits either way.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("ts", _Number, nullable=False),
    Column("type", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("session", String, nullable=True),
    Column("actor_token", String, nullable=False),
    Column("actor_role", String, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Index("entries_by_stream", "stream", "seq"),
    Index("entries_by_session", "session", "seq"),
)
"""One row for each entry; `bytes` is what is hashed, the other columns only find it."""

payloads = Table(
    "payloads",
    metadata,
    Column("c", String, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)
"""Free text beside the ledger, found by its salted commitment."""

tiles = Table(
    "tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", _Number, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""Full tiles of 256 hashes (C2SP tlog-tiles), written once; `root` is the tree hash over them."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("note", String, nullable=False),
    Column("ts", _Number, nullable=False),
)
"""Signed tree heads, by the number of entries they cover."""

APPEND_ONLY = (entries, tiles)
"""Tables in which the database itself refuses every change and removal (P6.1)."""
