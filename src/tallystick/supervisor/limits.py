"""Limits of a run: its time, its memory, and what tells that a memory was exhausted.

A limit on memory holds for all processes of the run together, in a cgroup of their own (version 2,
or 1 on a host that has only that for memory); where the host lets us make none, `confine` says
why, and nothing is pretended. What the
kernel says counts before what a program printed; what was printed counts only where the command
failed; and what rests on neither is called suspected (P3.3, P3.7).
"""

import os
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tallystick.supervisor import capture, process

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
VMSTAT = Path("/proc/vmstat")
GROUP_PREFIX = "tally-"
ABANDONED_SECONDS = 60.0
"""An empty group so old belongs to a supervisor that was killed; it is removed by the next one."""
KILLED_STATUSES = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""The command died by it, or its shell says so of a child."""
LINE_CHARACTERS = 200
_MIB = 1024 * 1024
_DEVICE = re.compile(
    r"(?:CUDA|HIP|XPU)(?: error:)? out of memory"  # PyTorch and what is built on it
    r"|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED"
    r"|RESOURCE_EXHAUSTED: .*(?:[Oo]ut of memory|OOM|[Ff]ailed to allocate)"  # JAX and XLA
    r"|ResourceExhaustedError.*OOM"  # TensorFlow
    r"|cupy\S*\.OutOfMemoryError|torch\S*\.OutOfMemoryError"
)

MemoryCode = Literal["kernel_out_of_memory", "cuda_out_of_memory"]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A memory was: which one, and how that is known."""

    code: MemoryCode
    words: str


class Group:
    """A cgroup for one run; made only where its limit holds."""

    def __init__(self, path: Path, limit_bytes: int, *, unified: bool) -> None:
        """Make it, and set the limit; raises OSError where that is not possible.

        `unified` says whether the hierarchy is version 2.
        """
        self.path = path
        self.limit_bytes = limit_bytes
        self._counter = path / ("memory.events" if unified else "memory.oom_control")
        path.mkdir()
        try:
            if unified:
                _write(path / "memory.max", limit_bytes)
                with suppress(OSError):  # a kernel without swap accounting has no such file
                    _write(path / "memory.swap.max", 0)  # else the limit would only make it slow
                with suppress(OSError):  # Linux before 4.19
                    _write(path / "memory.oom.group", 1)  # half a run computes nothing
            else:
                _write(path / "memory.limit_in_bytes", limit_bytes)
                with suppress(OSError):
                    _write(path / "memory.memsw.limit_in_bytes", limit_bytes)  # memory and swap
        except OSError:
            self.remove()
            raise

    def admit(self, pid: int) -> None:
        """Put a process in, with all that it will start; raises OSError."""
        _write(self.path / "cgroup.procs", pid)

    def kills(self) -> int:
        """How many processes of the run the kernel killed for want of memory."""
        return _counter(self._counter)

    def remove(self) -> None:
        """Nothing of the run is left; where the kernel is slower than we, a later one removes."""
        _remove(self.path)


@dataclass(frozen=True, slots=True)
class Host:
    """Where this host keeps what is asked of it."""

    cgroups: Path = CGROUPS
    own_cgroup: Path = OWN_CGROUP
    vmstat: Path = VMSTAT

    def make_group(self, name: str, limit_bytes: int) -> Group:
        """A group beside or below our own; raises OSError with the reason in words.

        Below works where we hold no process of a cgroup that was handed to us; beside works in a
        session of systemd's, whose slice belongs to the user.
        """
        reason = "no cgroup that counts memory holds this process"
        for parent, unified in self._parents():
            try:
                if unified:
                    _offer_memory(parent)
                _sweep(parent)
                return Group(parent / (GROUP_PREFIX + name), limit_bytes, unified=unified)
            except OSError as error:
                reason = f"{parent.relative_to(self.cgroups)}: {error.strerror or error}"
        raise OSError(reason)

    def kills(self) -> int:
        """How often this host's kernel killed a process for want of memory, since it started."""
        return _counter(self.vmstat)

    def _parents(self) -> list[tuple[Path, bool]]:
        """Our own cgroup and the one above it, as far as they lie below the mount.

        Each with whether it is of version 2; a hierarchy of version 1 comes first, since memory
        belongs to one of the two, and to that one where there is one.
        """
        try:
            lines = self.own_cgroup.read_text().splitlines()
        except OSError:
            return []
        parents: list[tuple[Path, bool]] = []
        for line in lines:
            number, _, rest = line.partition(":")
            controllers, _, own = rest.partition(":")
            if "memory" in controllers.split(","):
                mount, unified = self.cgroups / "memory", False
            elif number == "0" and (self.cgroups / "cgroup.controllers").exists():
                mount, unified = self.cgroups, True
            else:
                continue
            place = mount / own.lstrip("/")
            parents.append((place, unified))
            if place != mount:
                parents.append((place.parent, unified))
        return sorted(parents, key=lambda parent: parent[1])


