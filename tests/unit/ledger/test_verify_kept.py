"""What somebody kept, a checkpoint or a receipt, is compared with an export by verify.py alone."""

import json
import shutil
from pathlib import Path

import pytest

from tallystick.ledger import verify
from tallystick.ledger.checkpoint import Checkpoint
from tallystick.ledger.export import write_export
from tallystick.ledger.keys import Signer
from tallystick.ledger.verify import Kept as KeptNote
from tallystick.ledger.verify import VerificationError, read_receipt, verify_export
from tests.unit.ledger.kept_ledger import SEED, Kept

SIZES = [1, 2, 255, 256, 257, 300, 512, 600]


@pytest.fixture
def notes(kept: Kept) -> dict[int, str]:
    """A ledger grown to 600, and the checkpoint that it signed at each size."""
    found = {}
    for size in SIZES:
        kept.grow(size)
        found[size] = kept.ledger.note
    return found


@pytest.fixture
def out(kept: Kept, notes: dict[int, str], tmp_path: Path) -> Path:
    assert notes
    with kept.db.read() as tx:
        write_export(tx, tmp_path / "out", kept.ledger.vkey)
    return tmp_path / "out"


def receipt(kept: Kept, note: str, seq: int) -> str:
    with kept.db.read() as tx:
        leaf = kept.ledger.read(tx, after=seq - 1, limit=1)[0].leaf_hash.hex()
    return json.dumps({"seq": seq, "leaf_hash": leaf, "checkpoint": note})


def failure(out: Path, *kept: KeptNote) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_export(out, None, kept)
    return caught.value


def test_a_ledger_that_grew_from_every_checkpoint_and_receipt_is_accepted(
    kept: Kept, notes: dict[int, str], out: Path
) -> None:
    items = [KeptNote(f"note {size}", note) for size, note in notes.items()]
    for size, note in notes.items():
        for seq in {0, size // 2, size - 1}:
            items.append(read_receipt(receipt(kept, note, seq), f"receipt {seq}"))
            whole = json.dumps({"id": "run_1", "receipt": json.loads(receipt(kept, note, seq))})
            items.append(read_receipt(whole, "answer"))
    assert verify_export(out, kept.ledger.vkey, items).size == 600


def test_an_old_copy_that_was_put_back_is_told_by_a_later_checkpoint(
    kept: Kept, tmp_path: Path
) -> None:
    kept.grow(300)
    with kept.db.read() as tx:
        write_export(tx, tmp_path / "old", kept.ledger.vkey)
    kept.grow(400)
    assert verify_export(tmp_path / "old").size == 300, "alone it cannot tell"
    error = failure(tmp_path / "old", KeptNote("mine", kept.ledger.note))
    assert "mine: expected at least the 400 entries" in str(error)
    assert (error.entry, error.report and error.report.first_bad) == (300, 300)


@pytest.mark.parametrize("size", SIZES)
def test_another_history_that_the_key_signed_is_told(out: Path, size: int) -> None:
    signer = Signer("tally.example/log", SEED)
    forked = signer.sign(Checkpoint(signer.origin, size, bytes(32)).text())
    error = failure(out, KeptNote("mine", forked))
    assert f"over the first {size} entries; found" in str(error)
    assert error.entry is None


def test_a_receipt_for_another_entry_names_it(kept: Kept, notes: dict[int, str], out: Path) -> None:
    document = json.loads(receipt(kept, notes[300], 7))
    document["leaf_hash"] = "00" * 32
    error = failure(out, read_receipt(json.dumps(document), "mine"))
    assert str(error).startswith("mine: expected entry 7 with leaf hash 00000")
    assert error.entry == 7


def test_a_receipt_whose_checkpoint_does_not_cover_it_is_refused(
    kept: Kept, notes: dict[int, str], out: Path
) -> None:
    item = read_receipt(receipt(kept, notes[255], 255), "mine")
    assert "does not cover entry 255" in str(failure(out, item))


def test_what_another_key_signed_is_refused(out: Path) -> None:
    thief = Signer("tally.example/log", bytes(32))
    note = thief.sign(Checkpoint(thief.origin, 1, bytes(32)).text())
    assert "mine: checkpoint: no signature by" in str(failure(out, KeptNote("mine", note)))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "7", "{}", '{"receipt": 1}', '{"seq": 1}', "[" * 5_000,
     '{"seq": "1", "leaf_hash": "", "checkpoint": ""}',
     '{"seq": -1, "leaf_hash": "", "checkpoint": ""}',
     '{"seq": true, "leaf_hash": "", "checkpoint": ""}'],
)  # fmt: skip
def test_a_file_that_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match="mine: expected JSON with seq"):
        read_receipt(text, "mine")


def test_the_command_line_takes_what_was_kept_and_says_what_it_cannot_know(
    kept: Kept, notes: dict[int, str], out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (1, 300):
        (tmp_path / f"note{size}").write_text(notes[size], encoding="utf-8")
    (tmp_path / "receipt.json").write_text(receipt(kept, notes[300], 5), encoding="utf-8")
    given = [str(out), "--checkpoint", str(tmp_path / "note1")]
    given += ["--checkpoint", str(tmp_path / "note300")]
    given += ["--receipt", str(tmp_path / "receipt.json")]
    assert verify.main(given) == 0
    told = capsys.readouterr().out
    assert told.count("grew from: ") == 3
    assert "not shown: whether there are more than these 600 entries. An old copy verifies" in told
    shutil.copy(out / "README.txt", tmp_path / "note1")
    assert verify.main(given) == 4
    assert "note1: checkpoint: " in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        verify.main([*given, "--checkpoint", str(tmp_path / "nowhere")])
    assert caught.value.code == 2
