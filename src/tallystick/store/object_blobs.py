"""Blobs in object storage: S3 and what speaks it, Google's and Azure's, through obstore.

Bytes are received on the disk here, because their name is their digest; then they are sent, in one
operation that shows them whole or not at all. Credentials and endpoints are what obstore reads from
the environment, as other tools do (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, …).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from tallystick.errors import InvalidError, UnavailableError
from tallystick.store.blobs import PIECE_BYTES, missing, place_of, verified
from tallystick.store.incoming import Blob, Incoming

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_RETRIES: Final["RetryConfig"] = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}


class ObjectBlobs:
    """A bucket, or what lies below a prefix of one; the same names as in a folder."""

    def __init__(self, url: str, *, scratch: Path) -> None:
        """Nothing is asked before the first call.

        Raises `InvalidError` for a URL without a bucket, or credentials that cannot be read.
        """
        try:
            self._store = from_url(url, retry_config=_RETRIES)
        except (BaseError, ValueError) as error:
            raise InvalidError(
                f"artifacts.store: {_said(error)}",
                code="setting_invalid",
                hint="credentials are read from the environment: AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, …",
            ) from error
        self._incoming = Incoming(scratch / "incoming")

    def put(self, pieces: Iterable[bytes]) -> Blob:
        """Keep bytes."""
        with self._incoming.received(pieces) as arrival:
            blob = arrival.blob
            if self.size(blob.sha256) != blob.size:
                with _reaching(blob.sha256):
                    obstore.put(self._store, place_of(blob.sha256), arrival.path)
        return blob

    def size(self, sha256: str) -> int | None:
        """How many bytes a blob has."""
        with _reaching(sha256):
            try:
                return obstore.head(self._store, place_of(sha256))["size"]
            except FileNotFoundError:
                return None

    def read(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `end`."""
        size = self.size(sha256)
        if size is None:
            raise missing(sha256)
        last = size if end is None else min(end, size)
        pieces = self._pieces(sha256, start, last)
        yield from verified(pieces, sha256) if (start, last) == (0, size) else pieces

    def _pieces(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        with _reaching(sha256):
            found = obstore.get(self._store, place_of(sha256), options={"range": (start, end)})
            for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    def delete(self, sha256: str) -> bool:
        """Forget a blob."""
        if self.size(sha256) is None:
            return False
        with _reaching(sha256):
            obstore.delete(self._store, place_of(sha256))
        return True

    def clear(self) -> None:
        """Remove what a crash has left half received."""
        self._incoming.clear()


@contextmanager
def _reaching(sha256: str) -> Iterator[None]:
    """Says of what the other side refuses that it is the other side."""
    try:
        yield
    except FileNotFoundError:
        raise missing(sha256) from None
    except (BaseError, OSError) as error:
        raise UnavailableError(
            f"object storage: {_said(error)}",
            code="storage_failed",
            hint="see whether it can be reached with the server's credentials, and try again",
        ) from error


def _said(error: Exception) -> str:
    """The part of an error of obstore's that is meant for people."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:300]
