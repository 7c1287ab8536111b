"""The key file is private, durable, in Go's form, and never replaced."""

import stat
from pathlib import Path

import pytest

from tallystick.errors import ConflictError, InvalidError, NotFoundError
from tallystick.ledger.checkpoint import open_note
from tallystick.ledger.keys import Signer
from tests.unit.ledger.kept_ledger import SEED

ORIGIN = "tally.local/0123456789abcdef"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_created_key_is_private_and_loads_as_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    created = Signer.create(path, ORIGIN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = Signer.load(path)
    assert (loaded.origin, loaded.vkey) == (ORIGIN, created.vkey)
    assert loaded.sign("text\n") == created.sign("text\n")
    assert open_note(loaded.sign("text\n"), (created.key,))[0] == "text\n"


def test_two_keys_differ(tmp_path: Path) -> None:
    assert Signer.create(tmp_path / "a", ORIGIN).vkey != Signer.create(tmp_path / "b", ORIGIN).vkey


def test_the_file_is_what_other_tools_read(tmp_path: Path) -> None:
    text = "PRIVATE+KEY+tally.example/log+b7df30a3+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    assert Signer.load(write(tmp_path / "key", text)).vkey == Signer("tally.example/log", SEED).vkey
    assert Signer.load(write(tmp_path / "key", text.strip())).origin == "tally.example/log"


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    before = Signer.create(tmp_path / "key", ORIGIN)
    with pytest.raises(ConflictError, match="a ledger keeps its key"):
        Signer.create(tmp_path / "key", ORIGIN)
    assert Signer.load(tmp_path / "key").vkey == before.vkey


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="restore it from a backup"):
        Signer.load(tmp_path / "key")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Signer.create(tmp_path / "key", ORIGIN)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(InvalidError, match="expected mode 0600; found 0640") as caught:
        Signer.load(tmp_path / "key")
    assert caught.value.hint is not None
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "PRIVATE+KEY+tally.example/log+b7df30a4+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
        "PRIVATE+KEY+tally.example/log+b7df30a3+AgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
        "PRIVATE+KEY+tally.example/log+b7df30a3+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=\n",
        "PRIVATE+KEY+tally.example/log+b7df30a3+????\n",
        "PRIVATE+KEY++b7df30a3+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
    ],
)
def test_a_malformed_key_file_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Signer.load(write(tmp_path / "key", text))
    assert "AQAB" not in str(caught.value)


def test_a_key_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(InvalidError, match="found something else"):
        Signer.load(tmp_path / "key")


@pytest.mark.parametrize(("origin", "seed"), [("a b", SEED), ("a+b", SEED), ("", SEED), ("a", b"")])
def test_an_origin_or_seed_that_cannot_be_is_refused(origin: str, seed: bytes) -> None:
    with pytest.raises(InvalidError):
        Signer(origin, seed)


def test_the_seed_never_shows() -> None:
    assert repr(Signer(ORIGIN, SEED)) == f"Signer({Signer(ORIGIN, SEED).vkey})"
