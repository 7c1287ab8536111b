"""Fake cards under the real binding, and a backend of its own process that meets them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gpus.fake import FakeCard, FakeNvml, build, compiler
from tests.run_suites import is_strict

MISSING = (
    "there is no C compiler: what the server makes of GPUs was NOT tested "
    "(on Debian and Ubuntu: apt-get install build-essential)"
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the library."""
    return built(tmp_path_factory)


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with that of a driver before 510."""
    return built(tmp_path_factory, "-DOLD_DRIVER")


def built(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Path:
    if compiler() is None:
        if is_strict(os.environ):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return build(tmp_path_factory.mktemp("nvml"), *options)


@pytest.fixture
def nvml(library: Path, tmp_path: Path) -> FakeNvml:
    """Four cards."""
    fake = FakeNvml(library, tmp_path / "cards", cards=[FakeCard()] * 4)
    fake.write()
    return fake


class Reading:
    """The process that has the backend; each method is a call of it."""

    def __init__(self, folder: Path, environment: dict[str, str], choice: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.gpus.reader", str(folder), choice],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def call(self, name: str, argument: Any = None) -> Any:
        """One question and its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, argument]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def look(self) -> dict[str, Any]:
        """The whole capacity, as it is known just now."""
        return dict(self.call("look"))

    def devices(self) -> list[dict[str, Any]]:
        """The devices, after a new look at the driver."""
        self.call("advance", 2)
        return list(self.look()["devices"])

    def held(self) -> list[str | None]:
        """Who holds each of them, after a new look at the driver."""
        return [device["held_by"] for device in self.devices()]

    def close(self) -> None:
        """End the process, and what it was asked to run."""
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


Read = Callable[..., Reading]


@pytest.fixture
def read(nvml: FakeNvml, tmp_path: Path) -> Iterator[Read]:
    """Starts such a process, with a choice of devices and an environment if need be."""
    started: list[Reading] = []

    def start(choice: str = "", environment: dict[str, str] | None = None) -> Reading:
        started.append(Reading(tmp_path, environment or nvml.environment, choice))
        return started[-1]

    yield start
    for one in started:
        one.close()
