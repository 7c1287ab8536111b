"""A data directory as a server leaves it, and the place over it that the checks look at."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.clock import SystemClock
from tallystick.config import DatabaseSettings, Secret, ServerSettings, Settings
from tallystick.doctor.place import Place
from tests.fault.damage import fill

MakePlace = Callable[..., Place]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original") / "data"
    fill(directory, entries=40)
    return directory


@pytest.fixture
def data_dir(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def place_of(data_dir: Path) -> MakePlace:
    """Makes the place, with other settings where a test names them."""

    def make(
        *,
        port: int = 0,
        url: str | None = None,
        ahead_ms: int = 0,
        proc: Path = Path("/proc"),
        directory: Path = data_dir,
    ) -> Place:
        settings = Settings(
            server=ServerSettings(data_dir=directory, workspace=directory.parent, port=port),
            database=DatabaseSettings(url=None if url is None else Secret(url)),
        )
        return Place(settings=settings, now_ms=SystemClock().now() + ahead_ms, proc=proc)

    return make


@pytest.fixture
def place(place_of: MakePlace) -> Place:
    return place_of()
