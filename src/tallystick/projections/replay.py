"""Reads the ledger as records, and builds the projections from nothing but them (P6.2)."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from tallystick.db.database import Database, Transaction
from tallystick.domain.codec import decode
from tallystick.domain.events import Record
from tallystick.domain.ids import Role, SessionId, TokenId
from tallystick.ledger.ledger import Entry, Ledger
from tallystick.projections import tables
from tallystick.projections.world import World

PAGE: Final = 2_000
"""Entries in memory at a time."""


def record_of(entry: Entry) -> Record:
    """An entry as the rules know it."""
    return Record(
        seq=entry.seq,
        ts=entry.ts,
        stream=entry.stream,
        session=None if entry.session is None else SessionId(entry.session),
        actor=TokenId(entry.actor_token),
        role=Role(entry.actor_role),
        event=decode(entry.type, entry.data),
    )


def entries_of(tx: Transaction) -> Iterator[Entry]:
    """Every entry, in order, a page at a time."""
    after = -1
    while page := Ledger.read(tx, after=after, limit=PAGE):
        yield from page
        after = page[-1].seq


def replay(source: Transaction, target: Transaction) -> None:
    """Build every projection in `target`, whose tables are empty, from the ledger in `source`."""
    world = World()
    world.tx = target
    waiting = 0
    for entry in entries_of(source):
        world.apply(record_of(entry))
        waiting += 1
        if waiting == PAGE:
            world.flush(target)
            world.settle()
            waiting = 0
    world.flush(target)
    world.settle()


def bring_up_to_date(database: Database) -> bool:
    """Rebuild the projections when another version wrote them; whether that was needed."""
    with database.read() as tx:
        rows = tx.fetch(select(tables.positions.c.version))
    if rows and rows[0]["version"] == tables.VERSION:
        return False
    with database.write() as tx:
        for table in tables.metadata.sorted_tables:
            if not table.name.startswith("op_"):  # another version may have other columns
                tx.execute(DropTable(table))
                tx.execute(CreateTable(table))
                for index in table.indexes:
                    tx.execute(CreateIndex(index))
        replay(tx, tx)
        tx.upsert(tables.positions, [{"name": "projections", "version": tables.VERSION}])
    return bool(rows)
