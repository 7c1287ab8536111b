"""Where the files of an attempt lie: its own output directory, and what its command names."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick.db.database import Transaction
from tallystick.domain.attempt import Attempt
from tallystick.domain.run import Run
from tallystick.ledger.ledger import Ledger
from tallystick.shell.outputs import output_paths
from tallystick.wire.bundle import OUTPUT_FILE, SYSTEM_FILE

OUTPUT: Final = "artifacts"
"""Below the attempt's directory; the command finds it in TALLY_OUTPUT_DIR."""

WANDB: Final = "wandb_data"
"""Likewise, in WANDB_DIR: where wandb's client keeps its transaction log."""

METRICS_FROM_OUTPUT: Final = "TALLY_METRICS_FROM_OUTPUT"
"""In a run's environment: what it prints is read for metrics."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, or a file, of one attempt."""

    root: Path
    prefix: str
    """Of the names of its files in the record."""
    since_ns: int = 0
    """Files that are older were there before."""
    collected: bool = True
    """Whether its files are kept at the end; else only event files in it are followed."""
    stream: str = ""
    """Suffix of the stream that follows its files; by default their names tell."""


def places_of(tx: Transaction, run: Run, attempt: Attempt, directory: Path) -> list[Place]:
    """The places of an attempt whose directory is `directory`."""
    wanted = [text.c for text in (run.command, run.workdir, run.environment) if text is not None]
    found = Ledger.texts(tx, wanted)
    command = found.get(run.command.c, b"").decode("utf-8", "replace")
    workdir = found.get(run.workdir.c, b"").decode("utf-8", "replace")
    own = [
        Place(directory / OUTPUT, ""),
        Place(directory / WANDB, "", collected=False),
        Place(directory / SYSTEM_FILE, "", collected=False, stream=".jsonl"),
    ]
    since = (attempt.started_at or attempt.assigned_at) * 1_000_000
    if run.environment is not None:
        named = _variable(found.get(run.environment.c, b"{}"), "WANDB_DIR")
        if named is not None and named.startswith("/"):
            own.append(Place(Path(named), "", since, collected=False))
        asked = _variable(found.get(run.environment.c, b"{}"), METRICS_FROM_OUTPUT)
        if (asked or "").strip().lower() in {"1", "true", "yes", "on"}:
            own.append(Place(directory / OUTPUT_FILE, "", collected=False, stream=".stdout"))
    if not workdir:
        return own
    return own + [
        Place(Path(path), _prefix(path, workdir), since)
        for path in output_paths(command, workdir=workdir)
    ]


def _variable(environment: bytes, name: str) -> str | None:
    """A variable of a recorded environment; a secret that was cut out may have taken a quote."""
    try:
        found = json.loads(environment)
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _prefix(path: str, workdir: str) -> str:
    """The path from the working directory, or the last part of one that lies elsewhere."""
    inside = workdir.rstrip("/") + "/"
    shown = path.removeprefix(inside) if path.startswith(inside) else path.rpartition("/")[2]
    return f"{shown}/"
