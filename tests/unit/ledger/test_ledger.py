"""Appending, reading and proving, compared with a naive tree over the same entries."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from tallystick.db.database import Transaction
from tallystick.db.sqlite_bulk import SqliteTransaction
from tallystick.errors import ConflictError, InvalidError, NotFoundError
from tallystick.ledger import tiles as tiles_module
from tallystick.ledger.canonical import commit
from tallystick.ledger.checkpoint import open_checkpoint, open_note
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Draft, Entry, Ledger, Payload
from tallystick.ledger.merkle import verify_consistency, verify_inclusion
from tallystick.ledger.tables import checkpoints, payloads
from tests.unit.ledger.kept_ledger import SEED, START, Kept, draft, open_kept
from tests.vectors import naive_tree

HOUR = 3_600_000


def all_entries(tx: Transaction) -> list[Entry]:
    found: list[Entry] = []
    while page := Ledger.read(tx, after=len(found) - 1, limit=5000):
        found += page
    return found


def assert_is_the_naive_tree(kept: Kept) -> None:
    """Entries, bundles, tiles, partial tiles and checkpoint are what the definitions say."""
    size = kept.ledger.size
    with kept.db.read() as tx:
        stored = all_entries(tx)
        assert [entry.seq for entry in stored] == list(range(size))
        leaves = [naive_tree.leaf(entry.raw) for entry in stored]
        assert [entry.leaf_hash for entry in stored] == leaves
        for (level, index), tile in naive_tree.tiles(leaves).items():
            assert Ledger.tile(tx, level, index, width=len(tile) // 32) == tile, (level, index)
        for index in range(0, size, 256):
            some = stored[index : index + 256]
            bundle = b"".join(len(entry.raw).to_bytes(2, "big") + entry.raw for entry in some)
            assert Ledger.entry_bundle(tx, index // 256, width=len(some)) == bundle
        note = Ledger.checkpoint(tx)
    assert kept.ledger.edge.root() == naive_tree.root(leaves)
    head = open_checkpoint(note or kept.ledger.note, Signer("tally.example/log", SEED).key)
    assert (head.size, head.root) == (size, naive_tree.root(leaves))
    assert kept.reopened().edge == kept.ledger.edge


@pytest.mark.parametrize("size", [0, 1, 5, 255, 256, 257, 600])
def test_what_was_appended_in_uneven_groups_is_the_naive_tree(kept: Kept, size: int) -> None:
    kept.grow(size)
    assert_is_the_naive_tree(kept)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = open_kept(tmp_path_factory.mktemp("large") / "tally.db")
    kept.grow(600)
    kept.grow(70_000, group=9973)
    yield kept
    kept.db.close()


def test_seventy_thousand_entries_are_the_naive_tree_and_prove_it(large: Kept) -> None:
    assert_is_the_naive_tree(large)
    with large.db.read() as tx:
        leaves = [leaf for at in range(0, 70_000, 256) for leaf in leaf_tile(tx, at)]
        root = large.ledger.edge.root()
        for seq in (0, 255, 256, 65_535, 65_536, 69_999):
            proof = Ledger.inclusion(tx, seq, 70_000)
            verify_inclusion(leaves[seq], proof, index=seq, size=70_000, root=root)
        for old in (1, 600, 65_535, 65_536, 65_537, 69_999, 70_000):
            proof = Ledger.consistency(tx, old, 70_000)
            before = naive_tree.root(leaves[:old])
            verify_consistency(proof, old_size=old, new_size=70_000, old_root=before, new_root=root)


def leaf_tile(tx: Transaction, first: int) -> list[bytes]:
    tile = Ledger.tile(tx, 0, first // 256, width=min(256, 70_000 - first))
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


@pytest.mark.parametrize("size", [1, 255, 256, 257, 513, 600])
def test_proofs_at_every_size_are_those_of_the_definition(kept: Kept, size: int) -> None:
    kept.grow(600)
    with kept.db.read() as tx:
        leaves = [entry.leaf_hash for entry in all_entries(tx)][:size]
        for seq in {0, size // 2, size - 1}:
            assert Ledger.inclusion(tx, seq, size) == naive_tree.inclusion(seq, leaves)
        for old in {1, size // 2 or 1, size}:
            assert Ledger.consistency(tx, old, size) == naive_tree.consistency(old, leaves)
        assert Ledger.consistency(tx, 0, size) == []


def test_a_proof_reads_at_most_two_tiles_a_level(
    large: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    original = tiles_module.read_tile

    def counted(tx: Transaction, level: int, index: int, *, width: int = 256) -> list[bytes]:
        reads.append(level)
        return original(tx, level, index, width=width)

    monkeypatch.setattr(tiles_module, "read_tile", counted)
    with large.db.read() as tx:
        for size in (70_000, 65_999, 65_536, 600):
            for place in (1, 300, size // 3, size - 1):
                for prove in (Ledger.inclusion, Ledger.consistency):
                    reads.clear()
                    prove(tx, place, size)
                    assert max(map(reads.count, reads)) <= 2, (prove, place, size)


def test_a_group_writes_what_is_new_and_never_the_history(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    insert = SqliteTransaction.insert

    def counted(self: SqliteTransaction, table: Any, rows: Any) -> None:
        written.append(sum(len(v) for row in rows for v in row.values() if isinstance(v, bytes)))
        insert(self, table, rows)

    monkeypatch.setattr(SqliteTransaction, "insert", counted)
    costs = []
    for until in (10, 100, 250, 300, 500, 900):
        kept.grow(until)
        written.clear()
        kept.append(*(draft(until + n) for n in range(4)))
        costs.append(sum(written))
    assert max(costs) - min(costs) < 50, "four entries cost the same however many came before"
    kept.grow(1022)
    written.clear()
    kept.append(*(draft(n) for n in range(4)))
    assert 8192 < sum(written) - max(costs) < 8300, "and the one tile that they fill"


def test_receipts_are_given_for_each_entry(kept: Kept) -> None:
    kept.grow(5)
    appended = kept.append(draft(5), draft(6, stream="swp_00000000000a"))
    assert [entry.seq for entry in appended.entries] == [5, 6]
    head = open_checkpoint(appended.checkpoint, Signer("tally.example/log", SEED).key)
    assert (head.size, head.root) == (7, appended.edge.root())
    with kept.db.read() as tx:
        assert tuple(Ledger.read(tx, after=4)) == appended.entries
        assert Ledger.checkpoint(tx) == appended.checkpoint == kept.ledger.note


def test_reading_pages_by_position_stream_and_session(kept: Kept) -> None:
    streams, sessions = ("run_a", "run_b"), ("chat-1", "chat-2", None)
    kept.append(*(draft(n, stream=streams[n % 2], session=sessions[n % 3]) for n in range(12)))
    with kept.db.read() as tx:

        def seqs(**wanted: Any) -> list[int]:
            return [entry.seq for entry in Ledger.read(tx, **wanted)]

        assert seqs() == list(range(12))
        assert seqs(after=3, limit=2) == [4, 5]
        assert seqs(stream="run_b") == [1, 3, 5, 7, 9, 11]
        assert seqs(session="chat-2", after=1, limit=2) == [4, 7]
        assert seqs(stream="run_a", session="chat-1") == [0, 6]
        assert seqs(after=11) == []
        assert seqs(stream="run_c") == []


def test_an_append_that_was_rolled_back_leaves_the_ledger_usable(kept: Kept) -> None:
    kept.grow(254)

    def fail() -> None:
        with kept.db.write() as tx:
            kept.ledger.append(tx, [draft(n) for n in range(300)])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert kept.ledger.size == 254
    kept.grow(600)
    assert_is_the_naive_tree(kept)


def test_a_refused_draft_writes_nothing(kept: Kept) -> None:
    kept.grow(3)
    with kept.db.write() as tx:
        with pytest.raises(InvalidError):
            kept.ledger.append(tx, [draft(3), replace(draft(4), data={"ä": 1})])
        kept.ledger.adopt(kept.ledger.append(tx, [draft(3)]))
    assert_is_the_naive_tree(kept)


def test_no_drafts_write_nothing_and_answer_with_the_present_head(kept: Kept) -> None:
    nothing = kept.append()
    assert nothing.entries == ()
    assert nothing.checkpoint == kept.ledger.note
    assert open_checkpoint(nothing.checkpoint, Signer("tally.example/log", SEED).key).size == 0
    kept.grow(3)
    assert kept.append().edge == kept.ledger.edge
    assert_is_the_naive_tree(kept)


def test_a_ledger_that_another_writer_moved_is_noticed_and_can_be_loaded_again(kept: Kept) -> None:
    kept.grow(3)
    other = kept.reopened()
    kept.grow(5)
    with kept.db.write() as tx:
        with pytest.raises(ConflictError, match="expected 3 entries, as loaded; found 5") as caught:
            other.append(tx, [draft(3)])
        other.load(tx)
        appended = other.append(tx, [draft(5)])
    other.adopt(appended)
    assert caught.value.code == "ledger_moved"
    assert kept.reopened().edge == other.edge


def test_an_append_is_adopted_once_and_in_order(kept: Kept) -> None:
    appended = kept.append(draft(0))
    with pytest.raises(ConflictError, match="adopt"):
        kept.ledger.adopt(appended)
    with kept.db.write() as tx:
        kept.ledger.append(tx, [draft(1)])
        with pytest.raises(ConflictError, match="found 2"):
            kept.ledger.append(tx, [draft(2)])


def test_the_newest_checkpoint_is_kept_and_one_an_hour(kept: Kept) -> None:
    for hour, minutes in ((0, 3), (1, 2), (2, 1), (5, 4)):
        for minute in range(minutes):
            ts = START // HOUR * HOUR + hour * HOUR + minute * 60_000
            kept.append(replace(draft(0), ts=ts))
            kept.ledger = kept.reopened()  # the rule holds across restarts too
    with kept.db.read() as tx:
        rows = tx.fetch(select(checkpoints.c.size).order_by(checkpoints.c.size))
    assert [row["size"] for row in rows] == [3, 5, 6, 10]


def committing(items: Sequence[Payload]) -> Draft:
    """A draft with the commitments of payloads."""
    return replace(draft(0), data={f"t{n}": {"c": item.c, "n": 6} for n, item in enumerate(items)})


def test_a_text_that_no_entry_commits_to_is_not_kept(kept: Kept) -> None:
    made = [
        Payload(c=commit(b"s" * 16, text).c, salt=b"s" * 16, bytes=text) for text in (b"a", b"b")
    ]
    with kept.db.write() as tx:
        kept.ledger.append(tx, [committing(made[:1])], made)
    with kept.db.read() as tx:
        assert Ledger.texts(tx, [item.c for item in made]) == {made[0].c: b"a"}


def test_payloads_are_found_by_commitment_until_they_are_erased(kept: Kept) -> None:
    texts = {commit(bytes([n]) * 16, b"text %d" % n).c: (bytes([n]) * 16, n) for n in range(3)}
    made = [Payload(c=c, salt=salt, bytes=b"text %d" % n) for c, (salt, n) in texts.items()]
    for group in (made, made[:1]):  # a text may be committed to again
        with kept.db.write() as tx:
            appended = kept.ledger.append(tx, [committing(group)], group)
        kept.ledger.adopt(appended)
    first, second, third = texts
    with kept.db.write() as tx:
        tx.execute(payloads.delete().where(payloads.c.c == second))
    with kept.db.read() as tx:
        found = Ledger.texts(tx, [third, second, first, first, "00" * 32])
        assert found == {first: b"text 0", third: b"text 2"}
        many = [f"{n:064x}" for n in range(1200)]
        assert Ledger.texts(tx, [*many, first]) == {first: b"text 0"}
        assert Ledger.texts(tx, []) == {}
    assert_is_the_naive_tree(kept)


def test_a_payload_that_its_commitment_does_not_fit_is_refused(kept: Kept) -> None:
    wrong = Payload(c=commit(b"salt", b"text").c, salt=b"salt", bytes=b"another text")
    with kept.db.write() as tx, pytest.raises(InvalidError) as caught:
        kept.ledger.append(tx, [draft(0)], [wrong])
    assert caught.value.code == "payload_mismatch"
    right = Payload(c=commit(b"salt", b"text").c, salt=b"salt", bytes=b"text")
    with kept.db.write() as tx, pytest.raises(InvalidError, match="together with the entries"):
        kept.ledger.append(tx, [], [right])
    assert kept.ledger.size == 0


def test_proofs_and_tiles_beyond_the_end_are_refused(kept: Kept) -> None:
    kept.grow(300)
    with kept.db.read() as tx:
        with pytest.raises(InvalidError, match="at most 300, the entries here; found 301"):
            Ledger.inclusion(tx, 0, 301)
        with pytest.raises(InvalidError, match="at most 300"):
            Ledger.consistency(tx, 1, 301)
        with pytest.raises(InvalidError):
            Ledger.inclusion(tx, 300, 300)
        for level, index, width in (
            (0, 1, 45), (0, 1, 256), (0, 0, 257), (0, 0, 0), (0, -1, 1), (1, 0, 2), (2, 0, 1),
            (-1, 0, 1), (8, 0, 1),
        ):  # fmt: skip
            with pytest.raises(NotFoundError):
                Ledger.tile(tx, level, index, width=width)
        for index, width in ((1, 45), (2, 1), (-1, 1), (0, 0)):
            with pytest.raises(NotFoundError):
                Ledger.entry_bundle(tx, index, width=width)
        assert Ledger.tile(tx, 0, 0, width=7) == Ledger.tile(tx, 0, 0)[: 7 * 32]


def test_an_empty_database_has_no_checkpoint_and_loads(kept: Kept) -> None:
    assert kept.reopened().size == 0
    with kept.db.read() as tx:
        assert Ledger.checkpoint(tx) is None
        assert Ledger.read(tx) == []


def test_the_name_and_key_of_the_log_are_the_signers(kept: Kept) -> None:
    assert kept.ledger.origin == "tally.example/log"
    assert kept.ledger.vkey.startswith("tally.example/log+b7df30a3+")


def test_rows_in_entries_and_tiles_cannot_be_changed(kept: Kept, tmp_path: Path) -> None:
    kept.grow(300)
    for statement in ("UPDATE entries SET ts = 1", "DELETE FROM tiles", "DELETE FROM entries"):
        with pytest.raises(Exception, match="append-only"), kept.db.write() as tx:
            tx.execute(text(statement))
    with kept.db.read() as tx:
        assert tx.fetch(select(func.count().label("n")).select_from(checkpoints))[0]["n"] == 1


def test_the_ledgers_key_vouches_for_a_text_that_is_no_tree_head(kept: Kept) -> None:
    note = kept.ledger.vouch("tallystick.exception/v1\nexc_0\n")
    signer = Signer("tally.example/log", SEED)
    assert open_note(note, [signer.key]) == ("tallystick.exception/v1\nexc_0\n", (signer.key,))
    assert kept.ledger.vouch("tallystick.exception/v1\nexc_0\n") == note, "it has no choice"


@pytest.mark.parametrize("words", ["tally.example/log\n1\nAAAA\n", "no end of line", ""])
def test_nobody_gets_a_tree_head_signed(kept: Kept, words: str) -> None:
    with pytest.raises(InvalidError, match="no tree head"):
        kept.ledger.vouch(words)
