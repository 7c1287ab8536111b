"""The stranger's verifier: every change of an export is detected, and the first bad entry named."""

import ast
import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.ledger import verify
from tallystick.ledger.checkpoint import Checkpoint
from tallystick.ledger.export import write_export
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import EMPTY_ROOT, leaf_hash, root_of
from tallystick.ledger.verify import L, P, Tree, VerificationError, ed25519_verify, verify_export
from tests.unit.ledger.kept_ledger import SEED, Kept

SIGNER = Signer("tally.example/log", SEED)
BUNDLE = "tile/entries/000.p/6"
TILE = "tile/0/000.p/6"


@pytest.fixture
def small(kept: Kept, tmp_path: Path) -> Path:
    return exported(kept, tmp_path, 6)


def exported(kept: Kept, tmp_path: Path, size: int) -> Path:
    kept.grow(size)
    with kept.db.read() as tx:
        write_export(tx, tmp_path / "out", kept.ledger.vkey)
    return tmp_path / "out"


def split(bundle: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        found.append(bundle[at + 2 : end])
        at = end
    return found


def write_tree(out: Path, entries: list[bytes], *, tiles: bool = True) -> None:
    """Write `entries` over a small export's bundle, and over its tile when `tiles`."""
    joined = b"".join(len(raw).to_bytes(2, "big") + raw for raw in entries)
    (out / BUNDLE).write_bytes(joined)
    if tiles:
        (out / TILE).write_bytes(b"".join(map(leaf_hash, entries)))


def sign_anew(out: Path, entries: list[bytes]) -> None:
    """What the owner of the key could do: write and sign any six entries."""
    write_tree(out, entries)
    head = Checkpoint(SIGNER.origin, len(entries), root_of(map(leaf_hash, entries)))
    (out / "checkpoint").write_text(SIGNER.sign(head.text()), encoding="utf-8")


def renumbered(raw: bytes, seq: int) -> bytes:
    document = json.loads(raw)
    return raw.replace(b'"seq":%d' % document["seq"], b'"seq":%d' % seq)


def failure(out: Path) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_export(out)
    return caught.value


# ---------------------------------------------------------------- entries


def test_a_flipped_byte_anywhere_in_an_entry_names_that_entry(small: Path) -> None:
    entries = split((small / BUNDLE).read_bytes())
    for number, raw in enumerate(entries):
        for at in (0, len(raw) // 2, len(raw) - 1):
            changed = bytearray(raw)
            changed[at] ^= 4
            write_tree(
                small, [*entries[:number], bytes(changed), *entries[number + 1 :]], tiles=False
            )
            assert failure(small).entry == number


@pytest.mark.parametrize("tiles", [False, True], ids=["entries only", "entries and tile"])
@pytest.mark.parametrize(
    ("change", "bad"),
    [
        (lambda e: [*e[:2], *e[3:]], 2),
        (lambda e: [e[1], e[0], *e[2:]], 0),
        (lambda e: [*e[:3], e[4], e[3], e[5]], 3),
        (lambda e: [*e[:3], e[2], *e[3:]], 3),
        (lambda e: [*e[:3], renumbered(e[2], 3), *e[3:]], 4),
        (lambda e: e[:4], 4),
        (lambda e: e[:0], 0),
        (lambda e: [*e, e[5]], 6),
        (lambda e: [*e, renumbered(e[5], 6)], 6),
    ],
    ids=["deleted", "swapped", "swapped later", "doubled", "inserted", "cut off", "all gone",
         "doubled at the end", "added at the end"],
)  # fmt: skip
def test_moved_entries_are_detected_and_the_first_bad_one_is_named(
    small: Path, change: Callable[[list[bytes]], list[bytes]], bad: int, *, tiles: bool
) -> None:
    entries = split((small / BUNDLE).read_bytes())
    write_tree(small, change(entries), tiles=tiles)
    error = failure(small)
    if bad == 4 and len(change(entries)) == 7 and not tiles:
        bad = 3  # the tile still tells that entry 3 is not the one that was signed
    assert error.entry == bad
    assert error.report is not None
    assert error.report.first_bad == bad
    assert error.report.size == 6


def test_an_entry_rewritten_together_with_its_tile_is_detected(small: Path) -> None:
    entries = split((small / BUNDLE).read_bytes())
    write_tree(small, [*entries[:3], entries[3].replace(b"chat-42", b"chat-43"), *entries[4:]])
    error = failure(small)
    assert "both were rewritten" in str(error)
    assert error.entry is None


def test_a_changed_tile_is_told_from_a_changed_entry(small: Path) -> None:
    tile = bytearray((small / TILE).read_bytes())
    tile[40] ^= 1
    (small / TILE).write_bytes(tile)
    error = failure(small)
    assert "the entries are as signed, the tile is not" in str(error)
    assert error.entry is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"v":1', b'"v":2', "envelope of version 1"),
        (b'"v":1', b'"v":true', "another type"),
        (b'"v":1', b'"v":1,"w":1', "found others"),
        (b'"seq":3', b'"seq":30', "expected seq 3; found seq 30"),
        (b'"number":3', b'"number":3.5', "without fractions"),
        (b'"number":3', b'"number":NaN', "without fractions"),
        (b'"number":3', b'"number": 3', "another spelling"),
        (b'"number":3', b'"number":3,"number":3', "another spelling"),
        (b'"number":3', b'"number":03', "without fractions"),
        (b'"number":3', b'"number":-0', "another spelling"),
        (b'"number":3', b'"number":9007199254740992', "another spelling"),
        (b'"number":3', b'"number":"\\u00fc"', "another spelling"),
        (b'"number":3', b'"number":"\\ud800"', "without fractions"),
        (b'"number":3', '"gr\u00f6\u00dfe":3'.encode(), "another spelling"),
        (b'"number":3', b'"number":' + b"[" * 30_000 + b"]" * 30_000, "without fractions"),
        (b'"number":3', b'"number":"\xff"', "without fractions"),
        (b'"chat-42"', b"42", "another type"),
        (b'"token"', b'"taken"', "an actor with token"),
        (b'"agent"', b"null", "an actor with token"),
    ],
)  # fmt: skip
def test_a_malformed_entry_is_named_even_when_the_key_signed_it(
    small: Path, old: bytes, new: bytes, words: str
) -> None:
    entries = split((small / BUNDLE).read_bytes())
    assert old in entries[3]
    sign_anew(small, [*entries[:3], entries[3].replace(old, new), *entries[4:]])
    error = failure(small)
    assert words in str(error)
    assert error.entry == 3


