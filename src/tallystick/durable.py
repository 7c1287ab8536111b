"""Files that are on disk, name included, when a function returns; private to their owner.

A crash leaves the old content or the new, never half of one. Stdlib only: the supervisor, too,
writes this way.
"""

import os
import threading
from pathlib import Path


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `content`, all of it or nothing."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with open(os.open(scratch, flags, mode), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


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
