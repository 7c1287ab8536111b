"""What the tests of the agents' side share."""

from pathlib import Path

import pytest

from tallystick.agents.visit import Visit
from tests.unit.agents import visiting
from tests.unit.agents.guarded import Guarded


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    """A project that the guard looks after."""
    return Guarded(tmp_path)


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    """A project where every agent was set up, for the doctor."""
    return visiting.set_up(tmp_path)
