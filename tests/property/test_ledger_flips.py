"""Every single bit of an export matters: no flip goes unnoticed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.ledger import verify
from tallystick.ledger.export import write_export
from tallystick.ledger.verify import Tree, VerificationError
from tests.unit.ledger.kept_ledger import open_kept

BUNDLE = "tile/entries/000.p/6"
TILE = "tile/0/000.p/6"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("small")
    kept = open_kept(directory / "tally.db")
    kept.grow(6)
    with kept.db.read() as tx:
        write_export(tx, directory / "out", kept.ledger.vkey)
    kept.db.close()
    return directory / "out"


def undetected(path: Path, check: Callable[[], object]) -> list[tuple[int, int]]:
    """The (byte, bit) places of a file where a flip goes unnoticed."""
    missed = []
    with path.open(
        "r+b", buffering=0
    ) as file:  # one byte is rewritten; anything else would be slow
        for at, byte in enumerate(path.read_bytes()):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), at)
                try:
                    check()
                except VerificationError:
                    continue
                missed.append((at, bit))
            os.pwrite(file.fileno(), bytes([byte]), at)
    check()
    return missed


@pytest.mark.parametrize("name", ["checkpoint", "vkey"])
def test_every_flipped_bit_of_checkpoint_and_key_is_detected(small: Path, name: str) -> None:
    def check() -> None:
        # what comes after the head is covered by the next test, and would make this one slow
        key = verify.parse_vkey(verify._read_text(small / "vkey").removesuffix("\n"))
        verify.open_checkpoint(verify._read_text(small / "checkpoint"), *key)

    check()
    assert undetected(small / name, check) == []


@pytest.mark.parametrize("name", [BUNDLE, TILE])
def test_every_flipped_bit_of_entries_and_tiles_is_detected(small: Path, name: str) -> None:
    report = verify.verify_export(small)
    size, root = report.size, bytes.fromhex(report.root)
    tree = small / "tile"
    Tree(tree, size, root).check()
    assert undetected(small / name, lambda: Tree(tree, size, root).check()) == []
