"""Whether a working directory exists, without a look at the disk for every run of a sweep.

A directory that was there a second ago is taken to be there: the supervisor looks again before it
executes anything. What was not there is always looked at again.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEPT: Final = 256
KEPT_SECONDS: Final = 1.0


class Workdirs:
    """Directories that were seen lately; used on the event loop only."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is a clock that only moves forwards, in seconds."""
        self._now = now
        self._seen: OrderedDict[str, float] = OrderedDict()

    def seen(self, path: str) -> bool:
        """Whether a directory was there less than a second ago."""
        return self._seen.get(path, 0.0) > self._now()

    def keep(self, path: str) -> None:
        """A directory is there now."""
        self._seen[path] = self._now() + KEPT_SECONDS
        self._seen.move_to_end(path)
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)


def kind_of(path: str) -> str:
    """What lies at a path: `a directory`, or what else; may block on a slow disk."""
    try:
        target = Path(path)
        if target.is_dir():
            return "a directory"
        return "a file" if target.exists() else "not there"
    except (OSError, ValueError) as error:
        return f"unreadable ({error})"
