"""The processes of a run, from the command's start until wait says that none is left.

Complete because the supervisor is a subreaper: a process that detached, forked twice or changed
its session is still our descendant. Ending them is TERM, a grace period, then KILL again and again
faster than a tree can grow. Waits in one place, for signals, with the next deadline.
"""

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tallystick.errors import InvalidError
from tallystick.supervisor import capture, process
from tallystick.supervisor.journal import Journal
from tallystick.supervisor.limits import Limits, MemoryCode
from tallystick.wire import codec
from tallystick.wire import journal as wire_journal
from tallystick.wire.bundle import OUTPUT_FILE, STOP_FILE, Bundle, StopRequest
from tallystick.wire.observation import Cause, CommandExited, Ended

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
WATCHED = STOP_SIGNALS | {signal.SIGCHLD}
KILL_AGAIN_SECONDS = 0.05
KILL_SWEEPS = 20
"""Looks in a row before waiting: a chain that forks in under a millisecond is caught in few."""
DISK_AGAIN_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 86_400.0
"""The system refuses waits of centuries; a day later the rest is waited for."""


class Tree:
    """The command and everything that came from it."""

    def __init__(
        self, pid: int, *, directory: Path, bundle: Bundle, journal: Journal, limits: Limits
    ) -> None:
        """`pid` is the command, already executed and a child of this process."""
        self._pid = pid
        self._limits = limits
        self._code: MemoryCode | None = None
        self._words: str | None = None
        self._directory = directory
        self._bundle = bundle
        self._journal = journal
        self._status: int | None = None
        self._cause: Cause = "exited"
        self._kill_at: float | None = None
        self._leftover = 0
        self._killed: set[int] = set()
        self._tail: str | None = None

    def see_through(self, tell: Callable[[], None]) -> int:
        """Return when no process is left; `tell` is called when the journal has grown.

        The result is the command's exit code, or 128 plus the signal that ended it.
        """
        while self._reap(tell):
            self._end_when_overdue()
            self._kill_when_due()
            received = self._wait()
            if received in STOP_SIGNALS:
                self._on_stop()
        self._limits.release()
        code, number = _outcome(self._status or 0)  # wait named the command before it said: none
        return 128 + number if number is not None else code or 0

    def ended(self) -> Callable[..., Ended]:
        """The last record, all but its number and time."""
        code, number = _outcome(self._status or 0)
        return partial(
            Ended,
            cause=self._cause,
            exit_code=code,
            signal=number,
            leftover=self._leftover,
            killed=len(self._killed),
            code=self._code,
            detail="\n".join(part for part in (self._words, self._tail) if part) or None,
        )

    def _reap(self, tell: Callable[[], None]) -> bool:
        """Wait for everything that has ended, adopted orphans included; False at the very end."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._status = status
                self._on_exit(status, usage)
                tell()

    def _wait(self) -> int | None:
        """The next signal; None when a deadline came first."""
        now, moments = time.monotonic(), (self._kill_at, self._due)
        deadlines = [max(0.0, moment - now) for moment in moments if moment is not None]
        if self._journal.waiting:
            self._journal.flush()
            deadlines.append(DISK_AGAIN_SECONDS)
        if not deadlines:
            return signal.sigwaitinfo(WATCHED).si_signo
        received = signal.sigtimedwait(WATCHED, min(*deadlines, LONGEST_WAIT_SECONDS))
        return None if received is None else received.si_signo

    def _on_exit(self, status: int, usage: "resource.struct_rusage") -> None:
        """Note what wait said, then ask whatever outlived the command to end."""
        code, number = _outcome(status)
        if status != 0:
            self._tail = capture.tail(self._directory / OUTPUT_FILE)
        self._journal.note(
            partial(
                CommandExited,
                exit_code=code,
                signal=number,
                tail=self._tail,
                cpu_seconds=round(usage.ru_utime + usage.ru_stime, 6),
                max_rss_bytes=usage.ru_maxrss * 1024,  # the kernel counts in KiB
            )
        )
        if self._cause != "exited":
            return  # all of them were asked already, and their grace is running
        self._note_exhaustion(status)
        left = process.descendants()
        self._leftover = len(left)
        self._ask_to_end(left, self._bundle.leftover_seconds)

    def _note_exhaustion(self, status: int) -> None:
        """The command ended by itself; whether it did so for want of memory.

        Asked before anything that was left over is killed, so no KILL of ours is taken for the
        kernel's.
        """
        found = self._limits.exhausted(
            os.waitstatus_to_exitcode(status), self._directory / OUTPUT_FILE
        )
        if found is not None:
            self._cause, self._code, self._words = "out_of_memory", found.code, found.words

    @property
    def _due(self) -> float | None:
        """When the command's time is over; None once anything else has begun to end it."""
        ending = self._cause != "exited" or self._status is not None
        return None if ending else self._limits.deadline

    def _end_when_overdue(self) -> None:
        """As a stop, but for its name; a stop that came first stays one."""
        if self._due is None or time.monotonic() < self._due:
            return
        self._cause, self._words = "timed_out", self._limits.timed_out_words()
        self._ask_to_end(process.descendants(), self._bundle.grace_seconds)

    def _on_stop(self) -> None:
        """A request to stop, or a bare signal; a repeated one can only shorten the grace."""
        request = self._read_stop()
        grace = self._bundle.grace_seconds if request is None else request.grace_seconds
        first = self._cause == "exited" and self._status is None
        if first or (self._cause == "terminated" and request is not None):
            self._cause = "terminated" if request is None else "stop"
        if first:
            self._ask_to_end(process.descendants(), grace)
        else:
            self._kill_by(time.monotonic() + grace)

    def _read_stop(self) -> StopRequest | None:
        """stop.json; None for a signal that nobody asked for."""
        try:
            document = json.loads(wire_journal.read_bytes(self._directory / STOP_FILE))
            return codec.from_json(StopRequest, document, where=STOP_FILE)
        except (ValueError, InvalidError):
            return None

    def _ask_to_end(self, pids: list[int], grace_seconds: float) -> None:
        """TERM now, KILL when the grace is over; CONT so that a stopped process can hear it."""
        process.signal_all(pids, signal.SIGTERM)
        process.signal_all(pids, signal.SIGCONT)
        self._kill_by(time.monotonic() + grace_seconds)

    def _kill_by(self, moment: float) -> None:
        """Never later than was promised before."""
        self._kill_at = moment if self._kill_at is None else min(self._kill_at, moment)

    def _kill_when_due(self) -> None:
        """KILL every descendant, and those born meanwhile."""
        if self._kill_at is None or time.monotonic() < self._kill_at:
            return
        for _ in range(KILL_SWEEPS):
            living = process.descendants()
            if not living:
                break
            self._killed |= process.signal_all(living, signal.SIGKILL)
        self._kill_at = time.monotonic() + KILL_AGAIN_SECONDS


def _outcome(status: int) -> tuple[int | None, int | None]:
    """A wait status as (exit code, None) or (None, signal)."""
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)
