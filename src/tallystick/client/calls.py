"""What every group of calls shares: the caller, and the session that creating requests carry."""

from collections.abc import Iterator
from typing import Any

from tallystick.client.caller import Caller
from tallystick.client.config import Discovery
from tallystick.client.guard import LedgerGuard

PAGE_SIZE = 100
WAIT_SECONDS = 50.0
"""A little below the server's cap of 55 (P4.2)."""
PATIENCE_SECONDS = 120.0
"""How long a server that restarts is waited for."""
RETRY_SECONDS = 0.5
"""Between two looks at a server that does not answer."""


class Calls:
    """One group of calls of the SDK; `Client` is all of them."""

    _caller: Caller
    _discovery: Discovery
    _guard: LedgerGuard

    @property
    def session(self) -> str:
        """The conversation that creating requests of this client belong to (P1.1)."""
        return self._discovery.chat_session()

    def _create(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """A creating request, whose receipt is compared with what was seen of the ledger before.

        Raises `VerificationError` before anything is sent when an earlier one contradicted it.
        """
        self._guard.require_before()
        answer = self._caller.create(path, body, key=key)
        self._guard.saw(answer)
        return answer

    def _pages(self, path: str, query: dict[str, Any], limit: int | None) -> Iterator[Any]:
        """Items of a list, newest first, page by page for as long as they are asked for.

        An empty cursor asks for the first page; each page is `items` and `next_cursor`.
        """
        cursor: str | None = ""
        left = limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            page = self._caller.get(path, {**query, "limit": size, "cursor": cursor})
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return
