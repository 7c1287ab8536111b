"""A road of its own for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.control.rig import Rig
from tests.unit.control.road import Road, open_road


@pytest.fixture(scope="session")
def opened_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an open ledger, to be copied."""
    directory = tmp_path_factory.mktemp("road")
    with open_road(directory):
        pass
    return directory


@pytest.fixture
def directory(opened_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(opened_once, tmp_path / "data"))


@pytest.fixture
def road(directory: Path) -> Iterator[Road]:
    with open_road(directory) as opened:
        yield opened


@pytest.fixture
def waiting_road(directory: Path) -> Iterator[Road]:
    """A road whose writer has not been started: what is submitted waits."""
    with open_road(directory, started=False) as opened:
        yield opened


@pytest.fixture
def rig(road: Road) -> Rig:
    return Rig(road)
