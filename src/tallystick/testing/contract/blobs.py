"""The behaviour of every `Blobs`; subclass it and give `blobs` and `damage`."""

import hashlib
from collections.abc import Callable, Iterator

import pytest

from tallystick.errors import CorruptLedgerError, NotFoundError
from tallystick.store.blobs import PIECE_BYTES, Blobs

LARGE = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"the end"

Damage = Callable[[str], None]


class BlobsContract:
    """Promises of the seam, one test each."""

    def test_bytes_come_back_and_are_named_by_their_digest(self, blobs: Blobs) -> None:
        for content in (b"", b"one", LARGE):
            blob = blobs.put([content[:2], content[2:]])
            assert blob.sha256 == hashlib.sha256(content).hexdigest()
            assert (blob.size, blobs.size(blob.sha256)) == (len(content), len(content))
            assert b"".join(blobs.read(blob.sha256)) == content

    def test_the_same_bytes_are_kept_once_and_may_be_put_again(self, blobs: Blobs) -> None:
        assert blobs.put([b"twice"]) == blobs.put([b"tw", b"ice"])
        assert b"".join(blobs.read(blobs.put([b"twice"]).sha256)) == b"twice"

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 1), (5, 9), (PIECE_BYTES - 1, PIECE_BYTES + 1), (10, None), (len(LARGE) - 3, None)],
    )
    def test_a_range_is_read_without_the_rest(
        self, blobs: Blobs, start: int, end: int | None
    ) -> None:
        blob = blobs.put([LARGE])
        assert b"".join(blobs.read(blob.sha256, start=start, end=end)) == LARGE[start:end]

    def test_what_was_never_put_is_not_there(self, blobs: Blobs) -> None:
        for name in ("0" * 64, "../../etc/passwd", ""):
            with pytest.raises(NotFoundError):
                b"".join(blobs.read(name))
        assert blobs.size("0" * 64) is None

    @pytest.mark.parametrize("kind", [RuntimeError, PermissionError])
    def test_a_put_that_breaks_off_keeps_nothing_and_says_why(
        self, blobs: Blobs, kind: type[Exception]
    ) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise kind("the other side is gone")

        with pytest.raises(kind):
            blobs.put(broken())
        assert blobs.size(hashlib.sha256(b"half").hexdigest()) is None

    def test_bytes_that_have_changed_are_never_handed_out_whole(
        self, blobs: Blobs, damage: Damage
    ) -> None:
        blob = blobs.put([LARGE])
        damage(blob.sha256)
        with pytest.raises(CorruptLedgerError):
            b"".join(blobs.read(blob.sha256))

    def test_a_blob_can_be_forgotten_once(self, blobs: Blobs) -> None:
        blob = blobs.put([b"gone"])
        assert blobs.delete(blob.sha256)
        assert not blobs.delete(blob.sha256)
        assert blobs.size(blob.sha256) is None