class Limits:
    """What one run may use, and what is known of its having used it up."""

    def __init__(
        self,
        *,
        name: str,
        timeout_seconds: float | None,
        memory_bytes: int | None,
        host: Host | None = None,
    ) -> None:
        """`name` is the attempt's id; nothing is limited yet."""
        self._host = host or Host()
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._group: Group | None = None
        self._kills_before = self._host.kills()
        self.deadline: float | None = None
        """On the monotonic clock; None before `start`, and without a limit."""
        self.missing: str | None = None
        """Why the limit on memory does not hold, in words; None where it does, or none is set."""

    def confine(self, pid: int) -> None:
        """Put the child that will become the command under the limit on memory, if there is one."""
        if self._memory_bytes is None:
            return
        try:
            self._group = self._host.make_group(self._name, self._memory_bytes)
            self._group.admit(pid)
        except OSError as error:
            self.release()
            self.missing = (
                f"the limit of {self._memory_bytes // _MIB} MiB of memory is not enforced: this "
                f"host lets the supervisor make no cgroup ({error.strerror or error})"
            )

    def start(self) -> None:
        """The command was executed just now: its time begins."""
        if self._timeout_seconds is not None:
            self.deadline = time.monotonic() + self._timeout_seconds

    def timed_out_words(self) -> str:
        """The reason of a run that was ended for its time."""
        return f"{self._timeout_seconds:g} s had passed"

    def exhausted(self, status: int, output: Path) -> Exhausted | None:
        """Which memory made the command fail; `status` as subprocess has it, negative a signal.

        To be asked of a command that ended without anybody of ours having asked it to.
        """
        if status == 0:
            return None
        if self._group is not None and self._group.kills():
            words = f"its limit of {self._group.limit_bytes // _MIB} MiB was reached"
            return Exhausted("kernel_out_of_memory", words)
        if status in KILLED_STATUSES and self._host.kills() > self._kills_before:
            return Exhausted(
                "kernel_out_of_memory",
                "suspected: the command was killed, and meanwhile the kernel killed a process of "
                "this host for want of memory",
            )
        line = device_memory_line(capture.last_lines(output))
        return None if line is None else Exhausted("cuda_out_of_memory", line)

    def release(self) -> None:
        """No process of the run is left."""
        if self._group is not None:
            self._group.remove()
            self._group = None


def device_memory_line(lines: Sequence[str]) -> str | None:
    """The last of the lines by which a library says that a GPU's memory is exhausted."""
    for line in reversed(lines):
        if found := _DEVICE.search(line):
            start = max(0, found.start() - LINE_CHARACTERS // 2)
            return line[start : start + LINE_CHARACTERS].strip()
    return None


def _offer_memory(parent: Path) -> None:
    """See to it that children of a group can be limited; raises OSError."""
    control = parent / "cgroup.subtree_control"
    if "memory" not in control.read_text().split():
        _write(control, "+memory")


def _sweep(parent: Path) -> None:
    """Remove groups of runs whose supervisor could not: those that are empty, and not new."""
    for group in parent.glob(GROUP_PREFIX + "*"):
        with suppress(OSError):
            if process.now_ms() / 1000 - group.stat().st_mtime > ABANDONED_SECONDS:
                _remove(group)


def _remove(group: Path) -> None:
    """A group with those that a command has made in it, as far as no process is left there."""
    with suppress(OSError):
        for inner, _, _ in os.walk(group, topdown=False):
            Path(inner).rmdir()


def _counter(path: Path) -> int:
    """The number behind `oom_kill`; 0 where the kernel does not say."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return 0
    return next((int(line[9:]) for line in lines if line.startswith(b"oom_kill ")), 0)


def _write(path: Path, value: int | str) -> None:
    """One value to one file of the kernel's; it is never created."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)
