"""No test, and no process that one starts, reads or writes the home of whoever runs it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home: clients pin ledgers there. Caches of other programs stay warm."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    directory = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", cache)
        patch.setenv("HOME", str(directory))
        patch.delenv("TALLY_KNOWN_LEDGERS", raising=False)
        patch.delenv("TALLY_HOME", raising=False)
        yield directory
