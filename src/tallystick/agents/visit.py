"""What the checks of a project's agents look at, gathered once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tallystick.agents.pieces import Program
from tallystick.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One look at one project."""

    root: Path
    """The project, absolute and resolved."""
    agents: tuple[str, ...]
    """Those that were set up, and those that are found."""
    program: Program
    """How this installation wants to be called."""
    environment: Mapping[str, str]
    home: Path | None
    tally_home: Path
    """Where the agents' side keeps its files: `~/.tally`."""
    clock: Clock
