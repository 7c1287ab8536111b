"""Notes and checkpoints are read strictly; only the log's own good signature opens them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tallystick.errors import VerificationError
from tallystick.ledger.checkpoint import (
    Checkpoint,
    Note,
    VerifierKey,
    decode64,
    encode64,
    open_checkpoint,
    open_note,
)
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import EMPTY_ROOT
from tests.unit.ledger.kept_ledger import SEED

SIGNER = Signer("tally.example/log", SEED)
STRANGER = Signer("other.example/log", bytes(32))
HEAD = Checkpoint("tally.example/log", 0, EMPTY_ROOT)
NOTE = SIGNER.sign(HEAD.text())


def test_a_signed_checkpoint_opens_to_what_was_signed() -> None:
    assert open_checkpoint(NOTE, SIGNER.key) == HEAD
    assert Checkpoint.parse(HEAD.text()) == HEAD


def test_signatures_by_unknown_keys_are_passed_over() -> None:
    line = STRANGER.sign(HEAD.text()).rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + line, SIGNER.key) == HEAD
    assert open_note(NOTE + line, (SIGNER.key, STRANGER.key))[1] == (SIGNER.key, STRANGER.key)
    with pytest.raises(VerificationError, match="no signature by a known key"):
        open_checkpoint(STRANGER.sign(HEAD.text()), SIGNER.key)


def test_a_bad_signature_by_a_known_key_fails_the_whole_note() -> None:
    forged = SIGNER.sign(HEAD.text().replace("\n0\n", "\n1\n")).rpartition("\n\n")[2]
    with pytest.raises(VerificationError, match="does not hold"):
        open_checkpoint(f"{HEAD.text()}\n{forged}", SIGNER.key)
    both = STRANGER.sign(HEAD.text()) + forged
    with pytest.raises(VerificationError, match="does not hold"):
        open_note(both, (STRANGER.key, SIGNER.key))


def test_a_checkpoint_of_another_origin_is_refused_though_the_key_signed_it() -> None:
    foreign = SIGNER.sign(Checkpoint("elsewhere", 0, EMPTY_ROOT).text())
    with pytest.raises(VerificationError, match=r"expected tally\.example/log; found elsewhere"):
        open_checkpoint(foreign, SIGNER.key)


def test_a_text_with_blank_lines_is_split_at_the_last_one() -> None:
    note = SIGNER.sign("one\n\ntwo\n\n\nthree\n")
    assert Note.parse(note).text == "one\n\ntwo\n\n\nthree\n"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        HEAD.text(),
        NOTE.removesuffix("\n"),
        NOTE + "\n",
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("— tally", "—  tally"),
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("example", "exam\x00ple"),
        NOTE.replace("example", "exam\ud800ple"),
        NOTE + "— a AAAA\n",
        NOTE + "— a+b AAAAAAA=\n",
        NOTE + "— a not-base64\n",
        NOTE + "— a AAAAAAAA AAAA\n",
        NOTE + "— a AAAAAAB=\n",
        NOTE + "— a AAAAAAAA\n" * 100,
    ],
)
def test_what_is_not_exactly_a_signed_note_is_refused(note: str) -> None:
    with pytest.raises(VerificationError):
        open_checkpoint(note, SIGNER.key)


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n",
        "a\n01\n" + encode64(bytes(32)) + "\n",
        "a\n-1\n" + encode64(bytes(32)) + "\n",
        "a\n1 \n" + encode64(bytes(32)) + "\n",
        "a\n\N{ARABIC-INDIC DIGIT ONE}\n" + encode64(bytes(32)) + "\n",
        "a\n1\n" + encode64(bytes(31)) + "\n",
        "a\n1\n" + encode64(bytes(32)) + "\nextension\n",
        "a b\n1\n" + encode64(bytes(32)) + "\n",
        "\n1\n" + encode64(bytes(32)) + "\n",
        "a\n1\n" + encode64(bytes(32)).replace("A=", "B=") + "\n",
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    with pytest.raises(VerificationError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "tally.example/log",
        SIGNER.vkey.replace("b7df30a3", "b7df30a4"),
        SIGNER.vkey.replace("b7df30a3", "B7DF30A3"),
        SIGNER.vkey.replace("example", "exampel"),
        SIGNER.vkey[:-4],
        SIGNER.vkey + "\n",
        SIGNER.vkey.replace("AQO", "AgO"),
        " " + SIGNER.vkey,
    ],
)
def test_a_verifier_key_whose_id_or_form_is_wrong_is_refused(vkey: str) -> None:
    with pytest.raises(VerificationError):
        VerifierKey.parse(vkey)


def test_a_verifier_key_reads_back_as_it_is_written() -> None:
    assert VerifierKey.parse(SIGNER.vkey) == SIGNER.key
    assert str(SIGNER.key) == SIGNER.vkey


def test_base64_has_one_spelling() -> None:
    assert decode64("AAA=", "x") == b"\x00\x00"
    for other in ("AAB=", "AAA", "AA A=", "AAA=\n", "", "AA-_"):
        with pytest.raises(VerificationError, match="x is not canonical base64"):
            decode64(other, "x")


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "this test needs the openssl program (3.0 or newer)"
    parsed = Note.parse(NOTE)
    header = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519
    (tmp_path / "key.der").write_bytes(header + SIGNER.key.public)
    (tmp_path / "signature").write_bytes(parsed.signatures[0].value)
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der"]
    command += ["-rawin", "-in", "text", "-sigfile", "signature"]
    for text, accepted in ((parsed.text, True), (parsed.text.replace("0", "1"), False)):
        (tmp_path / "text").write_text(text, encoding="utf-8")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is accepted, done.stderr
