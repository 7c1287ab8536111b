"""Follows the event files that other trackers write in an attempt's directories, as they grow.

Their bytes are copied into streams of the run, which are sealed and indexed like every other:
TensorBoard's `*tfevents*`, wandb's `run-*.wandb`, what the supervisor samples, and what the command
prints when its run asks for that. A file that is cut short afterwards changes nothing of what was
copied.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tallystick.control.places import Place, places_of
from tallystick.db.database import Database
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import AttemptId
from tallystick.errors import TallystickError
from tallystick.projections import attempts, runs
from tallystick.store.scanning import Found, scan
from tallystick.store.series import Series
from tallystick.store.streams import following

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
PIECE_BYTES: Final = 4 * 1024 * 1024
NAMES_PER_TICK: Final = 500
"""A look at so many names is paid for by one tick without a look."""

MOST_FILES: Final = 200
"""Event files of one attempt that are followed."""

Touch = Callable[[str], None]


class Tailer:
    """`tick` is called by its service, `follow` by whoever knows that an attempt has ended."""

    def __init__(
        self, database: Database, series: Series, runs_dir: Path, *, touches: tuple[Touch, ...]
    ) -> None:
        """`touches` are told before and after bytes of a run were stored."""
        self._database = database
        self._series = series
        self._runs_dir = runs_dir
        self._touches = touches
        self._lock = threading.Lock()
        self._places: dict[AttemptId, list[Place]] = {}  # guarded by _lock: of active attempts
        self._rests: dict[tuple[AttemptId, Path], int] = {}  # guarded by _lock: ticks to sit out

    def tick(self) -> None:
        """A look at every attempt that goes on."""
        with self._database.read() as tx:
            active = attempts.active(tx)
        with self._lock:
            known = {attempt.id for attempt in active}
            self._places = {key: held for key, held in self._places.items() if key in known}
            self._rests = {key: left for key, left in self._rests.items() if key[0] in known}
        for attempt in active:
            self._follow(attempt, patient=True)

    def follow(self, attempt: Attempt) -> None:
        """Copy what has grown in one attempt's places; what cannot be read is left for later."""
        self._follow(attempt, patient=False)

    def _follow(self, attempt: Attempt, *, patient: bool) -> None:
        """A directory of many names is looked at the less often, if one may be `patient`."""
        with self._lock:
            for place in self._places_of(attempt):
                key = (attempt.id, place.root)
                left = self._rests.get(key, 0)
                if patient and left > 0:
                    self._rests[key] = left - 1
                    continue
                try:
                    self._rests[key] = self._look(attempt, place) // NAMES_PER_TICK
                except (OSError, TallystickError) as error:
                    _log.warning("event files of attempt %s: %s", attempt.id, error)

    def _places_of(self, attempt: Attempt) -> list[Place]:
        found = self._places.get(attempt.id)
        if found is None:
            directory = self._runs_dir / attempt.run / attempt.id
            with self._database.read() as tx:
                run = runs.get(tx, attempt.run)
                found = [] if run is None else places_of(tx, run, attempt, directory)
            if attempt.active:
                self._places[attempt.id] = found
        return found

    def _look(self, attempt: Attempt, place: Place) -> int:
        """Copy what has grown in one place; how many names it has."""
        followed = seen = 0
        for found in scan(place.root):
            seen += 1
            suffix = place.stream or _suffix(found.name)
            if suffix is None or found.mtime_ns < place.since_ns:
                continue
            followed += 1
            if followed > MOST_FILES:
                break
            self._copy(attempt, place, found, suffix)
        return seen

    def _copy(self, attempt: Attempt, place: Place, found: Found, suffix: str) -> None:
        """The bytes that the stream does not have yet."""
        path = str(place.root / found.below)
        below = found.below.rpartition("/")[0] if suffix == ".tfevents" else ""
        if suffix == ".wandb":
            below = self._second(attempt, path, found)
        name = following(attempt.id, path, below=below, suffix=suffix)
        stream = self._series.directory(attempt.run) / name
        position = stream.stat().st_size if stream.exists() else 0
        if found.size <= position:
            return
        self._tell(attempt.run)
        file = found.open()
        try:
            while piece := os.pread(file, PIECE_BYTES, position):
                length = self._series.append(attempt.run, name, piece, offset=position)
                if length <= position:
                    break
                position = length
        finally:
            os.close(file)
        self._tell(attempt.run)

    def _second(self, attempt: Attempt, path: str, found: Found) -> str:
        """What sets the metrics of a further wandb run in one attempt apart: its name."""
        first = following(attempt.id, path, below="", suffix=".wandb")
        others = [
            stream.name
            for stream in self._series.files(attempt.run)
            if stream.name.startswith(f"{attempt.id}-") and stream.suffix == ".wandb"
        ]
        return "" if not others or first in others else found.name.removesuffix(".wandb")

    def _tell(self, run: str) -> None:
        for touch in self._touches:
            touch(run)


def _suffix(name: str) -> str | None:
    """The suffix of the stream that follows a file of this name; None for any other file."""
    if ".tfevents." in name or name.endswith(".tfevents"):
        return ".tfevents"
    return ".wandb" if name.startswith("run-") and name.endswith(".wandb") else None
