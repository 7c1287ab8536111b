"""The suite of the seam, over every place where blobs are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.store.blobs import FileBlobs
from tallystick.testing.contract.blobs import BlobsContract


class TestFolder(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FileBlobs:
        return FileBlobs(tmp_path / "blobs")

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str], None]:
        def flip(sha256: str) -> None:
            path = tmp_path / "blobs" / sha256[:2] / sha256[2:]
            content = bytearray(path.read_bytes())
            content[100] ^= 1
            path.write_bytes(content)

        return flip

    def test_nothing_is_left_over_beside_the_blobs(self, tmp_path: Path) -> None:
        blobs = FileBlobs(tmp_path / "blobs")
        blobs.put([b"a"])
        blobs.put([b"a"])
        with pytest.raises(ZeroDivisionError):
            blobs.put(bytes(1 // 0) for _ in range(1))
        assert not list((tmp_path / "blobs" / "incoming").iterdir())
