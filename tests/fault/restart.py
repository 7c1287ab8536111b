"""Shared by the restart tests: many runs that leave a trace of every execution."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tallystick.testing.server import ServerProcess


def traced(directory: Path, name: str, seconds: float, code: int) -> str:
    """A command that notes each execution of itself, works for a while, and exits with `code`."""
    trace = directory / f"{name}.trace"
    return f"echo $$ >> '{trace}'; echo begin; sleep {seconds}; echo end; exit {code}"


def executions(directory: Path, name: str) -> int:
    """How often the command was executed."""
    trace = directory / f"{name}.trace"
    return len(trace.read_text().splitlines()) if trace.exists() else 0


def verify(server: ServerProcess, *flags: str) -> Any:
    """`tally ledger verify` from outside, against the data directory."""
    return subprocess.run(
        [sys.executable, "-m", "tallystick", "ledger", "verify", *flags],
        env={**__import__("os").environ, **server.environment},
        capture_output=True,
        text=True,
        check=False,
    )
