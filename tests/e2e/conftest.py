"""A real server for the tests of this folder: one each module, on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.testing.server import ServerProcess, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`tally up`, with room for four runs at a time."""
    directory: Path = tmp_path_factory.mktemp("server")
    with running_server(directory, environment={"TALLY_EXECUTION_MAX_CONCURRENT": "4"}) as running:
        yield running
