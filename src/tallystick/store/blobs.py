"""Bytes by their SHA-256, each kept once: the files of runs.

A blob is written beside its place, synced and renamed, so it is whole or not there; the same bytes
put twice are kept once. Reading a whole blob verifies it.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tallystick import durable
from tallystick.errors import CorruptLedgerError, NotFoundError, UnavailableError

PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """What was put."""

    sha256: str
    size: int
    """Bytes."""


class Blobs(Protocol):
    """Where the bytes of files are kept.

    `put` is atomic, durable on return, and content-addressed; `read` of a whole blob raises rather
    than hand out its last piece when the bytes are not those that were put. All raise
    `UnavailableError` when the place cannot be reached or is full. Safe to use from any thread.
    """

    def put(self, pieces: Iterable[bytes]) -> Blob:
        """Keep bytes; what `pieces` raises is raised, and nothing is kept."""
        ...

    def size(self, sha256: str) -> int | None:
        """How many bytes a blob has; None when it is not here."""
        ...

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in pieces; raises `NotFoundError`."""
        ...

    def delete(self, sha256: str) -> bool:
        """Forget a blob; whether it was here."""
        ...


class FileBlobs:
    """A folder: `<first two digits>/<the others>` below it."""

    def __init__(self, root: Path) -> None:
        """Nothing is made before the first `put`."""
        self._root = root

    def put(self, pieces: Iterable[bytes]) -> Blob:
        """Keep bytes."""
        digest, size = hashlib.sha256(), 0
        scratch = None
        try:
            durable.make_directory(self._root / "incoming")
            file, name = tempfile.mkstemp(dir=self._root / "incoming")
            scratch = Path(name)
            try:
                for piece in pieces:
                    durable.write_all(file, piece)
                    digest.update(piece)
                    size += len(piece)
                blob = Blob(digest.hexdigest(), size)
                path = self._path(blob.sha256)
                if not path.exists():
                    os.fsync(file)
                    durable.make_directory(path.parent)
                    scratch.rename(path)
                    durable.sync_directory(path.parent)
            finally:
                os.close(file)
        except OSError as error:
            raise UnavailableError(
                f"the file could not be kept: {error.strerror}",
                code="storage_failed",
                hint="check free space and permissions of the data directory",
            ) from error
        finally:
            if scratch is not None:
                scratch.unlink(missing_ok=True)
        return blob

    def size(self, sha256: str) -> int | None:
        """How many bytes a blob has."""
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`."""
        try:
            file = self._path(sha256).open("rb")
        except FileNotFoundError:
            raise missing(sha256) from None
        with file:
            size = os.fstat(file.fileno()).st_size
            last = size if end is None else min(end, size)
            file.seek(start)
            pieces = _pieces(file.read, last - start)
            yield from verified(pieces, sha256) if (start, last) == (0, size) else pieces

    def delete(self, sha256: str) -> bool:
        """Forget a blob."""
        try:
            self._path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def sweep(self) -> None:
        """Remove what a crash has left half written; nobody may be writing."""
        for scratch in (self._root / "incoming").glob("*"):
            scratch.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise missing(sha256)
        return self._root / sha256[:2] / sha256[2:]


class Readable(Protocol):
    """Reads at most so many bytes."""

    def __call__(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        ...


def _pieces(read: Readable, left: int) -> Iterator[bytes]:
    while left > 0 and (piece := read(min(PIECE_BYTES, left))):
        left -= len(piece)
        yield piece


def verified(pieces: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    """The same pieces; raises `CorruptLedgerError` instead of the last when they are others."""
    digest, held = hashlib.sha256(), b""
    for piece in pieces:
        digest.update(piece)
        if held:
            yield held
        held = piece
    if digest.hexdigest() != sha256:
        raise CorruptLedgerError(
            f"blob {sha256[:16]}… is not what was kept: its bytes have changed"
        )
    if held:
        yield held


def missing(sha256: str) -> NotFoundError:
    """The refusal for a blob that is not here."""
    return NotFoundError(
        f"the bytes with the digest {sha256[:16]}… are not here any more", code="blob_not_found"
    )
