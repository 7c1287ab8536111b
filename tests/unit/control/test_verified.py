"""A ledger that is loaded: the newest full tile of each level is compared with what it covers."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.control.verified import check_newest
from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.errors import CorruptLedgerError
from tallystick.ledger import tables
from tallystick.ledger.entry import Draft, Entry, place
from tallystick.ledger.merkle import TILE_WIDTH, root_of

SIZE = TILE_WIDTH * TILE_WIDTH
"""The first size with a full tile of level 1; only the rows that are looked at are there."""


def entry(seq: int) -> Entry:
    draft = Draft(
        ts=1, type="t", stream="s", actor_token="a", actor_role="r", session=None, data={}
    )
    return place(seq, draft)


def row(item: Entry) -> dict[str, object]:
    return {
        "seq": item.seq,
        "ts": item.ts,
        "type": item.type,
        "stream": item.stream,
        "session": item.session,
        "actor_token": item.actor_token,
        "actor_role": item.actor_role,
        "leaf_hash": item.leaf_hash,
        "bytes": item.raw,
    }


def tile(level: int, idx: int, hashes: list[bytes]) -> dict[str, object]:
    return {"level": level, "idx": idx, "root": root_of(hashes), "hashes": b"".join(hashes)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'tally.db'}")
    database.create(tables.metadata)
    newest = [entry(seq) for seq in range(SIZE - TILE_WIDTH, SIZE)]
    last = tile(0, TILE_WIDTH - 1, [item.leaf_hash for item in newest])
    roots = [hashlib.sha256(bytes([n])).digest() for n in range(TILE_WIDTH - 1)]
    with database.write() as tx:
        tx.insert(tables.entries, [row(item) for item in newest])
        tx.insert(tables.tiles, [last, tile(1, 0, [*roots, root_of_tile(last)])])
    yield database
    database.close()


def root_of_tile(stored: dict[str, object]) -> bytes:
    root = stored["root"]
    assert isinstance(root, bytes)
    return root


def test_what_holds_passes_at_every_level(database: Database) -> None:
    with database.read() as tx:
        check_newest(tx, SIZE)


def test_an_empty_ledger_has_nothing_to_check(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    database.create(tables.metadata)
    with database.read() as tx:
        check_newest(tx, 0)
    database.close()


def test_a_hash_in_the_newest_tile_of_a_higher_level_is_compared(database: Database) -> None:
    with database.write() as tx:
        hashes = [bytes(32)] * TILE_WIDTH
        tx.upsert(tables.tiles, [tile(1, 0, hashes)])
    with database.read() as tx, pytest.raises(CorruptLedgerError, match="tile 0 of level 1"):
        check_newest(tx, SIZE)


def test_an_entry_of_the_newest_full_tile_is_hashed_again(database: Database) -> None:
    with database.write() as tx:
        changed = {**row(entry(SIZE - 200)), "bytes": entry(SIZE - 200).raw.replace(b"1", b"2")}
        tx.upsert(tables.entries, [changed])
    with database.read() as tx, pytest.raises(CorruptLedgerError, match=f"entry {SIZE - 200}"):
        check_newest(tx, SIZE)
