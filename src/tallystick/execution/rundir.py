"""What a run directory says from outside: whether a supervisor holds it, and what it wrote.

The command can change every file in it, so a journal is believed by its MACs only, and no file is
opened in a way that could wait.
"""

import os
from pathlib import Path

from tallystick import durable
from tallystick.execution.processes import Pid
from tallystick.wire import journal
from tallystick.wire.bundle import JOURNAL_FILE, LOCK_FILE
from tallystick.wire.observation import CommandStarted, Ended, Observation, SupervisorStarted

HEAD_BYTES = 16_384
"""Holds the records up to command_started with room to spare."""


def is_held(directory: Path) -> bool:
    """Whether a supervisor lives: the kernel frees its lock on any death.

    A supervisor that starts at the moment of the probe finds the lock taken; it tries again for two
    seconds (see `supervisor.claim`), so a probe cannot make it believe that it came second.
    """
    try:
        return durable.is_locked(directory / LOCK_FILE)
    except OSError:
        return False


def journal_bytes(directory: Path) -> int:
    """The size of the journal; 0 when there is none."""
    try:
        return os.stat(directory / JOURNAL_FILE).st_size  # noqa: PTH116 - hot
    except OSError:
        return 0


def read_head(
    directory: Path, *, attempt: str, key: str
) -> tuple[SupervisorStarted | None, Pid | None]:
    """Who supervises, and who is or will be the command, as far as the journal's beginning says."""
    content = journal.read_bytes(directory / JOURNAL_FILE, HEAD_BYTES)
    return find_start(journal.parse(content, attempt=attempt, key=key))


def find_start(
    records: tuple[Observation, ...],
) -> tuple[SupervisorStarted | None, Pid | None]:
    """The supervisor's first word, and the process of the command.

    That is named before it is executed: see `was_executed`.
    """
    supervisor = next((r for r in records if isinstance(r, SupervisorStarted)), None)
    command = next((r for r in records if isinstance(r, CommandStarted)), None)
    if command is not None:
        return supervisor, Pid(command.pid, command.start_ticks)
    if supervisor is not None and supervisor.command_pid:
        return supervisor, Pid(supervisor.command_pid, supervisor.command_start_ticks)
    return supervisor, None


def was_executed(records: tuple[Observation, ...]) -> bool:
    """Whether the journal says so; a supervisor may have died just before it could."""
    return any(isinstance(record, CommandStarted) for record in records)


def has_ended(records: tuple[Observation, ...]) -> bool:
    """Whether a journal is complete."""
    return bool(records) and isinstance(records[-1], Ended)
