"""The loops that call for somebody: budgets, silence, and telling others; started as one."""

from collections.abc import Set as AbstractSet
from pathlib import Path

from tallystick.clock import Clock
from tallystick.config import Settings
from tallystick.control import notifier as notifying
from tallystick.control import treasurer as budgeting
from tallystick.control import vigil as watching
from tallystick.control.commands import CommandHandler
from tallystick.control.notifier import build_notifier
from tallystick.control.service import Service
from tallystick.control.treasurer import Treasurer
from tallystick.control.vigil import Vigil
from tallystick.db.database import Database


class Signals:
    """Treasurer, vigil and notifier; starting and stopping twice is harmless."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        handler: CommandHandler,
        *,
        clock: Clock,
        runs_dir: Path,
        origin: str,
    ) -> None:
        """Nothing runs before `start`; raises `InvalidError` for settings that cannot work.

        `origin` is the ledger's.
        """
        treasurer = Treasurer(database, handler, clock=clock)
        vigil = Vigil(
            database,
            handler,
            runs_dir,
            clock=clock,
            silence_minutes=settings.execution.silence_minutes,
        )
        self.treasurer = Service(
            "tally-treasurer", treasurer.tick, poll_seconds=budgeting.POLL_SECONDS
        )
        pause = watching.poll_seconds(settings.execution.silence_minutes)
        self.vigil = Service("tally-vigil", vigil.tick, poll_seconds=pause)
        self.notifier = build_notifier(settings.notify, database, clock=clock, origin=origin)

    def start(self) -> None:
        """Begin, after the handler."""
        self.treasurer.start()
        self.vigil.start()
        self.notifier.start()

    def committed(self, types: AbstractSet[str]) -> None:
        """Entries of these types were committed; any thread may call."""
        if types & budgeting.WAKES:
            self.treasurer.wake()
        if types & notifying.WAKES:
            self.notifier.wake()

    def stop(self) -> None:
        """End, before the handler."""
        self.notifier.stop()
        self.vigil.stop()
        self.treasurer.stop()
