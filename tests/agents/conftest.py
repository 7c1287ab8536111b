"""A server, a research project that `tally init` has set up, and the agents' own programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick.testing.server import ServerProcess, running_server

PROGRAMS = Path(__file__).resolve().parents[2] / "build" / "agents" / "node_modules"
"""Where the runner of the suites installs them, from the lock file of this folder."""

TALLY = Path(sys.executable).parent / "tally"

TRAIN = '''\
"""Fits a line by gradient descent; prints a loss that says which learning rate it had."""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=5)
options = parser.parse_args()
weight = 0.0
for epoch in range(options.epochs):
    gradient = 2 * (weight - 3.0)
    weight -= options.lr * gradient
    print(f"epoch {epoch} loss {(weight - 3.0) ** 2:.6f}", flush=True)
print(json.dumps({"lr": options.lr, "seed": options.seed, "weight": round(weight, 4)}))
print("registered as", os.environ.get("TALLY_RUN_ID", "nothing"))
'''

GRID = """\
#!/usr/bin/env bash
set -e
for lr in 0.1 0.2; do
  python train.py --lr "$lr" --seed 7
done
"""

TORCHRUN = """\
#!/usr/bin/env bash
# Stands in for the launcher: takes its own option and its value off and starts the script.
shift 2
exec python "$@"
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A research project beside a running server, and the home of the user who works in it."""

    server: ServerProcess
    directory: Path
    home: Path

    @property
    def path(self) -> str:
        """Where programs are found."""
        return f"{self.directory / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    @property
    def environment(self) -> dict[str, str]:
        """What the agent and everything that it starts find around them."""
        return {
            "HOME": str(self.home),
            "PATH": self.path,
            "LANG": "C.UTF-8",
            "TALLY_DATA_DIR": str(self.server.data_dir),
            "TALLY_HOME": str(self.home / ".tally"),
            "TALLY_KNOWN_LEDGERS": str(self.home / ".tally" / "known_ledgers"),
        }

    def tally(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """`tally` as the person at the keyboard would call it."""
        return subprocess.run(
            [str(TALLY), *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def start(self, argv: list[str], more: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        """Run an agent to its end in the project."""
        return subprocess.run(
            argv,
            cwd=self.directory,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project that has never seen Tallystick, and a server."""
    home, directory = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    (directory / "bin").mkdir(parents=True)
    (directory / "train.py").write_text(TRAIN)
    (directory / "run_grid.sh").write_text(GRID)
    (directory / "bin" / "torchrun").write_text(TORCHRUN)
    (directory / "bin" / "torchrun").chmod(0o755)
    for words in (("init",), ("config", "user.name", "Ana"), ("config", "user.email", "ana@lab")):
        subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True)
    scratch = tmp_path / "server"
    scratch.mkdir()
    with running_server(scratch) as server:
        made = Project(server, directory, home)
        (home / ".profile").write_text(f"PATH={made.path}\n")  # agents start login shells
        yield made


def program(name: str, *places: str) -> str:
    """Path of an agent's program; the test is skipped where it was not installed."""
    for place in places:
        if (PROGRAMS / place).is_file():
            return str(PROGRAMS / place)
    if found := shutil.which(name):
        return found
    pytest.skip(f"{name} is not installed: npm ci in build/agents")
