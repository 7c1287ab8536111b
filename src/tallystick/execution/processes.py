"""Processes of this host as /proc and pidfds tell about them.

A pid alone names nobody: it is believed only together with its start time and the boot it belongs
to, and is signalled through a pidfd that was opened before the start time was compared. Outside
Linux everything here answers "not known".
"""

import fcntl
import os
import select
import signal
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tallystick import proc

PIDFD_INFO_EXIT = 1 << 3
_INFO_BYTES = 64
"""The first published size of struct pidfd_info; the kernel fills what fits."""
_PIDFD_GET_INFO = (3 << 30) | (_INFO_BYTES << 16) | (0xFF << 8) | 11
_EXIT_CODE_OFFSET = 60
DIRECTORY_VARIABLE = b"TALLY_RUN_DIR="


@dataclass(frozen=True, slots=True)
class Pid:
    """One process of this boot, for good: pids come again, start times do not."""

    number: int
    start_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A living process, as one look at /proc showed it."""

    pid: Pid
    parent: int
    session: int
    directory: bytes
    """TALLY_RUN_DIR in its environment; empty when there is none or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Described:
    """Who a process is, as far as everybody may know."""

    name: str
    """Its program, at most 15 characters, as the program itself may have changed it."""
    uid: int


def is_alive(pid: Pid) -> bool:
    """Whether just this process lives; a zombie does not."""
    fields = proc.stat_fields(pid.number)
    return fields is not None and _same(fields, pid) and fields[0] not in b"ZX"


def open_pidfd(pid: Pid) -> int | None:
    """A descriptor for just this process, zombie or not; None when it is gone or not to be had."""
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return None
    try:
        descriptor: int = opener(pid.number)
    except OSError:
        return None
    fields = proc.stat_fields(pid.number)
    if fields and _same(fields, pid):
        return descriptor
    os.close(descriptor)
    return None


def has_exited(descriptor: int) -> bool:
    """Whether the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def exit_status(descriptor: int, pid: Pid) -> int | None:
    """The wait status of an ended process that is no child of ours.

    Linux 6.15 and later tell it for as long as the pidfd is open (PIDFD_GET_INFO), once the
    process was waited for; until then /proc does. None where the kernel does not say.
    """
    status = _status_by_pidfd(descriptor)
    if status is None:
        status = _status_of_zombie(pid)
    if status is None:  # it may have been waited for between the two questions
        status = _status_by_pidfd(descriptor)
    return status


def _status_by_pidfd(descriptor: int) -> int | None:
    """What PIDFD_GET_INFO tells."""
    info = bytearray(struct.pack("=Q", PIDFD_INFO_EXIT).ljust(_INFO_BYTES, b"\0"))
    try:
        fcntl.ioctl(descriptor, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("=Q", info)[0] & PIDFD_INFO_EXIT:
        return None
    status: int = struct.unpack_from("=i", info, _EXIT_CODE_OFFSET)[0]
    return status


def _status_of_zombie(pid: Pid) -> int | None:
    """What /proc/PID/stat tells; it says 0 to those who may not know, so rights are compared."""
    try:
        lines = Path(f"/proc/{pid.number}/status").read_bytes().splitlines()
    except OSError:
        return None
    ids = {
        line[:3]: {int(word) for word in line[4:].split()} for line in lines if line[3:4] == b":"
    }
    fields = proc.stat_fields(pid.number)  # after the rights: a zombie's do not change
    if not fields or not _same(fields, pid) or fields[0] != b"Z" or len(fields) <= 49:
        return None
    if ids.get(b"Uid") != {os.geteuid()} or ids.get(b"Gid") != {os.getegid()}:
        return None
    return int(fields[49])


def send(pid: Pid, number: signal.Signals) -> bool:
    """Signal just this process; False when it is gone or may not be signalled."""
    descriptor = open_pidfd(pid)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def go_on(pid: Pid) -> None:
    """Continue just this process where somebody has stopped it."""
    fields = proc.stat_fields(pid.number)
    if fields is not None and fields[0] == b"T" and _same(fields, pid):
        send(pid, signal.SIGCONT)


def scan() -> dict[int, Process]:
    """Every living process of the host by its pid; empty where there is no /proc."""
    found = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - a look at every process of a host
    except OSError:
        return {}
    for name in names:
        fields = proc.stat_fields(int(name)) if name.isdigit() else None
        if fields and fields[0] not in b"ZX":
            pid = Pid(int(name), int(fields[19]))
            found[pid.number] = Process(
                pid=pid,
                parent=int(fields[1]),
                session=int(fields[3]),
                directory=_directory(pid.number),
            )
    return found


def line_of(pid: int) -> list[Process]:
    """A process and those above it, each the parent of the one before; as far as can be read."""
    line: list[Process] = []
    while pid > 0 and pid not in {process.pid.number for process in line}:
        fields = proc.stat_fields(pid)
        if fields is None:
            break
        parent = int(fields[1])
        line.append(
            Process(
                pid=Pid(pid, int(fields[19])),
                parent=parent,
                session=int(fields[3]),
                directory=_directory(pid),
            )
        )
        pid = parent
    return line


def describe(pid: int) -> Described | None:
    """Who a process is; None when it is gone, or of another pid namespace."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
        fields = dict(line.split(b":\t", 1) for line in lines if b":\t" in line)
        name, uid = fields[b"Name"].decode("utf-8", "replace"), int(fields[b"Uid"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
    return Described("".join(letter if letter.isprintable() else "?" for letter in name), uid)


def members(
    directory: bytes, *, among: dict[int, Process], command: Pid | None, known: Iterable[Pid] = ()
) -> set[Pid]:
    """The processes of an attempt: those that name its directory, were known before or
    are the command, those in the command's session while it lives, and all that descend from any
    of these.

    A session is believed only while its leader lives: afterwards its number may be another's.
    """
    leader = among.get(command.number) if command else None
    session = leader.pid.number if leader and leader.pid == command else None
    before = {*known, command}
    chosen = {
        process.pid.number
        for process in among.values()
        if process.directory == directory or process.pid in before or process.session == session
    }
    below: dict[int, list[int]] = {}
    for process in among.values():
        below.setdefault(process.parent, []).append(process.pid.number)
    todo = list(chosen)
    while todo:
        new = set(below.get(todo.pop(), ())) - chosen
        chosen |= new
        todo += new
    return {among[number].pid for number in chosen}


def _same(fields: list[bytes], pid: Pid) -> bool:
    """Whether a line of /proc/PID/stat is about this very process."""
    return int(fields[19]) == pid.start_ticks


def _directory(pid: int) -> bytes:
    """The run directory named in a process's environment, as it was when its program began."""
    try:
        with open(f"/proc/{pid}/environ", "rb", 0) as file:  # noqa: PTH123 - as above
            content = b"\0" + _read_all(file.fileno())
    except OSError:  # another user's, or gone
        return b""
    _, found, rest = content.partition(b"\0" + DIRECTORY_VARIABLE)
    return rest.partition(b"\0")[0] if found else b""


def _read_all(descriptor: int) -> bytes:
    """Everything up to the end; an environment can be megabytes."""
    pieces = []
    while piece := os.read(descriptor, 65_536):
        pieces.append(piece)
    return b"".join(pieces)
