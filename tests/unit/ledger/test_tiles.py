"""A database that was tampered with is refused at load, by what was expected and found."""

import sqlite3
from pathlib import Path

import pytest

from tallystick.errors import CorruptLedgerError
from tallystick.ledger.checkpoint import Checkpoint
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Ledger
from tests.unit.ledger.kept_ledger import SEED, Kept, draft, open_kept


@pytest.fixture
def grown(tmp_path: Path) -> Kept:
    """Six hundred entries: two full tiles, and an unfinished one of 88 hashes."""
    kept = open_kept(tmp_path / "tally.db")
    kept.grow(600)
    return kept


def tamper(grown: Kept, tmp_path: Path, *statements: str) -> None:
    """Do what the triggers refuse, as someone with the file can."""
    connection = sqlite3.connect(tmp_path / "tally.db")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    for (name,) in triggers.fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    for statement in statements:
        assert connection.execute(statement).rowcount > 0, statement
    connection.commit()
    connection.close()


def refusal(grown: Kept) -> CorruptLedgerError:
    with pytest.raises(CorruptLedgerError) as caught:
        grown.reopened()
    assert caught.value.facts["expected"] != caught.value.facts["found"]
    assert f"expected {caught.value.facts['expected']}" in caught.value.detail
    assert "backup" in str(caught.value.hint)
    return caught.value


ZERO = f"x'{'00' * 32}'"


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (f"UPDATE entries SET leaf_hash = {ZERO} WHERE seq = 598", "entry 598: expected bytes"),
        ("UPDATE entries SET bytes = x'7b7d' WHERE seq = 598", "entry 598: expected bytes"),
        ("DELETE FROM entries WHERE seq = 598", "tile 2 of level 0: expected 88 hashes; found 87"),
        ("DELETE FROM entries WHERE seq = 599", "expected 600 entries.*; found 599"),
        (f"UPDATE tiles SET root = {ZERO} WHERE idx = 1", "the tree of 600 entries: expected root"),
        ("DELETE FROM tiles WHERE idx = 1", "tile 0 of level 1: expected 2 hashes; found 1"),
        ("UPDATE tiles SET idx = 7 WHERE idx = 0", "tile 0 of level 1: expected 2 hashes; found 1"),
        ("DELETE FROM checkpoints", "the ledger: expected a checkpoint of its 600 .*; found none"),
        ("UPDATE checkpoints SET size = 599", "the ledger: expected 600 entries"),
        ("UPDATE checkpoints SET note = replace(note, '600', '599')", "the newest checkpoint"),
        ("UPDATE checkpoints SET note = 'x'", "the newest checkpoint: expected a note signed by"),
    ],
)
def test_a_tampered_database_is_refused_by_name(
    grown: Kept, tmp_path: Path, statement: str, named: str
) -> None:
    tamper(grown, tmp_path, statement)
    with pytest.raises(CorruptLedgerError, match=named):
        grown.reopened()
    refusal(grown)


def test_an_entry_rewritten_together_with_its_leaf_hash_is_refused(
    grown: Kept, tmp_path: Path
) -> None:
    tamper(
        grown,
        tmp_path,
        "UPDATE entries SET bytes = (SELECT bytes FROM entries WHERE seq = 597), leaf_hash ="
        " (SELECT leaf_hash FROM entries WHERE seq = 597) WHERE seq = 598",
    )
    assert "the tree of 600 entries: expected root" in refusal(grown).detail


def test_a_checkpoint_by_another_key_is_refused(grown: Kept) -> None:
    ledger = Ledger(Signer("tally.example/log", bytes(32)))
    with (
        grown.db.read() as tx,
        pytest.raises(CorruptLedgerError, match="no signature by a known key") as caught,
    ):
        ledger.load(tx)
    assert "the key file was replaced" in str(caught.value.hint)
    assert ledger.size == 0


def test_an_older_signed_checkpoint_put_in_place_is_refused(grown: Kept, tmp_path: Path) -> None:
    old = Signer("tally.example/log", SEED).sign(
        Checkpoint("tally.example/log", 599, bytes(32)).text()
    )
    tamper(grown, tmp_path, f"UPDATE checkpoints SET size = 599, note = '{old}'")
    assert "expected 599 entries" in refusal(grown).detail


def test_a_refused_load_keeps_the_head_that_was_there(grown: Kept, tmp_path: Path) -> None:
    tamper(grown, tmp_path, "DELETE FROM checkpoints")
    before = grown.ledger.edge
    with grown.db.read() as tx, pytest.raises(CorruptLedgerError):
        grown.ledger.load(tx)
    assert grown.ledger.edge == before


def test_a_tile_is_not_written_over_hashes_that_changed_since_they_were_loaded(
    grown: Kept, tmp_path: Path
) -> None:
    tamper(grown, tmp_path, f"UPDATE entries SET leaf_hash = {ZERO} WHERE seq = 520")
    with (
        grown.db.write() as tx,
        pytest.raises(CorruptLedgerError, match="tile 2 of level 0: expected hashes with root"),
    ):
        grown.ledger.append(tx, [draft(n) for n in range(600, 800)])


def test_gaps_are_named_when_bundles_tiles_and_proofs_are_read(grown: Kept, tmp_path: Path) -> None:
    tamper(
        grown,
        tmp_path,
        "DELETE FROM entries WHERE seq IN (3, 598)",
        "UPDATE tiles SET hashes = x'00' WHERE idx = 0",
    )
    with grown.db.read() as tx:
        with pytest.raises(CorruptLedgerError, match=r"entry 3: .*found entry 4 in its place"):
            Ledger.entry_bundle(tx, 0)
        with pytest.raises(CorruptLedgerError, match="entry 598: "):
            Ledger.entry_bundle(tx, 2, width=88)
        with pytest.raises(CorruptLedgerError, match="tile 0 of level 0: expected 256 hashes"):
            Ledger.tile(tx, 0, 0)
        with pytest.raises(CorruptLedgerError, match="tile 2 of level 0: expected 88 hashes"):
            Ledger.inclusion(tx, 599, 600)
