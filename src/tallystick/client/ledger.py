"""Calls about the ledger: its head, proofs, and its entries as they come (P6)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tallystick.client.calls import RETRY_SECONDS, Calls
from tallystick.client.sse import ServerEvent, server_events
from tallystick.client.transport import Response
from tallystick.client.waiting import patiently
from tallystick.errors import UnavailableError

SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long, not even a comment, is taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """An entry of the ledger, as the event stream tells it."""

    seq: int
    type: str
    data: dict[str, Any]
    """The whole entry, its envelope included."""


class LedgerCalls(Calls):
    """Read what the server has sworn to."""

    def checkpoint(self) -> str:
        """The newest signed tree head, a C2SP checkpoint; text with its signature lines."""
        return self._caller.fetch("/ledger/checkpoint").body().decode()

    def proof(self, seq: int, *, size: int | None = None) -> dict[str, Any]:
        """Inclusion proof of an entry in the tree of `size` entries, the newest by default."""
        document: dict[str, Any] = self._caller.get(f"/ledger/proof/{seq}", {"size": size})
        return document

    def vkey(self) -> str:
        """The key that verifies checkpoints (C2SP signed-note); its name is the ledger's origin."""
        return self._caller.fetch("/ledger/vkey").body().decode().strip()

    def events(
        self, *, after: int | None = None, session: str | None = None, sweep: str | None = None
    ) -> Iterator[LedgerEvent]:
        """Entries as they are committed, for ever; goes on by itself after the last one seen.

        `after` is a ledger position: -1 begins with the first entry, None with the next one. A
        server that goes away later is waited for; `UnavailableError` is raised when it stays away.
        """
        query: dict[str, Any] = {"after": after, "session": session, "sweep": sweep}
        clock = self._caller.clock
        response = self._listen(query)
        while True:
            try:
                for event in server_events(response.chunks):
                    entry = _entry_of(event)
                    if entry is not None:
                        query["after"] = entry.seq
                        yield entry
            except UnavailableError:
                pass  # cut off; what was missed comes after the last one seen
            finally:
                response.close()
            clock.sleep(RETRY_SECONDS)
            response = patiently(partial(self._listen, query), clock=clock)

    def _listen(self, query: dict[str, Any]) -> Response:
        """The open stream."""
        return self._caller.stream("/events", query, timeout_seconds=SILENCE_SECONDS)


def _entry_of(event: ServerEvent) -> LedgerEvent | None:
    """The entry in an event; None for one without a position."""
    if event.id is None or not event.id.isdigit():
        return None
    return LedgerEvent(seq=int(event.id), type=event.event, data=json.loads(event.data))
