"""What this machine is, what others do on it, and what a tree of processes costs. Linux only.

Other programs' CPU is the machine's busy time less that of this process and of all that descends
from it. Detached children stay ours: the process makes itself their subreaper.
"""

import contextlib
import ctypes
import os
import platform
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_CORES = 0.25
"""Others may use this much of one core before a section begins."""
_PR_SET_CHILD_SUBREAPER = 36


def facts() -> list[str]:
    """The machine in a few lines."""
    model = _first_value(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown"
    memory = int((_first_value(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0])
    return [
        f"{os.cpu_count()} cores ({model}), {memory / 2**20:.0f} GiB",
        f"Linux {platform.release()}; SQLite {sqlite3.sqlite_version}",
        f"{platform.python_implementation()} {platform.python_version()}",
    ]


def adopt_orphans() -> None:
    """Have detached descendants become children of this process, so that they count as ours."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _first_value(path: Path, key: str) -> str | None:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _busy_seconds() -> float:
    """CPU time of the whole machine that was not idle."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) / TICKS


def _stat(pid: int) -> list[str] | None:
    """Fields 3 and following of /proc/PID/stat."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None


def tree(root: int) -> list[int]:
    """A process and all its descendants, as they are now."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - every process of a host
        fields = _stat(int(name)) if name.isdigit() else None
        if fields:
            below.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += below.get(pid, [])
    return found


def family(root: int) -> dict[int, str]:
    """A process and its descendants, each with its start time: a number may come again."""
    found = {}
    for pid in tree(root):
        fields = _stat(pid)
        if fields:
            found[pid] = fields[19]
    return found


def kill_left(members: Mapping[int, str]) -> None:
    """Kill whoever of a family is still there."""
    for pid, began in members.items():
        fields = _stat(pid)
        if fields and fields[19] == began and fields[0] != "Z":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _own_seconds() -> float:
    """CPU time of this process, of its descendants, and of those that these waited for."""
    total = 0.0
    for pid in tree(os.getpid()):
        fields = _stat(pid)
        if fields:
            total += sum(int(field) for field in fields[11:15]) / TICKS
    return total


@dataclass(slots=True)
class Section:
    """What others used during a timed section, known once it has ended."""

    foreign: float = float("nan")


@contextlib.contextmanager
def section() -> Iterator[Section]:
    """Around a timed section."""
    seen = Section()
    busy, own, began = _busy_seconds(), _own_seconds(), time.perf_counter()
    yield seen
    taken = max(time.perf_counter() - began, 1 / TICKS)
    seen.foreign = max(0.0, (_busy_seconds() - busy - (_own_seconds() - own)) / taken)


def await_quiet(*, patience_seconds: float) -> bool:
    """Wait until others leave the machine alone; False when the patience is at its end."""
    deadline = time.monotonic() + patience_seconds
    while True:
        with section() as seen:
            time.sleep(0.4)
        if seen.foreign < QUIET_CORES:
            return True
        if time.monotonic() > deadline:
            return False


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process and its descendants, in MB."""

    rss: float
    pss: float
    processes: int
    threads: int


def memory(root: int) -> Memory:
    """What a tree of processes holds now; RSS counts shared pages once for each process."""
    rss = pss = threads = count = 0
    for pid in tree(root):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        rss += sum(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))
        pss += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        threads += sum(int(line.split()[1]) for line in status if line.startswith("Threads:"))
        count += 1
    return Memory(rss / 1024, pss / 1024, count, threads)
