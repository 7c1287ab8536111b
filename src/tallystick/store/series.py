"""Metrics as they were measured: raw lines, appended and synced before they are acknowledged.

Below `runs/<run>/metrics/` lies `posted.jsonl`, what was posted, and one `<attempt>.jsonl` for each
attempt, a byte-exact copy of the file that its job wrote. A file only grows. A batch with a key is
written once, even if the server dies in the middle of it. What they hold is read in indexing.py.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.errors import ConflictError, UnavailableError
from tallystick.store.streams import READERS

POSTED: Final = "posted"
"""Name of the file for what was posted."""

_BATCH = struct.Struct(">32s32sQQ")  # key, digest of the rows, where they begin, how many bytes
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Batch:
    """What makes a repeated batch recognisable: SHA-256 digests of its key and of its rows."""

    key: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """A stream as far as it had grown; it only grows, so this names its content."""

    path: Path
    size: int
    """Bytes."""

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name


class Series:
    """The metric files of all runs; safe to use from any thread and any process."""

    def __init__(self, runs_dir: Path) -> None:
        """`runs_dir` holds one directory a run; nothing is read or made yet."""
        self._runs_dir = runs_dir

    def append(self, run: str, name: str, chunk: bytes, *, offset: int | None = None) -> int:
        """Add `chunk`, durably, and return the file's length; rows, unless `name` has a suffix.

        With an `offset` that is not the file's length nothing is written, and the length tells the
        caller where to go on. Raises `UnavailableError` when the disk does not take it.
        """
        with self._locked(run, name) as file:
            length = os.fstat(file).st_size
            if offset is not None:
                return _write(file, length, chunk) if offset == length else length
            return _write(file, length, _mended(file, length, chunk))

    def append_batch(self, run: str, chunk: bytes, batch: Batch) -> tuple[int, bool]:
        """Add posted rows once per key; the file's length, and whether they were there already.

        Raises `ConflictError` (`idempotency_key_reused`) when the key came with other rows before.
        """
        with self._locked(run, POSTED) as file:
            length = os.fstat(file).st_size
            known = _find(self._keys(run), batch.key)
            if known is not None:
                _require_same(known.digest, batch.digest)
                rest = _missing_part(file, length, known, chunk)
                if rest is not None:
                    return (_write(file, length, rest), False) if rest else (length, True)
            chunk = _mended(file, length, chunk)
            record = _BATCH.pack(batch.key, batch.digest, length, len(chunk))
            _append_key(self._keys(run), record)
            return _write(file, length, chunk), False

    def files(self, run: str) -> list[Path]:
        """The run's metric files: its attempts' by last change, then what was posted."""
        try:
            found = [path for path in self.directory(run).iterdir() if path.suffix in READERS]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda path: (path.stem == POSTED, path.stat().st_mtime_ns))

    def extents(self, run: str) -> tuple[Extent, ...]:
        """The run's metric files as far as they have grown."""
        return tuple(Extent(path, path.stat().st_size) for path in self.files(run))

    def directory(self, run: str) -> Path:
        """Where the streams of a run lie, and the index that is made from them."""
        return self._runs_dir / run / "metrics"

    def _keys(self, run: str) -> Path:
        return self.directory(run) / f"{POSTED}.keys"

    @contextmanager
    def _locked(self, run: str, name: str) -> Iterator[int]:
        """The file, made if need be, for one writer at a time."""
        path = self.directory(run) / (name if "." in name else f"{name}.jsonl")
        try:
            fresh = not path.exists()
            durable.make_directory(path.parent)
            file = os.open(path, _FLAGS, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if fresh:
                    durable.sync_directory(path.parent)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise UnavailableError(
                f"the metrics could not be stored: {error.strerror}",
                code="storage_failed",
                hint="check free space and permissions of the data directory",
            ) from error


@dataclass(frozen=True, slots=True)
class _Known:
    """A batch that was announced before."""

    digest: bytes
    start: int
    length: int


def _find(keys: Path, key: bytes) -> _Known | None:
    """The newest record of `key`."""
    with _mapped(keys) as records:
        at = len(records)
        while (at := records.rfind(key, 0, at)) >= 0:
            if at % _BATCH.size == 0:
                return _Known(*_BATCH.unpack_from(records, at)[1:])
            at += len(key) - 1
    return None


def _missing_part(file: int, length: int, known: _Known, chunk: bytes) -> bytes | None:
    """What a crash has left unwritten of a batch; None when it must be written anew."""
    announced = b"\n" + chunk if known.length > len(chunk) else chunk
    present = os.pread(file, known.length, known.start)
    if present == announced:
        return b""
    if known.start + len(present) == length and announced.startswith(present):
        return announced[len(present) :]
    return None


@contextmanager
def _mapped(keys: Path) -> Iterator[bytes | mmap.mmap]:
    """All whole records, without reading them in."""
    try:
        file = os.open(keys, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield b""
        return
    try:
        whole = os.fstat(file).st_size // _BATCH.size * _BATCH.size
        if whole == 0:
            yield b""
            return
        with mmap.mmap(file, whole, access=mmap.ACCESS_READ) as records:
            yield records
    finally:
        os.close(file)


def _require_same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise ConflictError(
            "this Idempotency-Key was used before with other rows",
            code="idempotency_key_reused",
            hint="send a new key with new rows, and the same key only to repeat a batch",
        )


def _append_key(keys: Path, record: bytes) -> None:
    """Announce a batch, durably, before its rows are written."""
    file = os.open(keys, _FLAGS, 0o600)
    try:
        length = os.fstat(file).st_size
        whole = length // _BATCH.size * _BATCH.size  # a torn record was never acted upon
        _write_all(file, record, at=whole)
        os.fsync(file)
    finally:
        os.close(file)
    if length == 0:
        durable.sync_directory(keys.parent)


def _mended(file: int, length: int, chunk: bytes) -> bytes:
    """`chunk`, on a line of its own where a crash has left a torn line."""
    if length and os.pread(file, 1, length - 1) != b"\n":
        return b"\n" + chunk
    return chunk


def _write(file: int, length: int, chunk: bytes) -> int:
    """Append at `length` and sync; a write that fails half-way leaves nothing behind."""
    try:
        _write_all(file, chunk, at=length)
        os.fsync(file)
    except OSError:
        os.ftruncate(file, length)
        raise
    return length + len(chunk)


def _write_all(file: int, content: bytes, *, at: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
