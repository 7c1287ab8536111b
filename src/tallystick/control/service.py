"""What every loop of the server has in common: start, stop, wake, tick, back off.

A tick is plain blocking code in a thread of its own. Starting and stopping twice is harmless, a
wake-up is a hint: losing all of them only adds the poll interval. A tick that fails is logged and
tried again, later each time, up to a minute.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from tallystick.errors import TallystickError

_log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS: Final = 60.0
_MOST_DOUBLINGS: Final = 16
"""More would change nothing, and one day not fit into a float."""


class Service:
    """Runs `tick` when woken, and every `poll_seconds` in any case."""

    def __init__(
        self,
        name: str,
        tick: Callable[[], None],
        *,
        poll_seconds: float,
        spacing_seconds: float = 0.0,
    ) -> None:
        """Nothing runs before `start`.

        Two ticks are at least `spacing_seconds` apart, so that a burst of wake-ups is one tick.
        """
        self._name = name
        self._spacing_seconds = spacing_seconds
        self._tick = tick
        self._poll_seconds = poll_seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._ticks = 0
        self._ticked = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first tick comes at once."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._woken.set()
            self._thread.start()

    def wake(self) -> None:
        """Tick soon; any thread may call."""
        self._woken.set()

    def stop(self, *, patience_seconds: float | None = None) -> None:
        """End after the tick that runs now, and wait for that; no longer than `patience_seconds`.

        A tick that is left behind must be one that may be cut off anywhere.
        """
        self._stopping.set()
        self._woken.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience_seconds)

    def wait_tick(self, *, after: int, timeout_seconds: float) -> int:
        """Number of ticks done, once it exceeds `after` or the time is up; for tests."""
        with self._ticked:
            self._ticked.wait_for(lambda: self._ticks > after, timeout_seconds)
            return self._ticks

    def _run(self) -> None:
        """The thread."""
        failures = 0
        while not self._stopping.is_set():
            pause = self._poll_seconds * 2 ** min(failures, _MOST_DOUBLINGS)
            self._woken.wait(min(pause, LONGEST_BACKOFF_SECONDS))
            self._woken.clear()
            if self._stopping.is_set():
                return
            failures = 0 if self._once() else failures + 1
            with self._ticked:
                self._ticks += 1
                self._ticked.notify_all()
            if self._spacing_seconds:
                self._stopping.wait(self._spacing_seconds)

    def _once(self) -> bool:
        """One tick; whether it went well."""
        try:
            self._tick()
        except TallystickError as error:
            _log.warning("%s: %s; trying again", self._name, error.detail)
            return False
        except Exception:  # noqa: BLE001 - a loop outlives a bug in one tick; it is logged
            _log.exception("%s: tick failed; trying again", self._name)
            return False
        return True
