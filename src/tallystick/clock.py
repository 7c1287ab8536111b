"""The only reader of wall time and of randomness in the server.

A `Clock` is handed to whatever needs time or new ids; tests hand in a manual one. Times are whole
milliseconds since the Unix epoch, UTC. Ids are a prefix and 12 lower-case hex digits (P3.1).
"""

import hashlib
import secrets
import threading
import time
from typing import Final, Protocol

_SEED_BYTES: Final = 32
_POOL_BYTES: Final = 32_768


class Clock(Protocol):
    """Now, sleep, and new identifiers; every method is safe to call from any thread."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        ...

    def new_id(self, prefix: str) -> str:
        """A fresh id: `prefix`, an underscore, 12 lower-case hex digits."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes, for salts and tokens."""
        ...


class SystemClock:
    """The machine's own clock and random source."""

    def __init__(self) -> None:
        """Start with an empty pool of random bytes (one system call serves many ids)."""
        self._lock = threading.Lock()
        self._pool = b""  # guarded by _lock
        self._used = 0  # guarded by _lock

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        time.sleep(seconds)

    def new_id(self, prefix: str) -> str:
        """A fresh id, 48 random bits."""
        return f"{prefix}_{self.token_bytes(6).hex()}"

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes of the system's random source."""
        with self._lock:
            if len(self._pool) < self._used + count:
                # A call for many bytes gives way to other threads and waits to come back; the
                # expansion of a fresh seed by an XOF (FIPS 202) is as good, and does not.
                seed = secrets.token_bytes(_SEED_BYTES)
                self._pool = hashlib.shake_256(seed).digest(max(_POOL_BYTES, count))
                self._used = 0
            taken = self._pool[self._used : self._used + count]
            self._used += count
        return taken
