"""A small disk of its own for one test, and a way to fill it to the last byte."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(directory: Path, *, mebibytes: int) -> Iterator[Path]:
    """A tmpfs mounted at `directory`, taken away afterwards; skips where nobody may mount."""
    directory.mkdir()
    options = f"size={mebibytes}m,mode=700"
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tally-test", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {mount.stderr.strip()}")
    try:
        yield directory
    finally:
        # Lazily: a supervisor that is still about to end may have a file open.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path, *, but_bytes: int = 0) -> None:
    """Take all room that is left on the disk, but for `but_bytes`, with one file."""
    found = os.statvfs(path.parent)
    wanted = max(0, found.f_bavail * found.f_frsize - but_bytes)
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65_536, 4_096):
            while wanted >= size:
                wanted -= file.write(b"\0" * size)
