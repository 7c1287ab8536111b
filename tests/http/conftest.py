"""One server for the tests that leave it as they found it, and fresh ones for the others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.door import Door


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server that a module's tests share."""
    opened = Door(tmp_path_factory.mktemp("server"))
    yield opened
    opened.close()


@pytest.fixture
def open_door(tmp_path: Path) -> Iterator[Callable[[], Door]]:
    """Opens a server over the test's own directory; the next call restarts it there."""
    opened: list[Door] = []

    def again() -> Door:
        while opened:
            opened.pop().close()
        opened.append(Door(tmp_path))
        return opened[-1]

    yield again
    while opened:
        opened.pop().close()
