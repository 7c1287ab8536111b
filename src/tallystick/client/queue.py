"""Calls about the queue: who waits, in which order, and why (P3.2)."""

from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.wire.queue_views import QueueView

MOST: int = 1_000
"""Runs in one answer."""


class QueueCalls(Calls):
    """The queue as it is now."""

    def queue(self, *, limit: int = 100, cursor: str | None = None) -> QueueView:
        """The queue by position, at most `limit` runs (1 to 1,000), and what the machine has free.

        `cursor` is `next_cursor` of the page before.
        """
        parameters: dict[str, str | int] = {"limit": min(limit, MOST)}
        if cursor is not None:
            parameters["cursor"] = cursor
        return view(QueueView, self._caller.get("/queue", parameters))
