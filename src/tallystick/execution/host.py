"""CPUs and memory of this host that this process may use."""

import os
from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")


def cpus() -> int:
    """CPUs that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def memory_mb(meminfo: Path = _MEMINFO) -> int:
    """All memory, in MiB; 0 where nothing tells."""
    try:
        for line in meminfo.read_bytes().splitlines():
            if line.startswith(b"MemTotal:"):
                return int(line.split()[1]) // 1024
    except (OSError, ValueError, IndexError):
        return 0
    return 0
