"""Tells others what happened: webhooks for programs, Apprise for people.

Every target has a thread and a `Follower` of its own, so a dead one holds up nobody: neither
another target, nor a request, nor the end of the server.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tallystick.clock import Clock
from tallystick.config import NotifySettings
from tallystick.control.channels import Channel, require_apprise
from tallystick.control.follower import Follower, Target
from tallystick.control.messages import NOTICE_TYPES
from tallystick.control.service import Service
from tallystick.control.webhooks import HOW_TO_MAKE_ONE, Webhook, read_secrets
from tallystick.db.database import Database
from tallystick.errors import InvalidError
from tallystick.projections import deliveries

WAKES: Final = frozenset(
    {
        *("run.ended", "sweep.paused", "sweep.stopped", "alert.raised"),
        *("budget.warned", "budget.reached"),
    }
)
"""Types of entries that lead to notices; others are found by polling."""

POLL_SECONDS: Final = 5.0

MOST_TARGETS: Final = 16
STOP_SECONDS: Final = 1.0
"""How long the end of the server waits for deliveries; what is cut off is repeated."""


class Notifier:
    """All targets; starting and stopping twice is harmless."""

    def __init__(
        self,
        database: Database,
        targets: Sequence[Target],
        *,
        clock: Clock,
        types: Collection[str],
    ) -> None:
        """Nothing is told before `start`."""
        self._database = database
        self._keys = [target.key for target in targets]
        self.followers = [
            Follower(database, target, clock=clock, types=types) for target in targets
        ]
        self._services = [
            Service(f"tally-notifier-{number}", follower.tick, poll_seconds=POLL_SECONDS)
            for number, follower in enumerate(self.followers, start=1)
        ]

    def begin(self) -> None:
        """Forget targets that are no longer set, and place the new ones."""
        with self._database.write() as tx:
            deliveries.forget_others(tx, self._keys)
        for follower in self.followers:
            follower.begin()

    def start(self) -> None:
        """Follow the notices."""
        self.begin()
        for service in self._services:
            service.start()

    def wake(self) -> None:
        """Something may have happened; any thread may call."""
        for service in self._services:
            service.wake()

    def stop(self) -> None:
        """End soon, whatever the other sides do; what was under way is repeated later."""
        for follower in self.followers:
            follower.end()
        for service in self._services:
            service.stop(patience_seconds=0)
        patience = STOP_SECONDS / max(1, len(self._services))
        for service in self._services:
            service.stop(patience_seconds=patience)


def build_notifier(
    settings: NotifySettings, database: Database, *, clock: Clock, origin: str
) -> Notifier:
    """The notifier of a server; tells nobody when nobody is set.

    `origin` is the ledger's. Raises `InvalidError` for settings that cannot work.
    """
    hooks = _words(settings.webhooks.reveal() if settings.webhooks else "")
    channels = _words(settings.channels.reveal() if settings.channels else "")
    if len(hooks) + len(channels) > MOST_TARGETS:
        raise InvalidError(
            f"notify: expected at most {MOST_TARGETS} webhooks and channels; "
            f"found {len(hooks) + len(channels)}",
            code="notify_invalid",
        )
    keys = read_secrets(settings.webhook_secret.reveal()) if settings.webhook_secret else []
    if hooks and not keys:
        raise InvalidError(
            "notify.webhooks: expected notify.webhook_secret beside it, because every message is "
            "signed; found none",
            code="webhook_secret_missing",
            hint=HOW_TO_MAKE_ONE,
        )
    if channels:
        require_apprise()
    targets: list[Target] = []
    for number, url in enumerate(hooks, start=1):
        name = f"webhook {number}"
        targets.append(Webhook(url, name=name, keys=keys, origin=origin, clock=clock))
    for number, url in enumerate(channels, start=1):
        targets.append(Channel(url, name=f"channel {number}"))
    return Notifier(database, targets, clock=clock, types=types_of(settings.events, NOTICE_TYPES))


def types_of(events: str | None, known: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Notice types for the names in a setting; all of them by default. Raises `InvalidError`."""
    wanted = list(known) if events is None else [name.strip() for name in events.split(",")]
    for name in wanted:
        if name not in known:
            raise InvalidError(
                f"notify.events: expected some of {', '.join(known)}; found {name[:40]!r}",
                code="notify_invalid",
            )
    return frozenset(kind for name in wanted for kind in known[name])


def _words(text: str) -> list[str]:
    """What stands in a setting with blanks between, each once."""
    return list(dict.fromkeys(text.split()))
