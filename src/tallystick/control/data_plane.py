"""What keeps the bytes of runs: their streams and files, sealed, indexed, followed, collected.

The parts, connected, and the order in which they start and stop.
"""

from pathlib import Path
from typing import Final

from tallystick.clock import Clock
from tallystick.config import Settings
from tallystick.control import collector, tailer
from tallystick.control.collector import Collector
from tallystick.control.commands import CommandHandler
from tallystick.control.data_dir import BLOBS
from tallystick.control.indexer import Indexer
from tallystick.control.sealer import Sealer
from tallystick.control.service import Service
from tallystick.control.tailer import Tailer
from tallystick.db.database import Database
from tallystick.store.choosing import blobs_at
from tallystick.store.frames import Frames
from tallystick.store.indexing_process import IndexingProcess
from tallystick.store.series import Series

SEAL_POLL_SECONDS: Final = 15.0
STORE_PATIENCE_SECONDS: Final = 10.0
"""For files on their way to a store that does not answer; the next server looks again."""

_ENDS: Final = frozenset({"run.ended", "attempt.ended"})


class DataPlane:
    """One server's."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        handler: CommandHandler,
        *,
        clock: Clock,
        runs_dir: Path,
    ) -> None:
        """Nothing is read, and nothing started, before `start`."""
        self.series = Series(runs_dir)
        self.frames = Frames(self.series)
        self.blobs = blobs_at(settings.artifacts.store, settings.server.data_dir / BLOBS)
        self.indexer = Indexer(database, IndexingProcess(runs_dir))
        self.sealer = Sealer(database, handler, runs_dir, clock=clock)
        follower = Tailer(
            database, self.series, runs_dir, touches=(self.sealer.touch, self.indexer.touch)
        )
        self.collector = Collector(
            database,
            series=self.series,
            blobs=self.blobs,
            tailer=follower,
            sealer=self.sealer,
            indexer=self.indexer,
            runs_dir=runs_dir,
            clock=clock,
            settings=settings.artifacts,
        )
        self._sealing = Service("tally-sealer", self.sealer.tick, poll_seconds=SEAL_POLL_SECONDS)
        self._following = Service("tally-tailer", follower.tick, poll_seconds=tailer.POLL_SECONDS)
        self._collecting = Service(
            "tally-collector", self.collector.tick, poll_seconds=collector.POLL_SECONDS
        )

    def start(self) -> None:
        """Begin, with what the server before left undone."""
        self.blobs.clear()
        self._sealing.start()
        self.indexer.start()
        self._following.start()
        self._collecting.start()

    def stop(self) -> None:
        """End every part; may be repeated."""
        self._following.stop()
        self.indexer.stop()  # before the collector, which may be waiting for it
        self._collecting.stop(patience_seconds=STORE_PATIENCE_SECONDS)
        self._sealing.stop()

    def committed(self, types: frozenset[str]) -> None:
        """From the writer's thread: attempts have ended, perhaps."""
        if types & _ENDS:
            self.indexer.ended()
            self._collecting.wake()
