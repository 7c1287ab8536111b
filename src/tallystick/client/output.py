"""Calls about what runs write: output and metrics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tallystick.client.caller import path_of
from tallystick.client.calls import RETRY_SECONDS, Calls
from tallystick.client.reading import view
from tallystick.client.sse import server_events
from tallystick.client.transport import Response
from tallystick.client.waiting import patiently
from tallystick.errors import UnavailableError
from tallystick.wire.requests import AppendMetrics
from tallystick.wire.views import LogPage

PAGE_BYTES = 65_536
SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long, not even a comment, is taken for dead."""
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class OutputCalls(Calls):
    """Read output, append and read metrics."""

    def logs(
        self,
        run_id: str,
        *,
        offset: int = 0,
        limit: int = PAGE_BYTES,
        attempt: str | int | None = None,
    ) -> LogPage:
        """One page of output; a negative offset counts from the end. Offsets are bytes.

        That of the newest attempt, unless `attempt` names another by id or number.
        """
        query = {"offset": offset, "limit": limit, "attempt": attempt}
        return view(LogPage, self._caller.get(path_of("runs", run_id, "logs"), query))

    def follow_logs(
        self,
        run_id: str,
        *,
        offset: int = 0,
        until_end: bool = True,
        attempt: str | int | None = None,
    ) -> Iterator[bytes]:
        """Output from a byte offset on, exactly, as it is written, until the attempt has ended.

        The attempt is the newest there is by then, unless `attempt` names another. A server that
        goes away meanwhile is waited for, and reading goes on at the byte where it stopped: nothing
        is lost and nothing comes twice. Without `until_end` it ends with what is there now.
        """
        if not until_end:
            yield from self._bytes(run_id, offset, None, attempt)
            return
        clock, ended = self._caller.clock, False
        response = self._follow(run_id, offset, attempt)
        while True:
            try:
                for event in server_events(response.chunks):
                    message, end = json.loads(event.data), int(event.id or offset)
                    ended = message["type"] == "done"
                    content = str(message.get("content", ""))
                    if end > offset:
                        yield from self._exactly(content, (run_id, attempt), offset, end)
                        offset = end
            except UnavailableError:
                pass  # cut off; what was missed comes from `offset` on
            finally:
                response.close()
            if ended:
                return
            clock.sleep(RETRY_SECONDS)
            response = patiently(partial(self._follow, run_id, offset, attempt), clock=clock)

    def append_metrics(
        self, run_id: str, rows: Sequence[Mapping[str, Any]], *, key: str | None = None
    ) -> int:
        """Keep measured rows exactly as they are; answers how many there were.

        The same `key` (Idempotency-Key) stores a batch once, however often it is sent.
        """
        body = AppendMetrics(rows=[dict(row) for row in rows])
        answer = self._caller.create(path_of("runs", run_id, "metrics"), body, key=key)
        return len(body.rows) if answer.get("replayed") else int(answer["appended"])

    def metrics(self, run_id: str) -> dict[str, Any]:
        """Series by name, their names, and the last values; empty when nothing was measured."""
        document: dict[str, Any] = self._caller.get(path_of("runs", run_id, "metrics"))
        return document

    def _follow(self, run_id: str, offset: int, attempt: str | int | None) -> Response:
        """The open stream of a run's output."""
        path, query = path_of("runs", run_id, "logs", "stream"), {"offset": offset}
        more = {} if attempt is None else {"attempt": attempt}
        return self._caller.stream(path, query | more, timeout_seconds=SILENCE_SECONDS)

    def _exactly(
        self, content: str, of: tuple[str, str | int | None], start: int, end: int
    ) -> Iterator[bytes]:
        """The bytes behind a piece of decoded output; asked for where decoding lost something."""
        encoded = content.encode()
        if len(encoded) == end - start and UNREADABLE not in content:
            yield encoded
        else:
            run_id, attempt = of
            yield from self._bytes(run_id, start, end, attempt)

    def _bytes(
        self, run_id: str, start: int, end: int | None, attempt: str | int | None
    ) -> Iterator[bytes]:
        """The bytes of the output from `start` to `end`, or to what is there."""
        path, offset = path_of("runs", run_id, "logs"), start
        while end is None or offset < end:
            limit = PAGE_BYTES if end is None else min(PAGE_BYTES, end - offset)
            query = {"format": "raw", "offset": offset, "limit": limit, "attempt": attempt}
            content = self._caller.fetch(path, query).body()
            if not content:
                return
            yield content
            offset += len(content)
