"""A driver's library that a test can change at any moment, for programs that are started with it.

The library is written in C and stands at the place of the real one, so what is tested is the real
binding over the real calling convention; what it says is made up.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.testing.server import eventually

SOURCE = Path(__file__).with_name("nvml.c")
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class FakeCard:
    """One card."""

    name: str = "NVIDIA H100 80GB HBM3"
    memory_bytes: int = 80 * GIB
    error: int = 0
    """An NVML error code for every question about it."""


@dataclass(slots=True)
class FakeNvml:
    """The library in `folder`, and the file that it reads."""

    folder: Path
    state: Path
    cards: list[FakeCard] = field(default_factory=list)
    uses: list[tuple[int, int, int]] = field(default_factory=list)
    """Card, pid, bytes."""
    failing: dict[str, int] = field(default_factory=dict)
    """Functions of NVML and the error codes that they end with."""
    hanging: dict[str, Path] = field(default_factory=dict)
    """Functions of NVML and the files whose appearance lets them return."""

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to meet this library and no other."""
        return {"LD_LIBRARY_PATH": before_others(self.folder), "FAKE_NVML": str(self.state)}

    def write(self) -> None:
        """Let it be so from now on."""
        lines = [
            f"card {uuid(number)} {card.memory_bytes} {card.error} {card.name}"
            for number, card in enumerate(self.cards)
        ]
        lines += [f"use {card} {pid} {size}" for card, pid, size in self.uses]
        lines += [f"fail {function} {error}" for function, error in self.failing.items()]
        lines += [f"hang {function} {file}" for function, file in self.hanging.items()]
        scratch = self.state.with_suffix(".new")
        scratch.write_text("\n".join(lines) + "\n")
        scratch.replace(self.state)


def before_others(folder: Path) -> str:
    """Where libraries are looked for: in a folder first."""
    others = os.environ.get("LD_LIBRARY_PATH")
    return f"{folder}:{others}" if others else str(folder)


def uuid(number: int) -> str:
    """The id of a card."""
    return f"GPU-{number:08x}-5f6e-4d3c-8b2a-{number:012x}"


@contextmanager
def stranger() -> Iterator[int]:
    """A process, called sleep, that no attempt of ours has anything to do with; its pid."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            # The kernel gives it its name a little after Popen returns.
            eventually(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
            yield process.pid
        finally:
            process.kill()


def compiler() -> str | None:
    """A C compiler, should there be one."""
    return shutil.which("cc")


def build(folder: Path, *options: str) -> Path:
    """Compile the library into a folder."""
    program = compiler()
    assert program is not None
    command = [program, "-shared", "-fPIC", "-Wall", "-Werror", "-O1", *options]
    command += [str(SOURCE), "-o", str(folder / "libnvidia-ml.so.1")]
    subprocess.run(command, check=True)
    return folder