def test_numbers_and_text_at_the_limits_of_the_form_are_accepted(small: Path) -> None:
    entries = split((small / BUNDLE).read_bytes())
    wide = b'"number":9007199254740991,"text":"' + "\u00fc\u2028\U0001f9ee".encode() + b'"'
    entries[3] = entries[3].replace(b'"number":3', wide)
    sign_anew(small, entries)
    assert verify_export(small).size == 6


# ---------------------------------------------------------------- tiles and files


def test_a_larger_export_is_checked_at_every_level(kept: Kept, tmp_path: Path) -> None:
    out = exported(kept, tmp_path, 600)
    size, root = verify_export(out).size, kept.ledger.edge.root()
    whole = {
        path: path.read_bytes() for path in sorted((out / "tile").rglob("*")) if path.is_file()
    }
    assert len(whole) == 7
    for path, content in whole.items():
        for at in range(0, len(content), 1 + len(content) // 7):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            with pytest.raises(VerificationError):
                Tree(out / "tile", size, root).check()
        for other in (content[:-1], content + b"\x00", content + bytes(32), b"", content[32:]):
            path.write_bytes(other)
            with pytest.raises(VerificationError):
                Tree(out / "tile", size, root).check()
        path.unlink()
        with pytest.raises(VerificationError, match="No such file"):
            Tree(out / "tile", size, root).check()
        path.write_bytes(content)
    Tree(out / "tile", size, root).check()


def test_entries_rewritten_with_their_tile_are_narrowed_down_by_the_tile_above(
    kept: Kept, tmp_path: Path
) -> None:
    out = exported(kept, tmp_path, 600)
    entries = split((out / "tile/entries/001").read_bytes())
    entries[7] = entries[7].replace(b"chat-42", b"chat-43")
    joined = b"".join(len(raw).to_bytes(2, "big") + raw for raw in entries)
    (out / "tile/entries/001").write_bytes(joined)
    (out / "tile/0/001").write_bytes(b"".join(map(leaf_hash, entries)))
    assert "entries 256 to 511: hash" in str(failure(out))


def test_partial_tiles_of_earlier_sizes_must_be_beginnings_of_the_wider_ones(
    kept: Kept, tmp_path: Path
) -> None:
    out = exported(kept, tmp_path, 300)
    for wider, narrow, content in (
        ("tile/0/000", "tile/0/000.p/5", (out / "tile/0/000").read_bytes()[: 5 * 32]),
        ("tile/0/001.p/44", "tile/0/001.p/1", (out / "tile/0/001.p/44").read_bytes()[:32]),
        ("tile/entries/000", "tile/entries/000.p/2",
         b"".join(len(e).to_bytes(2, "big") + e
                  for e in split((out / "tile/entries/000").read_bytes())[:2])),
    ):  # fmt: skip
        assert (out / wider).exists()
        (out / narrow).parent.mkdir(exist_ok=True)
        (out / narrow).write_bytes(content)
        assert verify_export(out).size == 300
        (out / narrow).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert "not the beginning of the wider one" in str(failure(out))
        (out / narrow).unlink()


@pytest.mark.parametrize(
    "name",
    ["0/001", "0/000", "0/000.p/7", "0/000.p/0", "0/000.p/06", "0/0", "0/x000/000.p/1", "1/000.p/1",
     "8/000", "notes.txt", "entries/001.p/1", "0/000.p/6.bak", "00/000.p/1"],
)  # fmt: skip
def test_a_file_that_no_tree_of_this_size_has_is_refused(small: Path, name: str) -> None:
    path = small / "tile" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((small / TILE).read_bytes()[:32])
    assert re.search("no tree of 6 has this|not a tile", str(failure(small)))


@pytest.mark.parametrize("name", ["checkpoint", "vkey", BUNDLE, TILE])
def test_a_missing_file_is_said(small: Path, name: str) -> None:
    (small / name).unlink()
    assert "No such file" in str(failure(small))


def test_files_that_are_not_text_are_refused(small: Path) -> None:
    (small / "checkpoint").write_bytes(b"\xff")
    assert "expected UTF-8" in str(failure(small))


def test_an_empty_log_verifies(tmp_path: Path) -> None:
    note = SIGNER.sign(Checkpoint(SIGNER.origin, 0, EMPTY_ROOT).text())
    (tmp_path / "checkpoint").write_text(note, encoding="utf-8")
    assert verify_export(tmp_path, SIGNER.vkey).size == 0
    note = SIGNER.sign(Checkpoint(SIGNER.origin, 0, bytes(32)).text())
    (tmp_path / "checkpoint").write_text(note, encoding="utf-8")
    with pytest.raises(VerificationError, match="expected root 0000"):
        verify_export(tmp_path, SIGNER.vkey)


# ---------------------------------------------------------------- keys and the command line


def test_a_pinned_key_decides_whatever_the_export_says(small: Path) -> None:
    stranger = Signer(SIGNER.origin, bytes(32))
    with pytest.raises(VerificationError, match="no signature by tally"):
        verify_export(small, stranger.vkey)
    assert verify_export(small, SIGNER.vkey).pinned
    (small / "vkey").write_text(stranger.vkey, encoding="utf-8")
    assert failure(small).report is None
    with pytest.raises(VerificationError, match="the key to verify with; found another"):
        verify_export(small, SIGNER.vkey)
    (small / "vkey").unlink()
    assert verify_export(small, SIGNER.vkey).pinned


@pytest.mark.parametrize(
    "vkey",
    ["", "x", SIGNER.vkey.replace("b7df30a3", "b7df30a4"), SIGNER.vkey.replace("AQO", "BAO"),
     SIGNER.vkey[:-4], SIGNER.vkey + "=", SIGNER.vkey.replace("tally.", "tally ")],
)  # fmt: skip
def test_a_malformed_key_is_refused(small: Path, vkey: str) -> None:
    with pytest.raises(VerificationError):
        verify_export(small, vkey)


def test_the_command_line_tells_success_failure_and_misuse_apart(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main([str(small), "--vkey", SIGNER.vkey]) == 0
    assert "(as given)" in capsys.readouterr().out
    assert verify.main([str(small)]) == 0
    told = capsys.readouterr().out
    assert "ok: 6 entries of tally.example/log" in told
    assert "read from the export itself" in told
    write_tree(small, split((small / BUNDLE).read_bytes())[:4])
    assert verify.main([str(small)]) == 4
    assert capsys.readouterr().out.splitlines()[-1] == "first bad entry: 4"
    for arguments in ([], [str(small / "nowhere")], [str(small / "vkey")], [str(small), "--x"]):
        with pytest.raises(SystemExit) as caught:
            verify.main(arguments)
        assert caught.value.code == 2


def test_the_file_runs_alone_and_imports_nothing_but_the_standard_library(
    small: Path, tmp_path: Path
) -> None:
    source = Path(verify.__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    alone = Path(shutil.copy(source, tmp_path / "alone.py"))
    (small / TILE).unlink()
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(alone), str(small)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "FAILED" in done.stdout


# ---------------------------------------------------------------- Ed25519


def test_ed25519_agrees_with_the_published_vector() -> None:
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert ed25519_verify(public, bytes.fromhex("af82"), signature)
    assert not ed25519_verify(public, bytes.fromhex("af83"), signature)


def test_ed25519_agrees_with_another_implementation() -> None:
    for number in range(20):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public, message = key.public_key().public_bytes_raw(), bytes(number)
        signature = key.sign(message)
        assert ed25519_verify(public, message, signature)
        assert not ed25519_verify(public, message + b"\x00", signature)
        assert not ed25519_verify(public, message, signature[:-1])
        assert not ed25519_verify(public, message, signature + b"\x00")


def test_ed25519_refuses_a_second_spelling_of_a_signature() -> None:
    public, signature = SIGNER.key.public, raw_signature()
    scalar = int.from_bytes(signature[32:], "little")
    malleable = signature[:32] + (scalar + L).to_bytes(32, "little")
    assert ed25519_verify(public, b"text", signature)
    assert not ed25519_verify(public, b"text", malleable)


def raw_signature() -> bytes:
    return Ed25519PrivateKey.from_private_bytes(SEED).sign(b"text")


@pytest.mark.parametrize(
    "point",
    [
        (1).to_bytes(32, "little"),
        (0).to_bytes(32, "little"),
        (P - 1).to_bytes(32, "little"),
        P.to_bytes(32, "little"),
        (P + 1).to_bytes(32, "little"),
        (1 | 1 << 255).to_bytes(32, "little"),
        (2).to_bytes(32, "little"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        b"\xff" * 32,
        b"",
        bytes(31),
    ],
    ids=["identity", "order 4", "order 2", "y = p", "y = p + 1", "minus zero", "off the curve",
         "order 8", "all ones", "empty", "short"],
)  # fmt: skip
def test_ed25519_refuses_malformed_and_small_points(point: bytes) -> None:
    forged = (1).to_bytes(32, "little") + bytes(32)  # R = identity, S = 0: holds for small keys
    assert not ed25519_verify(point, b"text", forged)
    assert not ed25519_verify(point, b"text", raw_signature())
    assert not ed25519_verify(SIGNER.key.public, b"text", point + raw_signature()[32:])


def test_the_key_on_the_wire_is_the_key_that_verifies() -> None:
    name, public = verify.parse_vkey(SIGNER.vkey)
    assert (name, public) == (SIGNER.origin, SIGNER.key.public)
    assert base64.b64encode(b"\x01" + public).decode() in SIGNER.vkey
