"""What scripts hold, without a look at the disk for every run that starts one.

Scripts are read for nothing but lint (P5.2), so a text that is a second old is good enough, and a
text that is not there is asked for on a thread: the event loop never waits for a disk.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from tallystick.shell.verdicts import MOST_SCRIPT_BYTES

KEPT: Final = 64
"""Scripts; of `MOST_SCRIPT_BYTES` at most."""
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


def read_script(path: str) -> bytes | None:
    """The beginning of a plain file; None for what is absent, unreadable, or something else.

    May block on a slow disk, never on a pipe.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MOST_SCRIPT_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
