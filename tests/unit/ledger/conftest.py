"""A ledger in a SQLite file of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ledger.kept_ledger import Kept, open_kept


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = open_kept(tmp_path / "tally.db")
    yield kept
    kept.db.close()
