"""Samples what the processes of a run use, into a file of metric rows beside its output.

A thread of its own that wakes every few seconds; one look reads a few files of /proc for each
process. What cannot be read is left out of the row, and nothing it does can hold up supervision.

    system/cpu_percent       of one core, over the time since the row before
    system/memory_mb         resident; what processes share counts for each of them
    system/processes
    system/read_mb, system/written_mb    from and to disks, since the start
    system/received_mb, system/sent_mb   of the network namespace, since the start: on a host that
                                         others use, theirs too
"""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from tallystick import proc
from tallystick.supervisor import process

FIRST_SECONDS = 2.0
"""The first row comes soon; a run that is shorter has none."""
SLOWER_AFTER_SECONDS = 1800.0
SLOWER = 3
"""A long run is sampled so many times more rarely."""
_MB = 1_000_000
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Sampler(threading.Thread):
    """Started once the command runs; `finish` ends it, with a last row."""

    def __init__(self, path: Path, *, every_seconds: float) -> None:
        """`path` is the file of rows; 0 or less samples nothing."""
        super().__init__(name="sampler", daemon=True)
        self._path = path
        self._every_seconds = every_seconds
        self._ending = threading.Event()
        self._begun = self._last = time.monotonic()
        self._cpu_before = cpu_seconds(process.descendants())
        self._network_before = network_bytes()
        self._disk: dict[tuple[int, int], tuple[int, int]] = {}

    def finish(self) -> None:
        """Nothing of the run is left."""
        self._ending.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Sample until the end."""
        if self._every_seconds <= 0:
            return
        pause = min(FIRST_SECONDS, self._every_seconds)
        while not self._ending.wait(pause):
            with suppress(OSError, ValueError):
                self._write(self._row())
            late = time.monotonic() - self._begun > SLOWER_AFTER_SECONDS
            pause = self._every_seconds * (SLOWER if late else 1)

    def _row(self) -> dict[str, float]:
        now, pids = time.monotonic(), process.descendants()
        used = cpu_seconds(pids)
        row = {
            "_step": round(now - self._begun, 1),
            "_timestamp": process.now_ms() / 1000,
            "system/processes": len(pids),
            "system/memory_mb": round(sum(map(resident_bytes, pids)) / _MB, 1),
        }
        if now > self._last:
            percent = 100 * max(0.0, used - self._cpu_before) / (now - self._last)
            row["system/cpu_percent"] = round(percent, 1)
        self._cpu_before, self._last = used, now
        for pid in pids:
            started, moved = proc.start_ticks(pid), disk_bytes(pid)
            if started is not None and moved is not None:
                self._disk[pid, started] = moved
        row["system/read_mb"] = round(sum(read for read, _ in self._disk.values()) / _MB, 3)
        row["system/written_mb"] = round(sum(put for _, put in self._disk.values()) / _MB, 3)
        received, sent = network_bytes()
        row["system/received_mb"] = round((received - self._network_before[0]) / _MB, 3)
        row["system/sent_mb"] = round((sent - self._network_before[1]) / _MB, 3)
        return row

    def _write(self, row: dict[str, float]) -> None:
        file = os.open(self._path, _FLAGS, 0o600)
        try:
            os.write(file, json.dumps(row, separators=(",", ":")).encode() + b"\n")
        finally:
            os.close(file)


def cpu_seconds(pids: list[int]) -> float:
    """Of living processes and of the children that they, and we, have waited for."""
    ticks = 0
    for pid in pids:
        fields = proc.stat_fields(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])
    own = os.times()
    return ticks / _TICKS + own.children_user + own.children_system


def resident_bytes(pid: int) -> int:
    """Memory that a process holds; 0 for one that is gone."""
    fields = proc.stat_fields(pid)
    return 0 if fields is None else int(fields[21]) * _PAGE


def disk_bytes(pid: int) -> tuple[int, int] | None:
    """Read from and written to disks by a process; None where that is not told."""
    try:
        lines = Path(f"/proc/{pid}/io").read_bytes().splitlines()
    except OSError:
        return None
    found = dict(line.split(b": ", 1) for line in lines if b": " in line)
    return int(found.get(b"read_bytes", 0)), int(found.get(b"write_bytes", 0))


def network_bytes() -> tuple[int, int]:
    """Received and sent by all but the loopback interface of this network namespace."""
    received = sent = 0
    try:
        lines = Path("/proc/net/dev").read_text().splitlines()
    except OSError:
        return 0, 0
    for line in lines:
        name, colon, counters = line.partition(":")
        words = counters.split()
        if colon and name.strip() != "lo" and len(words) >= 9:
            received, sent = received + int(words[0]), sent + int(words[8])
    return received, sent
