"""Files below a directory, without following a link anywhere.

Every file is opened relative to the directory that was walked, so nothing that is put in the place
of a name meanwhile can lead out of it. Only regular files are seen.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_ENTRIES: Final = 20_000
"""Names that one look sees; a directory of more is no place for results."""

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """One file, while the look at its directory goes on."""

    below: str
    """Path below the root, with forward slashes."""
    size: int
    mtime_ns: int
    directory: int
    """Descriptor of its directory."""

    @property
    def name(self) -> str:
        """The last part."""
        return self.below.rpartition("/")[2]

    def open(self) -> int:
        """A descriptor for reading; raises OSError when it is no regular file any more."""
        file = os.open(self.name, _FLAGS, dir_fd=self.directory)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
        raise OSError("not a regular file any more")


def scan(root: Path) -> Iterator[Found]:
    """The files below `root`, or `root` itself when it is a file; names in order.

    None when there is no such directory, or a link in its place.
    """
    if not root.exists() or root.is_symlink():
        return
    if root.is_file():
        with suppress(OSError):
            yield from _one(root)
        return
    seen = 0
    for place, folders, files, directory in os.fwalk(root, follow_symlinks=False):
        folders.sort()
        prefix = os.path.relpath(place, root)
        for name in sorted(files):
            seen += 1
            if seen > MOST_ENTRIES:
                return
            try:
                state = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(state.st_mode):
                below = name if prefix == "." else f"{prefix}/{name}"
                yield Found(below, state.st_size, state.st_mtime_ns, directory)


def _one(path: Path) -> Iterator[Found]:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        state = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISREG(state.st_mode):
            yield Found(path.name, state.st_size, state.st_mtime_ns, directory)
    finally:
        os.close(directory)
