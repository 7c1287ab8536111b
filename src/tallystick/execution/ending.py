"""Ends the processes of an attempt whose supervisor is gone.

Does what the supervisor would have done, from outside: TERM, the grace, KILL until a look at the
host finds none. Without the supervisor's place above them, processes are found by the run
directory in their environment, their session and their descent; each is verified before it is
signalled.
"""

import signal
import threading
import time
from collections.abc import Callable

from tallystick.execution import processes
from tallystick.execution.processes import Pid

LOOK_SECONDS = 0.1
KILL_AGAIN_SECONDS = 0.05


class Ending(threading.Thread):
    """Ends what `find` finds; `done` is called when nothing is left."""

    def __init__(
        self, find: Callable[[], set[Pid]], *, grace_seconds: float, done: Callable[[], None]
    ) -> None:
        """Not started yet."""
        super().__init__(name="ending", daemon=True)
        self._find = find
        self._done = done
        self._kill_at = time.monotonic() + grace_seconds
        self._asked: set[Pid] = set()
        self._abandoned = threading.Event()

    def hurry(self, grace_seconds: float) -> None:
        """A later request can only shorten the grace."""
        self._kill_at = min(self._kill_at, time.monotonic() + grace_seconds)

    def abandon(self) -> None:
        """Stop here: the server closes, and its next one will be asked again."""
        self._abandoned.set()

    def run(self) -> None:
        """Until nothing is left."""
        while living := self._find():
            now = time.monotonic()
            if now >= self._kill_at:
                for pid in living:
                    processes.send(pid, signal.SIGKILL)
                pause = KILL_AGAIN_SECONDS
            else:
                self._ask(living - self._asked)
                pause = min(LOOK_SECONDS, self._kill_at - now)
            if self._abandoned.wait(pause):
                return
        self._done()

    def _ask(self, pids: set[Pid]) -> None:
        """TERM once to each; CONT so that a stopped process can hear it."""
        for pid in pids:
            processes.send(pid, signal.SIGTERM)
            processes.send(pid, signal.SIGCONT)
        self._asked |= pids
