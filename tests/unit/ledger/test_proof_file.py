"""A .tlog-proof reads as the format says, and nothing that is not one is taken for one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.errors import VerificationError
from tallystick.ledger.checkpoint import VerifierKey, open_checkpoint
from tallystick.ledger.merkle import leaf_hash, verify_inclusion
from tallystick.ledger.proof_file import ProofFile

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "ledger.json").read_text())
TEXT: str = VECTOR["tlog_proof"]
EXTRA = TEXT.replace("index 3", "extra aGVsbG8=\nindex 3")


def test_the_worked_proof_is_read_and_written_byte_for_byte() -> None:
    file = ProofFile.parse(TEXT)
    assert file.text() == TEXT
    head = open_checkpoint(file.checkpoint, VerifierKey.parse(VECTOR["vkey"]))
    leaf = leaf_hash(VECTOR["entries"][3].encode())
    verify_inclusion(leaf, file.hashes, index=file.index, size=head.size, root=head.root)


def test_extra_stands_on_the_second_line() -> None:
    file = ProofFile.parse(EXTRA)
    assert file.extra == b"hello"
    assert file.text() == EXTRA
    assert ProofFile.parse(TEXT).extra is None


def test_the_only_entry_of_a_ledger_needs_no_hashes() -> None:
    file = ProofFile(index=0, hashes=(), checkpoint=VECTOR["checkpoints"][1])
    assert file.text().startswith("c2sp.org/tlog-proof@v1\nindex 0\n\ntally.local/")
    assert ProofFile.parse(file.text()) == file


def without_line(number: int) -> Callable[[str], str]:
    return lambda text: "".join(
        line for at, line in enumerate(text.splitlines(keepends=True)) if at != number
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _text: "",
        lambda text: " " + text,
        lambda text: text.replace("@v1", "@v2", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n\n", "\n"),
        without_line(0),
        without_line(1),
        lambda text: text.replace("index 3", "index 03"),
        lambda text: text.replace("index 3", "index -3"),
        lambda text: text.replace("index 3", "index \N{ARABIC-INDIC DIGIT THREE}"),
        lambda text: text.replace("index 3", "index 3 "),
        lambda text: text.replace("index 3", "index 3\nextra aGVsbG8="),
        lambda text: text.replace("index 3", "extra \nindex 3"),
        lambda text: text.replace("index 3", "extra aGVsbG8\nindex 3"),
        lambda text: text.replace("index 3", "extra aGVsbG9=\nindex 3"),
        lambda text: text.replace("index 3\n", "index 3\naGVsbG8=\n"),
        lambda text: text.replace("index 3\n", "index 3\n" + ("A" * 43 + "=\n") * 64),
    ],
)
def test_what_is_no_proof_is_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(VerificationError) as caught:
        ProofFile.parse(spoil(TEXT))
    assert caught.value.code == "proof_malformed"
