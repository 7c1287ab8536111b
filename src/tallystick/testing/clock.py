"""A clock that moves only when told, with ids that count up."""

import itertools
import threading


class ManualClock:
    """Starts at `now` milliseconds; `sleep` advances it at once."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        """Ids and bytes are a counter: the same test yields the same ledger."""
        self._lock = threading.Lock()
        self._now = now
        self._counter = itertools.count(1)

    def now(self) -> int:
        """The present moment, in milliseconds."""
        return self._now

    def advance(self, milliseconds: int) -> None:
        """Move on; a negative number is a clock that was set back."""
        with self._lock:
            self._now += milliseconds

    def sleep(self, seconds: float) -> None:
        """Advance instead of waiting."""
        self.advance(round(seconds * 1000))

    def new_id(self, prefix: str) -> str:
        """`prefix` and the next number, as 12 hex digits."""
        with self._lock:
            return f"{prefix}_{next(self._counter):012x}"

    def token_bytes(self, count: int) -> bytes:
        """The next number, big-endian, repeated to `count` bytes."""
        with self._lock:
            return (next(self._counter).to_bytes(16, "big") * (count // 16 + 1))[:count]
