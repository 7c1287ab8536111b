"""task-spooler as a peer, with a queue of its own; and xargs, which records nothing."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self


class Spooler:
    """A private task-spooler (`tsp`)."""

    def __init__(self, directory: Path, *, slots: int = 1) -> None:
        """Its daemon starts with the first job."""
        directory = directory / f"tsp-{time.monotonic_ns()}"
        directory.mkdir()
        self._environment = {
            **os.environ,
            "TS_SOCKET": str(directory / "socket"),
            "TMPDIR": str(directory),
            "TS_MAXFINISHED": "100000",
        }
        self._call("-S", str(slots))

    @staticmethod
    def found() -> bool:
        """Whether it is installed."""
        return shutil.which("tsp") is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._call("-K")

    def submit(self, command: Sequence[str]) -> None:
        """Put a command in line."""
        self._call(*command)

    def trivial(self, count: int) -> float:
        """Seconds until `count` times `true` has been submitted, executed and recorded."""
        began = time.perf_counter()
        script = f"for i in $(seq {count}); do tsp true > /dev/null; done; tsp -w"
        subprocess.run(["sh", "-c", script], env=self._environment, check=True)
        while self._call().count("finished") < count:
            time.sleep(0.002)
        return time.perf_counter() - began

    def _call(self, *arguments: str) -> str:
        return subprocess.run(
            ["tsp", *arguments], env=self._environment, capture_output=True, text=True, check=True
        ).stdout


def xargs(count: int) -> float:
    """Seconds of `count` times `true`, two at a time, with nothing recorded."""
    began = time.perf_counter()
    subprocess.run(
        ["sh", "-c", f"seq {count} | xargs -P2 -n1 true"], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began
