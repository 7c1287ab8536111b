"""What a run directory says from outside: whether a supervisor holds it, and what it wrote."""

import fcntl
import os
from pathlib import Path

from tallystick.wire.bundle import JOURNAL_FILE, LOCK_FILE
from tallystick.wire.journal import parse
from tallystick.wire.observation import CommandStarted, Ended, Observation, SupervisorStarted

HEAD_BYTES = 16_384
"""Holds the records up to command_started with room to spare."""
TAIL_BYTES = 4_096
"""Holds `ended`: its text is the last 500 bytes of the output, or 500 characters of a refusal."""


def is_held(directory: Path) -> bool:
    """Whether a supervisor lives: the kernel frees its lock on any death.

    Probed with a shared lock, held for microseconds, so probes never refuse each other. A
    supervisor that starts at that very moment finds the lock taken; it tries again for two
    seconds (see `supervisor.claim`), so a probe cannot make it believe that it came second.
    """
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def journal_bytes(directory: Path) -> int:
    """The size of the journal; 0 when there is none."""
    try:
        return os.stat(directory / JOURNAL_FILE).st_size  # noqa: PTH116 - hot
    except OSError:
        return 0


def read_head(directory: Path) -> tuple[SupervisorStarted | None, CommandStarted | None]:
    """Who supervises, and what was executed, as far as the journal's beginning says."""
    return find_start(parse(_read(directory, 0, HEAD_BYTES)))


def find_start(
    records: tuple[Observation, ...],
) -> tuple[SupervisorStarted | None, CommandStarted | None]:
    """The two records that name processes."""
    supervisor = next((r for r in records if isinstance(r, SupervisorStarted)), None)
    command = next((r for r in records if isinstance(r, CommandStarted)), None)
    return supervisor, command


def has_ended(records: tuple[Observation, ...]) -> bool:
    """Whether a journal is complete."""
    return bool(records) and isinstance(records[-1], Ended)


def may_have_ended(directory: Path, size: int) -> bool:
    """Whether the last line of a journal of `size` bytes looks like `ended`: worth a full read."""
    last = _read(directory, max(0, size - TAIL_BYTES), TAIL_BYTES).rstrip(b"\n")
    return b'"kind":"ended"' in last[last.rfind(b"\n") + 1 :]


def _read(directory: Path, offset: int, count: int) -> bytes:
    """Part of the journal; empty when there is none."""
    try:
        descriptor = os.open(directory / JOURNAL_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, count, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
