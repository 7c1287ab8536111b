"""Executes attempts on this host.

The run directory is the record: a lock says whether a supervisor lives, a journal what it saw. The
command can reach both, so a line counts by its MAC, a supervisor's life by its process, and no end
is read while it lives: it delivers by itself. On top of that the backend keeps pidfds, so that the
kernel tells when something ends and, where it can (Linux 6.15 and later), what the exit status of
an unsupervised command was. Needs Linux: elsewhere `submit` is refused.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from tallystick import proc
from tallystick.domain.capacity import Capacity
from tallystick.errors import UnavailableError
from tallystick.execution import host, processes, rundir
from tallystick.execution.backend import (
    Exited,
    Gone,
    Handle,
    NotStarted,
    Recorded,
    Sighting,
    Submission,
    Supervised,
    Unsupervised,
)
from tallystick.execution.bundle import write_stop
from tallystick.execution.devices import Devices, Owner, leased_to
from tallystick.execution.followed import Followed, Held
from tallystick.execution.launcher import LauncherClient
from tallystick.execution.processes import Pid
from tallystick.execution.watcher import Watcher
from tallystick.wire.bundle import JOURNAL_FILE, OUTPUT_FILE, StopRequest
from tallystick.wire.journal import load
from tallystick.wire.observation import CommandExited, Observation

LEFTOVER_SECONDS = 2.0
"""Between TERM and KILL for what outlived an unsupervised command, as in a bundle."""
LOOKS = 2
"""More looks at the host before it is believed that nothing of an attempt is left."""
LAUNCHES = 5
"""Supervisors that may die before their first record until no more are started."""
ORPHAN_LOCK_LOOKS = 5
"""A child keeps its supervisor's lock until it has executed; longer, it is the command's doing."""


class LocalBackend:
    """The `Backend` of one host; see there for the promises."""

    name = "local"

    def __init__(self, *, python: str = sys.executable, gpus: str | None = None) -> None:
        """`python` runs supervisors; `gpus` is the setting `execution.gpus`.

        Nothing is started before `watch` or `submit`, no driver asked before `capacity`. Raises
        `InvalidError` for a setting that names no devices.
        """
        self._devices = Devices(gpus, whose=self._owner)
        self._memory_mb = host.memory_mb()
        self._launcher = LauncherClient(python)
        self._watcher = Watcher()
        self._boot_id = proc.boot_id()
        self._guard = threading.RLock()
        self._followed: dict[str, Followed] = {}
        # What the kernel told once; the pidfd that it told it by need not be kept.
        self._last_words: dict[str, Exited] = {}
        # Submitted since the last `observe`, whose caller may not have known of them yet.
        self._fresh: set[str] = set()
        # Once seen at work: never started again, whatever is left of the journal.
        self._begun: dict[str, str] = {}
        self._closed = False

    @property
    def launcher_pid(self) -> int | None:
        """The process that forks supervisors, while one is known."""
        return self._launcher.pid

    def submit(self, submission: Submission) -> str:
        """Have a supervisor forked, unless the run directory shows that there was one."""
        if sys.platform != "linux":
            raise UnavailableError("runs on this host need Linux", code="linux_required")
        with self._guard:
            self._fresh.add(submission.attempt)
            started, _ = rundir.read_head(
                submission.directory, attempt=submission.attempt, key=submission.supervisor_token
            )
            if started is not None:
                return _native(Pid(started.pid, started.start_ticks), started.boot_id)
            if submission.attempt in self._begun:
                return self._begun[submission.attempt]
            followed = self._follow(submission)
            if followed.supervisor is None or not followed.supervisor.alive:
                launched = self._launcher.launch(
                    attempt=submission.attempt,
                    directory=submission.directory,
                    token=submission.supervisor_token,
                )
                pid = Pid(launched.pid, launched.start_ticks)
                followed.launches += 1
                self._follow_supervisor(followed, pid)
                return _native(pid, self._boot_id)
            return _native(followed.supervisor.pid, self._boot_id)

    def observe(self, attempts: Sequence[Handle]) -> dict[str, Sighting]:
        """Look at each run directory; at the host's processes only for those left alone."""
        with self._guard:
            sightings: dict[str, Sighting] = {}
            alone: list[tuple[Handle, tuple[Observation, ...]]] = []
            for handle in attempts:
                seen = self._look(handle)
                if isinstance(seen, tuple):
                    alone.append((handle, seen))
                else:
                    sightings[handle.attempt] = seen
            if alone:
                # Only now: a look at the host from before a lock was found free proves nothing.
                host = processes.scan()
                for handle, records in alone:
                    sightings[handle.attempt] = self._look_alone(handle, records, host)
            self._forget_others({handle.attempt for handle in attempts})
            return sightings

    def cancel(self, handle: Handle, *, grace_seconds: float) -> None:
        """Write the request down, then tell whoever can carry it out."""
        if rundir.has_ended(_journal(handle)):
            return
        try:
            write_stop(handle.directory, StopRequest(grace_seconds=grace_seconds))
        except FileNotFoundError:
            if not handle.native:
                return  # there is nothing that could be started
        except OSError:
            if not handle.native:
                raise
            # else the command stands in the way, and is ended all the same
        # Read after stop.json was written: a supervisor that is not in the journal by now looks
        # for stop.json before it executes anything.
        records = _journal(handle)
        supervisor, boot_id = _supervisor_of(handle, records)
        if rundir.has_ended(records) or supervisor is None or boot_id != self._boot_id:
            return
        if processes.is_alive(supervisor):
            if not (records or self._has_begun(handle)):
                return  # it has hardly begun: a signal would kill it, and it will find the file
            if processes.send(supervisor, signal.SIGTERM):
                processes.send(supervisor, signal.SIGCONT)  # its command may have stopped it
                return
        with self._guard:
            followed = self._learn(handle, records)
            self._end(followed, grace_seconds)

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a supervisor or a command has ended."""
        self._watcher.start(wake)
        if sys.platform == "linux":
            self._launcher.warm()  # so that the first run need not wait for it

    def capacity(self) -> Capacity:
        """A run for each CPU that this process may use, or for each GPU where there are more."""
        devices, cpus = self._devices.look(), host.cpus()
        slots = max(cpus, len(devices))
        return Capacity(slots=slots, cpus=cpus, memory_mb=self._memory_mb, devices=devices)

    def close(self) -> None:
        """Give everything back; supervisors and runs take no notice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            followed, self._followed = self._followed, {}
        for one in followed.values():
            one.abandon()
        self._watcher.close()  # before the pidfds: it must not see their numbers given to others
        self._launcher.close()
        self._devices.close()
        for one in followed.values():
            one.close()

    def _owner(self, pid: int) -> Owner | None:
        """Which attempt a process belongs to, of those that are known here."""
        line = processes.line_of(pid)
        with self._guard:
            for attempt, followed in self._followed.items():
                if followed.counts(line):
                    return Owner(attempt, leased_to(followed.directory))
        return None

    def _look(self, handle: Handle) -> Sighting | tuple[Observation, ...]:
        """What the run directory says; the journal, when it has begun and nobody supervises.

        The order matters. Without a native handle: first the journal's size, then the lock; the
        other way round a supervisor might only be starting. And the journal is read once more
        after its supervisor was found dead: it may have written the end just before.
        """
        followed = self._followed.get(handle.attempt)
        if followed is not None and followed.supervisor_alive:
            return self._look_supervised(handle)
        size = rundir.journal_bytes(handle.directory)
        held = rundir.is_held(handle.directory)
        records = _journal(handle) if size else ()
        supervisor, boot_id = _supervisor_of(handle, records)
        if supervisor is None:
            return self._look_unrecorded(handle, held=held)
        here = boot_id == self._boot_id
        if here and processes.is_alive(supervisor):
            return self._look_supervised(handle)
        if here and held and self._lock_is_passing(handle):
            return Supervised()
        records = _journal(handle)
        if _supervisor_of(handle, records)[0] != supervisor:
            return Supervised()  # it has only just been written: another look will tell
        if rundir.has_ended(records):
            self._forget(handle.attempt)
            return Recorded(observations=records)
        if not here:
            self._forget(handle.attempt)
            return Gone(reason="host rebooted", observations=records)
        return records

    def _look_unrecorded(self, handle: Handle, *, held: bool) -> Sighting | tuple[()]:
        """Neither journal nor handle names a supervisor: it was cut short before the first record,
        and nothing had been executed.
        """
        if held:
            return Supervised()
        if handle.attempt in self._begun:
            return ()
        followed = self._followed.get(handle.attempt)
        if followed is not None and followed.launches >= LAUNCHES:
            return Gone(reason="supervisor could not start")
        return NotStarted()

    def _look_supervised(self, handle: Handle) -> Sighting:
        """Its supervisor lives: at work, or done and still delivering; whom it names is kept."""
        followed = self._follow(handle)
        if followed.supervisor is not None:
            processes.go_on(followed.supervisor.pid)
        size = rundir.journal_bytes(handle.directory)
        if size != followed.journal_bytes and (not followed.supervisor or not followed.command):
            supervisor, command = rundir.read_head(
                handle.directory, attempt=handle.attempt, key=handle.journal_key
            )
            if supervisor is not None and supervisor.boot_id == self._boot_id:
                pid = Pid(supervisor.pid, supervisor.start_ticks)
                self._begun[handle.attempt] = _native(pid, supervisor.boot_id)
                self._follow_supervisor(followed, pid)
            if command is not None:
                self._follow_command(followed, command)
            followed.journal_bytes = size
        return Supervised()

    def _has_begun(self, handle: Handle) -> bool:
        """Whether anything says so but the journal, which the command may have removed."""
        if handle.attempt in self._begun or rundir.is_held(handle.directory):
            return True
        return (handle.directory / OUTPUT_FILE).exists()

    def _lock_is_passing(self, handle: Handle) -> bool:
        """Whether a dead supervisor's lock may still be that of a child about to execute."""
        followed = self._follow(handle)
        followed.orphan_lock_looks += 1
        return followed.orphan_lock_looks < ORPHAN_LOCK_LOOKS

    def _look_alone(
        self,
        handle: Handle,
        records: tuple[Observation, ...],
        host: dict[int, processes.Process],
    ) -> Sighting:
        """The supervisor is gone, and its journal has no end."""
        if handle.attempt in self._last_words:
            return self._last_words[handle.attempt]
        followed = self._learn(handle, records)
        living = followed.find_members(host) or self._find_again(followed)
        exited = next((r for r in records if isinstance(r, CommandExited)), None)
        if living and not rundir.was_executed(records) and not followed.names_itself(living, host):
            return Supervised()  # the child that waits to become the command: it ends by itself
        if living:
            over = exited is not None or (followed.command and not followed.command.alive)
            if over and not followed.ending:
                self._end(followed, LEFTOVER_SECONDS)  # as the supervisor would have
            pids = tuple(sorted(pid.number for pid in living))
            return Unsupervised(pids=pids, observations=records)
        if exited is not None:
            self._forget(handle.attempt)
            return Exited(exit_code=exited.exit_code, signal=exited.signal, observations=records)
        status = followed.command.exit_status() if followed.command else None
        if status == signal.SIGKILL and not rundir.was_executed(records):
            status = None  # so ends a child that was never let execute; nobody can tell which
        self._forget(handle.attempt)
        if status is None:
            could = followed.launches < LAUNCHES or handle.attempt in self._begun or records
            reason = "supervisor killed" if could else "supervisor could not start"
            return Gone(reason=reason, observations=records)
        code = os.waitstatus_to_exitcode(status)
        word = Exited(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            observations=records,
        )
        self._last_words[handle.attempt] = word
        return word

    def _find_again(self, followed: Followed) -> set[Pid]:
        """Look at the host anew: one look can miss a process that forks and exits all the time."""
        for _ in range(LOOKS):
            living = followed.find_members(processes.scan())
            if living:
                return living
        return set()

    def _end(self, followed: Followed, grace_seconds: float) -> None:
        """Begin to end an unsupervised attempt, or shorten the grace of what was begun."""

        def find() -> set[Pid]:
            with self._guard:
                return self._find_again(followed)

        followed.end(find, grace_seconds=grace_seconds, done=self._watcher.ring)

    def _learn(self, handle: Handle, records: tuple[Observation, ...]) -> Followed:
        """Remember the command of an attempt that has lost its supervisor."""
        followed = self._follow(handle)
        _, command = rundir.find_start(records)
        if command is not None:
            self._follow_command(followed, command)
        return followed

    def _follow(self, of: Submission | Handle) -> Followed:
        """What is remembered of an attempt, from now on if not before."""
        followed = self._followed.get(of.attempt)
        if followed is None:
            followed = self._followed[of.attempt] = Followed(of.directory)
        return followed

    def _follow_supervisor(self, followed: Followed, pid: Pid) -> None:
        """Keep a pidfd of the supervisor, for the hint of its end."""
        if followed.supervisor is None or followed.supervisor.pid != pid:
            if followed.supervisor is not None:
                followed.supervisor.close()
            followed.supervisor = Held(pid)
            if followed.supervisor.descriptor is not None:
                self._watcher.add(followed.supervisor.descriptor)

    def _follow_command(self, followed: Followed, pid: Pid) -> None:
        """Keep a pidfd of the command: it may have to tell the exit status one day."""
        if followed.command is None:
            followed.command = Held(pid)
            if followed.command.descriptor is not None:
                self._watcher.add(followed.command.descriptor)

    def _forget(self, attempt: str) -> None:
        """Nothing more can be learnt about it than the run directory says."""
        followed = self._followed.pop(attempt, None)
        if followed is not None:
            followed.close()

    def _forget_others(self, wanted: set[str]) -> None:
        """Keep what is asked for, what the asker may not have known yet, and what is being ended.

        The end of most attempts is delivered by their supervisors, so nobody asks again.
        """
        kept = wanted | self._fresh
        self._fresh = set()
        for attempt in [a for a, one in self._followed.items() if not one.ending and a not in kept]:
            self._forget(attempt)
        self._last_words = {a: word for a, word in self._last_words.items() if a in kept}
        self._begun = {a: native for a, native in self._begun.items() if a in kept}


def _native(pid: Pid, boot_id: str) -> str:
    """The native handle: for people; what is acted upon is read from the run directory."""
    return f"local:{pid.number}:{pid.start_ticks}:{boot_id}"


def _supervisor_of(
    handle: Handle, records: tuple[Observation, ...]
) -> tuple[Pid | None, str | None]:
    """Who supervises or did, and in which boot: by the journal, by the native handle without."""
    started, _ = rundir.find_start(records)
    if started is not None:
        return Pid(started.pid, started.start_ticks), started.boot_id
    match handle.native.split(":"):
        case ["local", pid, ticks, boot_id] if pid.isdecimal() and ticks.isdecimal():
            return Pid(int(pid), int(ticks)), boot_id
        case _:
            return None, None


def _journal(handle: Handle) -> tuple[Observation, ...]:
    """What the attempt's supervisor has written down."""
    path = handle.directory / JOURNAL_FILE
    return load(path, attempt=handle.attempt, key=handle.journal_key)
