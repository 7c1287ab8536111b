"""Watches for runs that print nothing any more, and asks somebody to look.

One alert for each silence, raised by the system; the run goes on, whether and whenever somebody
answers. The time of the output file is looked at once per run and silence, not at every tick: with
ten thousand runs and half an hour, that is five or six files a second. What was raised is known
from the alerts themselves, so a restart raises nothing twice.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.control.texts import Texts
from tallystick.db.database import Database
from tallystick.domain.commands import RaiseAlert
from tallystick.domain.ids import SYSTEM, AlertId
from tallystick.errors import Refusal
from tallystick.projections import activity, alerts
from tallystick.projections.activity import Activity
from tallystick.wire.bundle import OUTPUT_FILE

LONGEST_POLL_SECONDS: Final = 15.0
SHORTEST_POLL_SECONDS: Final = 0.5

SOURCE: Final = "rule"
CHOICES: Final = ({"label": "continue", "action": "continue"}, {"label": "stop", "action": "stop"})


def poll_seconds(silence_minutes: float) -> float:
    """How often to tick: often enough that an alert is never a quarter of a silence late."""
    quarter = silence_minutes * 60 / 4
    return min(LONGEST_POLL_SECONDS, max(SHORTEST_POLL_SECONDS, quarter))


class Vigil:
    """`tick` is called by its service and by nobody else."""

    def __init__(
        self,
        database: Database,
        handler: CommandHandler,
        runs_dir: Path,
        *,
        clock: Clock,
        silence_minutes: float,
    ) -> None:
        """`silence_minutes` of 0 or less never raises anything."""
        self._database = database
        self._handler = handler
        self._runs_dir = runs_dir
        self._clock = clock
        self._silence_ms = round(silence_minutes * 60_000)
        self._due: dict[str, int] = {}
        """When the output of each active attempt is looked at next."""

    def tick(self) -> None:
        """Look at the outputs that may have been silent for long enough."""
        if self._silence_ms <= 0:
            return
        now = self._clock.now()
        with self._database.read() as tx:
            present = [one for one in activity.active(tx) if one.started_at is not None]
        known = {one.attempt: self._due.get(one.attempt) for one in present}
        self._due = {attempt: due for attempt, due in known.items() if due is not None}
        for one in present:
            started = one.started_at or 0
            if self._due.setdefault(one.attempt, started + self._silence_ms) > now:
                continue
            last = max(started, self._last_output(one) or 0)
            silent = now - last >= self._silence_ms
            if silent:
                self._ask(one, last)
            self._due[one.attempt] = (now if silent else last) + self._silence_ms

    def _last_output(self, one: Activity) -> int | None:
        """When something was printed last; None when nothing ever was."""
        path = self._runs_dir / one.run / one.attempt / OUTPUT_FILE
        try:
            return os.stat(path).st_mtime_ns // 1_000_000  # noqa: PTH116 - hot
        except OSError:
            return None

    def _ask(self, one: Activity, last: int) -> None:
        """Raise the alert, unless this silence has had its own."""
        with self._database.read() as tx:
            newest = alerts.newest_of_source(tx, one.run, SOURCE)
        if newest is not None and newest.created_at >= last:
            return
        texts = Texts(self._clock)
        moment = datetime.fromtimestamp(last / 1000, tz=UTC)
        minutes = (self._clock.now() - last) // 60_000
        command = RaiseAlert(
            alert=AlertId(self._clock.new_id("alr")),
            run=one.run,
            severity="warning",
            message=texts.add(
                f"no output for {minutes} minutes (since {moment:%Y-%m-%d %H:%M} UTC); "
                "it may hang, or it may only be quiet"
            ),
            choices=texts.add(json.dumps(CHOICES)),
            source=SOURCE,
        )
        try:
            self._handler.handle(command, by=SYSTEM, texts=texts)
        except Refusal:  # it has ended since
            return
