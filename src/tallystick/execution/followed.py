"""What the local backend remembers of an attempt; all of it can be found again after a restart."""

import os
from collections.abc import Callable
from pathlib import Path

from tallystick.execution import processes
from tallystick.execution.ending import Ending
from tallystick.execution.processes import Pid


class Held:
    """A process with its pidfd, as long as the system lets us have one."""

    def __init__(self, pid: Pid) -> None:
        """Open the pidfd, should the process still be there."""
        self.pid = pid
        self.descriptor = processes.open_pidfd(pid)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if self.descriptor is None:
            return processes.is_alive(self.pid)
        return not processes.has_exited(self.descriptor)

    def exit_status(self) -> int | None:
        """The kernel's word on how it ended; None when it was not asked in time, or is silent."""
        if self.descriptor is None:
            return None
        return processes.exit_status(self.descriptor, self.pid)

    def close(self) -> None:
        """Give the pidfd back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Followed:
    """The processes of one attempt; guarded by the backend's lock."""

    def __init__(self, directory: Path) -> None:
        """Nothing is known yet but the run directory, by which its processes are found.

        Its path is one on this host; an attempt's id could be another's, of another server.
        """
        self.directory = directory
        self._directory = os.fsencode(directory.resolve())
        self.supervisor: Held | None = None
        self.command: Held | None = None
        self.journal_bytes = 0
        """Size of the journal when it was last looked into."""
        self.launches = 0
        """How many supervisors were started from here."""
        self.orphan_lock_looks = 0
        """How often the lock was seen held though its supervisor was dead."""
        self._members: set[Pid] = set()
        self._ending: Ending | None = None

    @property
    def supervisor_alive(self) -> bool:
        """Whether a supervisor that was launched from here still runs."""
        return self.supervisor is not None and self.supervisor.alive

    @property
    def ending(self) -> bool:
        """Whether its processes are being ended without a supervisor."""
        return self._ending is not None and self._ending.is_alive()

    def find_members(self, host: dict[int, processes.Process]) -> set[Pid]:
        """Living processes of the attempt, remembered so that their children stay known."""
        command = self.command.pid if self.command else None
        self._members = processes.members(
            self._directory, among=host, command=command, known=self._members
        )
        return self._members

    def names_itself(self, pids: set[Pid], host: dict[int, processes.Process]) -> bool:
        """Whether one of them was executed for this attempt: its environment says so."""
        seen = (host[pid.number] for pid in pids if pid.number in host)
        return any(process.directory == self._directory for process in seen)

    def counts(self, line: list[processes.Process]) -> bool:
        """Whether a process is one of the attempt, by itself and those above it."""
        known = {held.pid for held in (self.supervisor, self.command) if held} | self._members
        return any(one.pid in known or one.directory == self._directory for one in line)

    def end(
        self, find: Callable[[], set[Pid]], *, grace_seconds: float, done: Callable[[], None]
    ) -> None:
        """Begin to end what `find` finds, or shorten the grace of what was begun."""
        if self._ending is not None and self._ending.is_alive():
            self._ending.hurry(grace_seconds)
            return
        self._ending = Ending(find, grace_seconds=grace_seconds, done=done)
        self._ending.start()

    def abandon(self) -> None:
        """Stop ending anything."""
        if self._ending is not None:
            self._ending.abandon()

    def close(self) -> None:
        """Give the pidfds back."""
        for held in (self.supervisor, self.command):
            if held is not None:
                held.close()
