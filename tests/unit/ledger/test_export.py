"""An export is a plain tlog-tiles directory that verifies without us."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.errors import ConflictError, NotFoundError
from tallystick.ledger import verify
from tallystick.ledger.export import README, tile_path, write_export
from tests.unit.ledger.kept_ledger import Kept, draft
from tests.vectors import naive_tree


def export(kept: Kept, out: Path) -> Path:
    with kept.db.read() as tx:
        write_export(tx, out, kept.ledger.vkey)
    return out


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 600])
def test_an_export_of_any_size_is_laid_out_as_tiles_and_verifies(
    kept: Kept, tmp_path: Path, size: int
) -> None:
    kept.grow(size)
    out = export(kept, tmp_path / "out")
    held = files(out)
    with kept.db.read() as tx:
        raw = [entry.raw for entry in kept.ledger.read(tx, limit=1000)]
    expected = {"README.txt", "checkpoint", "verify.py", "vkey"}
    for (level, index), tile in naive_tree.tiles([naive_tree.leaf(item) for item in raw]).items():
        path = f"tile/{level}/{tile_path(index, len(tile) // 32)}"
        assert held[path] == tile
        expected.add(path)
    for first in range(0, size, 256):
        some = raw[first : first + 256]
        path = f"tile/entries/{tile_path(first // 256, len(some))}"
        assert held[path] == b"".join(len(item).to_bytes(2, "big") + item for item in some)
        expected.add(path)
    assert set(held) == expected
    assert held["checkpoint"].decode() == kept.ledger.note
    report = verify.verify_export(out)
    assert (report.size, report.root) == (size, kept.ledger.edge.root().hex())


def test_a_stranger_verifies_it_with_the_copied_file_and_nothing_of_ours(
    kept: Kept, tmp_path: Path
) -> None:
    kept.grow(6)
    out = export(kept, tmp_path / "out")
    command = [sys.executable, "-I", "-S", "verify.py", ".", "--vkey", kept.ledger.vkey]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ok: 6 entries of {kept.ledger.origin}" in done.stdout
    assert (out / "verify.py").read_bytes() == Path(verify.__file__).read_bytes()


def test_an_export_sees_one_moment_though_the_ledger_grows(kept: Kept, tmp_path: Path) -> None:
    kept.grow(300)
    with kept.db.read() as tx:
        before = kept.ledger.checkpoint(tx)
        kept.grow(700)
        head = write_export(tx, tmp_path / "out", kept.ledger.vkey)
    assert head.size == 300
    assert (tmp_path / "out" / "checkpoint").read_text(encoding="utf-8") == before
    assert verify.verify_export(tmp_path / "out").size == 300


def test_an_export_does_not_mix_with_what_is_there(kept: Kept, tmp_path: Path) -> None:
    kept.append(draft(0))
    (tmp_path / "empty").mkdir()
    out = export(kept, tmp_path / "empty")
    for taken in (out, out / "checkpoint"):
        with pytest.raises(ConflictError, match="expected a new or empty directory"):
            export(kept, taken)


def test_an_empty_ledger_has_nothing_to_export(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing to export"):
        export(kept, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_readme_of_an_export_verifies_the_signature_with_openssl(
    kept: Kept, tmp_path: Path
) -> None:
    kept.grow(6)
    out = export(kept, tmp_path / "out")
    readme = (out / "README.txt").read_text(encoding="utf-8")
    start, last = readme.index("    T=$(mktemp"), "sigfile $T/sig\n"
    end = readme.index(last) + len(last)
    done = subprocess.run(
        ["bash", "-ec", readme[start:end].replace("\n    ", "\n")],
        cwd=out,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Signature Verified Successfully" in done.stdout, done.stderr
    assert verify.verify_export(out).size == 6, "the recipe leaves nothing in the export"


def test_the_readme_is_the_same_in_every_export_and_known_to_the_verifier() -> None:
    assert hashlib.sha256(README.encode()).hexdigest() in verify.READMES


def test_tile_paths_are_those_of_the_specification() -> None:
    assert tile_path(1_234_067) == "x001/x234/067"
    assert tile_path(0) == "000"
    assert tile_path(1000, 17) == "x001/000.p/17"
    for index in (0, 999, 1000, 1_234_067):
        assert tile_path(index, 5) == verify.tile_path(index, 5)
