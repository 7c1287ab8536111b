"""Every bit of an export matters: no flip goes unnoticed, and a flipped entry is named.

Small exports are checked in memory, with what does not change remembered; every so often the whole
verifier runs over the flipped file itself, so that both ways are known to agree.
"""

import os
import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tallystick.ledger import verify
from tallystick.ledger.export import write_export
from tallystick.ledger.verify import Tree, VerificationError
from tests.unit.ledger.kept_ledger import open_kept

SOAK = os.environ.get("TALLY_SOAK") == "1"
EVERY = 101 if SOAK else 4_001
"""Between two flips that the whole verifier is asked about."""


class Export:
    """An export whose files can be flipped, and the verdict on it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._flips = 0
        self._at = 0
        self._files = {str(p): p.read_bytes() for p in path.rglob("*") if p.is_file()}
        report = verify.verify_export(path)
        self._size, self._root = report.size, bytes.fromhex(report.root)
        self._monkeypatch = monkeypatch
        for name in ("malformed", "_leaf_hash", "_node_hash"):
            monkeypatch.setattr(verify, name, lru_cache(maxsize=4_096)(getattr(verify, name)))
        self._split = verify._split
        self._bundles = [self._cut(name) for name in self.names("tile/entries")]

    def names(self, start: str = "tile") -> list[str]:
        """The files of the tree, or one."""
        found = (Path(name).relative_to(self.path).as_posix() for name in self._files)
        return sorted(name for name in found if name.startswith(start))

    def read(self, name: str) -> bytes:
        """A file as it was exported."""
        return self._files[str(self.path / name)]

    def _cut(self, name: str) -> tuple[bytes, list[bytes], list[int], list[int]]:
        """A bundle, its entries, the entry of each byte, and where each entry starts."""
        bundle, first = self.read(name), 0 if "000" in name else 256
        owner = owners(bundle, first)
        entries = list(self._split(bundle, first, owner[-1] + 1 - first))
        starts = [owner.index(number) for number in range(first, owner[-1] + 1)]
        return bundle, entries, owner, starts

    def verdict(self, name: str, content: bytes, at: int) -> VerificationError | None:
        """What is said of the export when a file of the tree differs in the byte at `at`."""
        self._at = at
        changed = {**self._files, str(self.path / name): content}
        self._flips += 1
        with self._monkeypatch.context() as patch:
            patch.setattr(verify, "_read", lambda path, _entry=None: changed[str(path)])
            patch.setattr(Tree, "_check_others", lambda _: None)  # no file came or went
            patch.setattr(verify, "_split", self.split)
            found = failure(lambda: Tree(self.path / "tile", self._size, self._root).check())
        if self._flips % EVERY == 1:
            assert str(self.whole_verdict(name, content)) == str(found)
        return found

    def split(self, bundle: bytes, first: int, width: int) -> Iterable[bytes]:
        """The entries of a bundle in which at most one byte differs from what was exported."""
        whole, entries, owner, starts = self._bundles[first // 256]
        if bundle == whole:
            return entries
        at = self._at
        number = owner[at] - first
        start, length = starts[number], len(entries[number])
        if at < start + 2:  # its length: all that follows is cut elsewhere
            return self._split(bundle, first, width)
        raw = bundle[start + 2 : start + 2 + length]
        return [*entries[:number], raw, *entries[number + 1 :]]

    def whole_verdict(self, name: str, content: bytes) -> VerificationError | None:
        """The same, by the whole verifier, of the file itself."""
        file = self.path / name
        file.write_bytes(content)
        found = failure(lambda: verify.verify_export(self.path))
        file.write_bytes(self._files[str(file)])
        return found


def failure(check: object) -> VerificationError | None:
    """The error that a check raises."""
    assert callable(check)
    try:
        check()
    except VerificationError as error:
        return error
    return None


def owners(bundle: bytes, first: int) -> list[int]:
    """For each byte of a bundle the entry that it belongs to, its length included."""
    found: list[int] = []
    while len(found) < len(bundle):
        length = int.from_bytes(bundle[len(found) : len(found) + 2], "big")
        found += [first] * (2 + length)
        first += 1
    return found


def exported(directory: Path, size: int) -> Path:
    kept = open_kept(directory / "tally.db")
    kept.grow(size)
    with kept.db.read() as tx:
        write_export(tx, directory / "out", kept.ledger.vkey)
    kept.db.close()
    return directory / "out"


def flips(content: bytes, bits: list[tuple[int, ...]]) -> Iterator[tuple[int, bytes]]:
    """The content with one bit changed, for each of the bits of each byte."""
    changed = bytearray(content)
    for at, byte in enumerate(content):
        for bit in bits[at]:
            changed[at] = byte ^ 1 << bit
            yield at, bytes(changed)
        changed[at] = byte


def every_bit(content: bytes) -> list[tuple[int, ...]]:
    return [tuple(range(8))] * len(content)


def one_bit_each(content: bytes) -> list[tuple[int, ...]]:
    chance = random.Random(7)
    return [(chance.randrange(8),) for _ in content]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    return Export(exported(tmp_path, 24), monkeypatch)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    return Export(exported(tmp_path, 300), monkeypatch)


def check_flips_of_the_tree(export: Export, *, every: bool) -> None:
    """Every flip is noticed; one in an entry names it, one in a tile says that it is the tile."""
    assert len(export.names()) in {2, 5}
    for name in export.names():
        content = export.read(name)
        index = 0 if "000" in name else 1
        owner = owners(content, 256 * index) if "entries" in name else []
        bits = every_bit(content) if every else one_bit_each(content)
        for at, changed in flips(content, bits):
            error = export.verdict(name, changed, at)
            assert error is not None, (name, at)
            if owner:
                assert error.entry == owner[at], (name, at, str(error))
            else:
                assert "the entries are as signed, the tile is not" in str(error), (name, at)


@pytest.mark.timeout(600)
def test_every_flipped_bit_of_the_tree_of_24_entries_is_detected(small: Export) -> None:
    check_flips_of_the_tree(small, every=True)


@pytest.mark.timeout(600)
def test_a_flipped_bit_in_every_byte_of_the_tree_of_300_entries_is_detected(
    large: Export,
) -> None:
    check_flips_of_the_tree(large, every=SOAK)


@pytest.mark.parametrize("name", ["checkpoint", "vkey"])
def test_every_flipped_bit_of_checkpoint_and_key_is_detected(small: Export, name: str) -> None:
    def opened(changed: bytes) -> None:
        # what comes after the head is covered above, and would make this one slow
        files = {"checkpoint": small.read("checkpoint"), "vkey": small.read("vkey"), name: changed}
        try:
            vkey, note = files["vkey"].decode(), files["checkpoint"].decode()
        except UnicodeDecodeError:
            return
        verify.open_checkpoint(note, *verify.parse_vkey(vkey.removesuffix("\n")))
        raise AssertionError

    content = small.read(name)
    for at, changed in flips(content, every_bit(content)):
        try:
            opened(changed)
        except VerificationError:
            continue
        except AssertionError:
            pytest.fail(f"byte {at}: {changed[at]}")


def test_every_flipped_bit_of_the_readme_is_detected(small: Export) -> None:
    content = small.read("README.txt")
    assert verify._is_readme(content)
    changed = [item for _, item in flips(content, every_bit(content))]
    assert len(changed) == 8 * len(content)
    assert not any(map(verify._is_readme, changed))


def test_a_flipped_key_is_detected_beside_a_pinned_one(small: Export) -> None:
    key, content = small.read("vkey").decode().removesuffix("\n"), small.read("vkey")
    for at, changed in flips(content, every_bit(content)):
        (small.path / "vkey").write_bytes(changed)
        assert failure(lambda: verify._check_beside(small.path, key)), at


@pytest.mark.timeout(600)
def test_a_flipped_bit_in_every_byte_of_the_head_of_300_entries_is_detected(
    large: Export,
) -> None:
    for name in ("checkpoint", "vkey", "README.txt"):
        content = large.read(name)
        step = 1 if SOAK else 16
        for number, (at, changed) in enumerate(flips(content, one_bit_each(content))):
            if name == "checkpoint" or number % step == 0:  # each bit of the others is done above
                assert large.whole_verdict(name, changed), (name, at)


def test_the_verifier_itself_is_the_one_file_whose_flips_it_does_not_see(small: Export) -> None:
    assert small.whole_verdict("verify.py", b"# another program") is None
    assert sorted(verify.PARTS - {"tile"}) == sorted(
        {*small.names("README"), *small.names("vkey"), *small.names("ver"), *small.names("check")}
    )
