"""A thread that sleeps until a process ends, and then says that something happened.

Processes are watched through pidfds that belong to the caller, so no child and no polling is
needed. What it says is a hint: nothing depends on it.
"""

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress


class Watcher:
    """Calls `wake` when a watched process has ended, and again when it was waited for."""

    def __init__(self) -> None:
        """Nothing is watched, no thread runs, and none will where the system has no epoll."""
        self._wake: Callable[[], None] | None = None
        self._guard = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._stop_end, self._stopped_end = os.pipe()
        if self._epoll:
            self._epoll.register(self._stop_end, select.EPOLLIN)

    def start(self, wake: Callable[[], None]) -> None:
        """Begin; a second call replaces the function that is called."""
        self._wake = wake
        with self._guard:
            if self._thread is None and self._epoll is not None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._epoll,), name="watcher", daemon=True
                )
                self._thread.start()

    def add(self, descriptor: int) -> None:
        """Watch a pidfd; closing it ends that."""
        if self._epoll is not None:
            with suppress(OSError, ValueError):  # watched already, or we are closed
                self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def ring(self) -> None:
        """Something else happened."""
        if self._wake is not None:
            self._wake()

    def close(self) -> None:
        """End the thread; may be repeated."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            os.write(self._stopped_end, b"!")
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join()
            if self._epoll is not None:
                self._epoll.close()
            os.close(self._stop_end)
            os.close(self._stopped_end)

    def _run(self, epoll: select.epoll) -> None:
        """Wait for any of them."""
        while True:
            for descriptor, event in epoll.poll():
                if descriptor == self._stop_end:
                    return
                if not event & select.EPOLLHUP:  # ended, not yet waited for: that comes as well
                    with suppress(OSError, ValueError):
                        epoll.modify(descriptor, select.EPOLLONESHOT)
            self.ring()
