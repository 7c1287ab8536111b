"""Answers that took long to make, kept for the next who asks; bounded in bytes, oldest out first.

A key names exactly what an answer was made from, so nothing here ever has to be thrown away for
being wrong. Safe to use from any thread. Losing all of it loses time and nothing else.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Of all answers together."""


class Kept:
    """Answers by what they were made from."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        """Begins empty; holds at most `most_bytes`."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()  # guarded by _lock
        self.held_bytes = 0

    def get(self, key: Hashable) -> bytes | None:
        """The answer, when it is still there."""
        with self._lock:
            found = self._answers.get(key)
            if found is not None:
                self._answers.move_to_end(key)
            return found

    def get_or_make(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The answer, made and kept when it is not there; two at once may both make it."""
        found = self.get(key)
        if found is None:
            found = make()
            self.keep(key, found)
        return found

    def keep(self, key: Hashable, answer: bytes) -> None:
        """Hold an answer for the next who asks, unless it is larger than all there is room for."""
        if len(answer) > self._most_bytes:
            return
        with self._lock:
            self.held_bytes += len(answer) - len(self._answers.pop(key, b""))
            self._answers[key] = answer
            while self.held_bytes > self._most_bytes:
                _, oldest = self._answers.popitem(last=False)
                self.held_bytes -= len(oldest)
