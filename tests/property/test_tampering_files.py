"""Files of an export that came, went, moved or grew are noticed, whatever is in them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.ledger.verify import VerificationError, verify_export
from tests.property.test_ledger_flips import exported

BUNDLE, LAST, TILE, TOP = (
    "tile/entries/001",
    "tile/entries/002.p/88",
    "tile/0/001",
    "tile/1/000.p/2",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 entries: two full tiles, a partial one, and a level above."""
    return exported(tmp_path_factory.mktemp("made"), 600)


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "out"))


def failure(out: Path) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_export(out)
    return caught.value


def swap(out: Path, one: str, other: str) -> None:
    (out / one).rename(out / "x")
    (out / other).rename(out / one)
    (out / "x").rename(out / other)


def cut(out: Path, name: str, length: int) -> None:
    (out / name).write_bytes((out / name).read_bytes()[:length])


def grow(out: Path, name: str, more: bytes) -> None:
    with (out / name).open("ab") as file:
        file.write(more)


def link(out: Path, name: str) -> None:
    (out / name).rename(out.parent / "elsewhere")
    (out / name).symlink_to(out.parent / "elsewhere")


def copy(out: Path, one: str, other: str) -> None:
    (out / other).parent.mkdir(exist_ok=True)
    shutil.copy(out / one, out / other)


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (lambda out: swap(out, "tile/entries/000", BUNDLE), 0),
        (lambda out: swap(out, "tile/0/000", TILE), None),
        (lambda out: (out / BUNDLE).unlink(), 256),
        (lambda out: (out / LAST).unlink(), 512),
        (lambda out: (out / TILE).unlink(), None),
        (lambda out: (out / TOP).unlink(), None),
        (lambda out: cut(out, BUNDLE, 1_000), 261),
        (lambda out: cut(out, BUNDLE, 0), 256),
        (lambda out: cut(out, TILE, 8_191), None),
        (lambda out: cut(out, TOP, 32), None),
        (lambda out: grow(out, BUNDLE, b"\x00"), 512),
        (lambda out: grow(out, BUNDLE, b"\x00\x02{}"), 512),
        (lambda out: grow(out, LAST, b"\x00\x02{}"), 600),
        (lambda out: grow(out, TILE, bytes(32)), None),
        (lambda out: grow(out, TOP, b"\x00"), None),
        (lambda out: (out / BUNDLE).rename(out / "tile/entries/003"), 256),
        (lambda out: copy(out, BUNDLE, "tile/entries/002"), None),
        (lambda out: copy(out, TILE, "tile/0/003"), None),
        (lambda out: copy(out, TILE, "tile/0/001.p/255"), None),
        (lambda out: copy(out, LAST, "tile/entries/002.p/89"), None),
        (lambda out: copy(out, TOP, "tile/2/000"), None),
        (lambda out: copy(out, "vkey", "tile/vkey"), None),
        (lambda out: copy(out, "vkey", "notes.txt"), None),
        (lambda out: (out / "more").mkdir(), None),
        (lambda out: (out / "checkpoint").rename(out / "checkpoint.txt"), None),
        (lambda out: grow(out, "checkpoint", b"\n"), None),
        (lambda out: grow(out, "vkey", b"\n"), None),
        (lambda out: cut(out, "README.txt", 0), None),
        (lambda out: grow(out, "README.txt", b"Trust me.\n"), None),
        (lambda out: link(out, BUNDLE), None),
        (lambda out: link(out, TILE), None),
        (lambda out: link(out, "tile/1"), None),
        (lambda out: link(out, "checkpoint"), None),
        (lambda out: link(out, "tile"), None),
        (lambda out: ((out / TILE).unlink(), (out / TILE).mkdir()), None),
    ],
    ids=["bundles swapped", "tiles swapped", "bundle gone", "last bundle gone", "tile gone",
         "upper tile gone", "bundle cut off", "bundle empty", "tile cut off", "upper tile cut off",
         "bytes after a bundle", "entry after a full bundle", "entry after the last bundle",
         "hash after a tile", "byte after an upper tile", "bundle renamed",
         "full bundle beside the last", "tile of no entries", "partial beside full, wrong width",
         "wider bundle than the tree", "level that is not there", "stray file among the tiles",
         "stray file", "stray folder", "checkpoint renamed", "line after the checkpoint",
         "line after the key", "empty readme", "longer readme", "link to a bundle",
         "link to a tile", "link to a level", "link to the checkpoint", "link to the tree",
         "folder for a tile"],
)  # fmt: skip
def test_a_file_that_moved_came_or_went_is_noticed(
    out: Path, change: Callable[[Path], object], entry: int | None
) -> None:
    assert verify_export(out).size == 600
    change(out)
    assert failure(out).entry == entry


def test_a_full_tile_does_not_stand_in_for_a_partial_one(out: Path) -> None:
    whole = (out / LAST).read_bytes()
    (out / LAST).unlink()
    (out / "tile/entries/002").write_bytes(whole)
    assert failure(out).entry == 512


@pytest.mark.parametrize("name", ["README.txt", "verify.py"])
def test_what_only_helps_the_reader_may_be_missing(out: Path, name: str) -> None:
    (out / name).unlink()
    assert verify_export(out).size == 600


def test_hidden_files_beside_the_tree_are_passed_over_but_not_within(out: Path) -> None:
    (out / ".git").mkdir()
    assert verify_export(out).size == 600
    (out / "tile" / ".hidden").touch()
    assert "not a tile" in str(failure(out))
