"""What /proc says of this boot and of one process, for server and supervisor alike.

Stdlib only, and keeps nothing. Elsewhere than on Linux the answers are "not known".
"""

from pathlib import Path


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().decode().strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Which numbers processes have here; empty where that is not known. A sandbox has its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def stat_fields(pid: int) -> list[bytes] | None:
    """Fields 3 and following of /proc/PID/stat; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:  # noqa: PTH123 - for every pid of a host
            content = file.read(4096)
    except OSError:
        return None
    return content[content.rindex(b")") + 2 :].split()  # the name may hold blanks and brackets


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat: tells a pid from its later namesake within one boot."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None
