"""Bytes on their way into a store: written to a file beside it while their digest is taken."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallystick import durable
from tallystick.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Blob:
    """What was put."""

    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """All bytes of a blob, in a file that goes when the block that asked for it ends."""

    blob: Blob
    path: Path

    def sync(self) -> None:
        """Return when the bytes are on disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Incoming:
    """A directory for them."""

    def __init__(self, directory: Path) -> None:
        """Made with the first bytes."""
        self._directory = directory

    @contextmanager
    def received(self, pieces: Iterable[bytes]) -> Iterator[Arrival]:
        """The bytes as a file.

        What `pieces` raises is raised as it is; `UnavailableError` when the disk refuses, in the
        block, too.
        """
        with storing():
            durable.make_directory(self._directory)
            descriptor, name = tempfile.mkstemp(dir=self._directory)
        scratch = Path(name)
        try:
            digest, size = hashlib.sha256(), 0
            try:
                for piece in pieces:
                    with storing():
                        durable.write_all(descriptor, piece)
                    digest.update(piece)
                    size += len(piece)
            finally:
                os.close(descriptor)
            with storing():
                yield Arrival(Blob(digest.hexdigest(), size), scratch)
        finally:
            scratch.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what a crash has left half written; nobody may be writing."""
        for scratch in self._directory.glob("*"):
            scratch.unlink(missing_ok=True)


@contextmanager
def storing() -> Iterator[None]:
    """Says of what the disk refuses that it is the disk."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the file could not be kept: {error.strerror}",
            code="storage_failed",
            hint="check free space and permissions of the data directory",
        ) from error
