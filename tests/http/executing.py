"""Runs that execute and end, said by their supervisors over HTTP."""

from typing import Any

from tallystick.domain.ids import Role
from tests.http.door import Door

STARTED = [
    {"kind": "supervisor_started", "n": 1, "at": 1, "pid": 2, "start_ticks": 3, "boot_id": "b"},
    {"kind": "command_started", "n": 2, "at": 2, "pid": 4, "start_ticks": 5},
]


def report(door: Door, attempt: str, observations: list[dict[str, Any]]) -> None:
    """What a supervisor saw."""
    door.post(
        f"/attempts/{attempt}/observations",
        {"observations": observations},
        token=door.secret(attempt, Role.SUPERVISOR),
    )


def executing(door: Door, sweep: str) -> tuple[str, str]:
    """A run whose command is at work, and its attempt."""
    run, attempt = door.launched(sweep)
    report(door, attempt, STARTED)
    return run, attempt


def end(door: Door, attempt: str, *, exit_code: int = 0, cause: str = "exited") -> None:
    """The command is over."""
    exited = {"kind": "command_exited", "n": 3, "at": 3, "exit_code": exit_code}
    ended = {"kind": "ended", "n": 4, "at": 4, "cause": cause, "exit_code": exit_code}
    report(door, attempt, [exited, ended])
