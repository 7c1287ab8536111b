"""Bytes by their SHA-256, each kept once: the files of runs.

A blob is written beside its place, synced and renamed, so it is whole or not there; the same bytes
put twice are kept once. Reading a whole blob verifies it.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from tallystick import durable
from tallystick.errors import CorruptLedgerError, NotFoundError
from tallystick.store.incoming import Blob, Incoming

PIECE_BYTES: Final = 1024 * 1024


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

    def clear(self) -> None:
        """Remove what a crash has left half written here; nobody may be writing."""
        ...


class FileBlobs:
    """A folder: `<first two digits>/<the others>` below it."""

    def __init__(self, root: Path) -> None:
        """Nothing is made before the first `put`."""
        self._root = root
        self._incoming = Incoming(root / "incoming")

    def put(self, pieces: Iterable[bytes]) -> Blob:
        """Keep bytes."""
        with self._incoming.received(pieces) as arrival:
            path = self._path(arrival.blob.sha256)
            if not path.exists():
                arrival.sync()
                durable.make_directory(path.parent)
                arrival.path.rename(path)
                durable.sync_directory(path.parent)
        return arrival.blob

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

    def clear(self) -> None:
        """Remove what a crash has left half written; nobody may be writing."""
        self._incoming.clear()

    def _path(self, sha256: str) -> Path:
        return self._root / place_of(sha256)


def place_of(sha256: str) -> str:
    """Where a blob lies below the root of any store; raises `NotFoundError` for no digest."""
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise missing(sha256)
    return f"{sha256[:2]}/{sha256[2:]}"


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
