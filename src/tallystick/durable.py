"""Files that are on disk, name included, when a function returns; private to their owner.

A crash leaves the old content or the new, never half of one. Stdlib only: the supervisor, too,
writes this way.
"""

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

from tallystick.errors import InvalidError


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner can read; `InvalidError` when others can, too."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise InvalidError(
            f"{path}: expected mode 0600; found {mode:04o}",
            code="key_exposed",
            hint=f"chmod 600 {path}, and ask who could have read it meanwhile",
        )
    return path.read_bytes()


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `content`, all of it or nothing."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        descriptor = os.open(scratch, flags, mode)
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte; a short write is continued."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path, *, mode: int = 0o700) -> None:
    """Make a directory and its parents, private; each new name made durable in its parent."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        sync_directory(folder.parent)


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file; never waits, follows no link.

    For files in a directory that a command can write to: it may have put a pipe in their place.
    Raises OSError for whatever is no regular file: ELOOP for a link, ENXIO for the rest.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ENXIO, "not a regular file", os.fspath(path))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file: the kernel frees it on any death.

    Probed with a shared lock, held for microseconds, so that probes never refuse each other. Raises
    OSError where there is no such file.
    """
    descriptor = open_regular(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
