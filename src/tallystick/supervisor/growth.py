"""Tells when files grow, without looking at them: inotify, by way of the C library.

While nothing is written a supervisor sleeps for good. Where inotify is not to be had, the files
are looked at twice a second instead.
"""

import ctypes
import os
import select
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

IN_MODIFY = 0x2
LOOK_SECONDS = 0.5
"""Between two looks at files that grow all the time, and the pace without inotify."""


class Growth:
    """Watches files; also woken by hand, from any thread or before it waits."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Watch existing files."""
        self._wake_end, self._ring_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._notify = _inotify(paths)

    def wake(self) -> None:
        """End the present or the next `wait` at once."""
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._ring_end, b"!")

    def wait(self, seconds: float | None) -> None:
        """Block until woken, until a file grew (at most twice a second), or for `seconds`."""
        if self._notify is None:
            self._poll([self._wake_end], min(seconds or LOOK_SECONDS, LOOK_SECONDS))
            return
        ready = self._poll([self._wake_end, self._notify], seconds)
        if self._notify in ready and self._wake_end not in ready:
            self._poll([self._wake_end], LOOK_SECONDS)  # let the writer write
        with suppress(BlockingIOError):
            while len(os.read(self._notify, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in (self._wake_end, self._ring_end, self._notify):
            if descriptor is not None:
                os.close(descriptor)

    def _poll(self, descriptors: Sequence[int], seconds: float | None) -> set[int]:
        """Descriptors with something to read; the wake-up, if any, is consumed."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        ready = {found for found, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._wake_end in ready:
            with suppress(BlockingIOError):
                os.read(self._wake_end, 4096)
        return ready


def _inotify(paths: Sequence[Path]) -> int | None:
    """A descriptor that becomes readable when one of the files is written to; None without."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    except AttributeError:
        return None
    if descriptor < 0:
        return None
    for path in paths:
        if libc.inotify_add_watch(descriptor, os.fsencode(path), IN_MODIFY) < 0:
            os.close(descriptor)
            return None
    return descriptor
