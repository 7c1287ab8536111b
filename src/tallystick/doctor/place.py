"""What all checks look at: the settings in force, the moment, and whether a server runs."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick import durable
from tallystick.config import Settings
from tallystick.control.data_dir import DATABASE_FILE, LOCK_FILE, RUNS, SERVER_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One data directory under examination; nothing in it is changed."""

    settings: Settings
    now_ms: int
    proc: Path = field(default=Path("/proc"))
    """Where the kernel tells about processes and mounts."""

    @property
    def data_dir(self) -> Path:
        """The directory itself."""
        return self.settings.server.data_dir

    @property
    def database_file(self) -> Path | None:
        """The database of this directory; None when it lies elsewhere."""
        return None if self.settings.database.url is not None else self.data_dir / DATABASE_FILE

    @property
    def runs_dir(self) -> Path:
        """Where the runs' directories lie."""
        return self.data_dir / RUNS

    def is_served(self) -> bool:
        """Whether a server holds the directory now: the kernel frees its lock on any death."""
        try:
            return durable.is_locked(self.data_dir / LOCK_FILE)
        except OSError:
            return False

    def announced(self) -> dict[str, Any] | None:
        """server.json; None when it is not there, empty when it cannot be read."""
        try:
            document = json.loads((self.data_dir / SERVER_FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}
