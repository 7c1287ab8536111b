"""A ledger in which something of everything has happened, made once and copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.testing.spine import Spine, spine
from tests.unit.projections.history import everything


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    with spine(directory) as opened:
        everything(opened)
    return directory


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The directory of a closed spine, to do with as one likes."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def opened(copied: Path) -> Iterator[Spine]:
    with spine(copied) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Spine]:
    """A spine in which nothing has happened."""
    with spine(tmp_path) as found:
        yield found
