"""What scripts hold, without a look at the disk for every run that starts one.

Scripts are read for nothing but lint (P5.2), so a text that is a second old is good enough, and a
text that is not there is asked for on a thread: the event loop never waits for a disk.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

KEPT: Final = 64
"""Scripts; of `tallystick.scripts.MOST_BYTES` at most."""
KEPT_SECONDS: Final = 1.0


class NotReadYet(Exception):  # noqa: N818 - no error: the reason to ask on a thread
    """Nobody has read this script lately."""


class Scripts:
    """Scripts of this machine that were read lately; used on the event loop only."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is a clock that only moves forwards, in seconds."""
        self._now = now
        self._kept: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    def known(self, path: str) -> bytes | None:
        """What a script held less than a second ago, None for none; raises `NotReadYet`."""
        until, content = self._kept.get(path, (0.0, None))
        if until <= self._now():
            raise NotReadYet(path)
        return content

    def keep(self, read: Mapping[str, bytes | None]) -> None:
        """These were read now."""
        for path, content in read.items():
            self._kept[path] = (self._now() + KEPT_SECONDS, content)
            self._kept.move_to_end(path)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
