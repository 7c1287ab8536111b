"""Tables of what is under way and no fact: deliveries, what was acknowledged, what was measured.

Losing them loses no fact (P6.1): notices are delivered or shown once more.
"""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from tallystick.projections.tables import metadata

deliveries = Table(
    "op_deliveries",
    metadata,
    Column("target", String, primary_key=True),
    Column("notice", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("tries", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Index("ix_op_deliveries_due", "target", "due_at"),
)
"""One row for each target, whose `notice` is empty: everything up to `seq` was tried, `tries` is
how many tries failed since one succeeded, and nothing is sent before `due_at`. One row for each
notice that is to be tried again at `due_at`. Targets are named by a digest, for a URL can hold
secrets. Milliseconds."""

acknowledged = Table(
    "op_acknowledged",
    metadata,
    Column("session", String, primary_key=True),
    Column("notice", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
"""One row for each session, whose `notice` is empty: everything up to `seq` is acknowledged. One
row for each later notice that is, too."""

measured = Table(
    "op_measured",
    metadata,
    Column("run", String, primary_key=True),
    Column("metrics", Text, nullable=False),
    Column("ranges", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("names", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
)
"""What lists show of what each run has measured: JSON objects of the last values of its first
metrics and of its summary; the last, the least and the greatest value of more of them, which it can
be found by; how many metrics and points it has. Made from the streams."""

unindexed = Table(
    "op_unindexed",
    metadata,
    Column("run", String, primary_key=True),
)
"""Runs whose index may be behind their streams; losing one costs the first who reads it a wait."""

cursors = Table(
    "op_cursors",
    metadata,
    Column("follower", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
"""The last entry that each follower of the ledger has dealt with; losing it repeats work."""
