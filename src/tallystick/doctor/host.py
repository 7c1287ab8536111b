"""Checks of the host: who answers at the port, what the kernel can tell, what is allowed."""

import ctypes
import fcntl
import http.client
import json
import os
import resource
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.doctor.place import Place

ASK_SECONDS: Final = 0.5
FEW_FILES: Final = 1_024
FEW_PROCESSES: Final = 256

_GET_SUBREAPER: Final = 37  # PR_GET_CHILD_SUBREAPER, linux/prctl.h
_GET_INFO: Final = 0xC040FF0B  # PIDFD_GET_INFO with the first published size, linux/pidfd.h
_INFO_BYTES: Final = 64


def server(place: Place) -> Finding:
    """Whether one runs, answers and writes; and nothing is left of one that was killed."""
    name, announced = "server", place.announced()
    file = place.data_dir / "server.json"
    if not place.is_served():
        if announced is None:
            return ok(name, "not running")
        return warn(name, f"not running; {file} is left of one that was killed", "tally up")
    if not announced or "url" not in announced:
        return warn(name, f"it runs, and {file} does not say where", "restart the server")
    url, pid = str(announced["url"]), announced.get("pid")
    health = _health(url)
    if health is None:
        return fail(
            name,
            f"process {pid} holds the directory, and {url} does not answer",
            f"ps -fp {pid}   (then: kill {pid}; runs go on without it)",
        )
    if health.get("status") != "ok":
        return fail(
            name, f"{url} is {health.get('status')}: {health.get('reason')}", "see `ledger` below"
        )
    return ok(name, f"{url}, process {pid}, writes")


def port(place: Place) -> Finding:
    """The port of the settings is free, or in use by this directory's own server."""
    name = "port"
    host, number = place.settings.server.host, place.settings.server.port
    if number == 0:
        return ok(name, "0: a free one is picked")
    if place.is_served():
        return ok(name, "the server of this directory has its own")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            owner = _owner(place, number)
            return fail(
                name,
                f"{host}:{number}: {error.strerror}{f', by {owner}' if owner else ''}",
                "tally up --port 0, or end that process",
            )
    return ok(name, f"{host}:{number} is free")


def kernel(place: Place) -> Finding:
    """What supervision needs; what is missing makes it weaker, and says how."""
    name = "kernel"
    if not (place.proc / "self" / "stat").exists():
        return fail(name, f"{place.proc} is not mounted: processes cannot be told apart", _PROC)
    if not _has_pidfd():
        return fail(name, f"{os.uname().release} has no pidfd", "use Linux 5.4 or newer")
    if not _has_subreaper():
        return fail(name, f"{os.uname().release} has no subreaper", "use Linux 5.4 or newer")
    if not _tells_exits():
        return warn(
            name,
            f"{os.uname().release} tells no exit status through a pidfd: of a run whose supervisor "
            "was killed it may be lost",
            "Linux 6.14 or newer tells it; nothing else depends on that",
        )
    return ok(name, f"{os.uname().release}: pidfd, exit status by pidfd, subreaper")


_PROC: Final = "mount -t proc proc /proc"


def limits(_place: Place) -> Finding:
    """Enough open files and processes for runs and those who wait."""
    name = "limits"
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    said = f"{_count(files)} open files, {_count(processes)} processes"
    if 0 <= files < FEW_FILES:
        return warn(name, said, f"ulimit -n {4 * FEW_FILES}")
    if 0 <= processes < FEW_PROCESSES:
        return warn(name, said, f"ulimit -u {16 * FEW_PROCESSES}")
    return ok(name, said)


def programs(_place: Place) -> Finding:
    """Python, and git for the exact state of the code."""
    version = ".".join(map(str, sys.version_info[:3]))
    git = shutil.which("git")
    if git is None:
        return warn(
            "programs",
            f"Python {version}; git is missing: runs record no commit",
            "apt-get install git",
        )
    return ok("programs", f"Python {version}, {git}")


def _health(url: str) -> dict[str, Any] | None:
    """The health document; None when nobody answers soon."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/health")
        document = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return document if isinstance(document, dict) else None


def _owner(place: Place, number: int) -> str | None:
    """Who listens on a port, as far as /proc lets this user see."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (place.proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == number:
                inodes.add(f"socket:[{fields[9]}]")
    for process in place.proc.iterdir():
        if process.name.isdigit() and _holds(process, inodes):
            words = (process / "cmdline").read_bytes().split(b"\0")
            shown = b" ".join(words).decode("utf-8", "replace").strip()[:60]
            return f"process {process.name} ({shown})"
    return None


def _holds(process: Path, inodes: set[str]) -> bool:
    """Whether a process has one of these sockets open."""
    try:
        return any(str(item.readlink()) in inodes for item in (process / "fd").iterdir())
    except OSError:  # another user's, or gone
        return False


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


def _tells_exits() -> bool:
    """Whether PIDFD_GET_INFO is answered (for a living process, without an exit status)."""
    descriptor = os.pidfd_open(os.getpid())
    try:
        fcntl.ioctl(descriptor, _GET_INFO, bytearray(_INFO_BYTES))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _has_subreaper() -> bool:
    answer = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_GET_SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0)


def _count(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
