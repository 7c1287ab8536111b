"""Calls about what runs write: output, metrics and files."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from tallystick.client.caller import path_of
from tallystick.client.calls import RETRY_SECONDS, Calls
from tallystick.client.reading import view
from tallystick.client.sse import server_events
from tallystick.client.transport import Response
from tallystick.client.waiting import patiently
from tallystick.errors import UnavailableError, VerificationError
from tallystick.wire.artifact_views import ArtifactsCollected, ArtifactView
from tallystick.wire.requests import AppendMetrics
from tallystick.wire.views import LogPage

PAGE_BYTES = 65_536
PAGE_FILES = 1_000
COLLECT_SECONDS = 600.0
"""A look at the files of a run may have to hash gigabytes."""
SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long, not even a comment, is taken for dead."""
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class OutputCalls(Calls):
    """Read output, append and read metrics, find and fetch files."""

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

    def metrics(
        self,
        run_id: str,
        *keys: str,
        buckets: int | None = None,
        from_step: float | None = None,
        to_step: float | None = None,
    ) -> dict[str, Any]:
        """Series by name, their names, and the last values; empty when nothing was measured.

        `keys` chooses metrics. A series of more than 2,000 points is thinned to the lowest and the
        highest of each of `buckets` stretches. The steps are the ends of a range.
        """
        query = {
            "keys": json.dumps(keys) if keys else None,
            "buckets": buckets,
            "from_step": from_step,
            "to_step": to_step,
        }
        document: dict[str, Any] = self._caller.get(path_of("runs", run_id, "metrics"), query)
        return document

    def artifacts(self, run_id: str, *, prefix: str = "") -> Iterator[ArtifactView]:
        """The files that were kept of a run, by path; those that begin with `prefix`."""
        path, after = path_of("runs", run_id, "artifacts"), ""
        while True:
            query = {"prefix": prefix, "after": after, "limit": PAGE_FILES}
            items = self._caller.get(path, query)
            yield from (view(ArtifactView, item) for item in items)
            if len(items) < PAGE_FILES:
                return
            after = items[-1]["path"]

    def collect_artifacts(self, run_id: str) -> ArtifactsCollected:
        """Have the server look for files now."""
        answer = self._caller.post(
            path_of("runs", run_id, "artifacts"), timeout_seconds=COLLECT_SECONDS
        )
        return view(ArtifactsCollected, answer)

    def artifact(self, run_id: str, path: str) -> Iterator[bytes]:
        """The bytes of one file, as they come; raises `VerificationError` instead of the last piece
        when they are not those that the server names.
        """
        target = path_of("runs", run_id, "artifacts") + "/" + quote(path)
        response = self._caller.stream(target, timeout_seconds=SILENCE_SECONDS)
        digest, held = hashlib.sha256(), b""
        for piece in response.chunks:
            digest.update(piece)
            if held:
                yield held
            held = piece
        named = response.headers.get("etag", "").strip('"')
        if digest.hexdigest() != named:
            raise VerificationError(
                f"{path}: the bytes that came are not those with the digest {named[:16]}…",
                code="artifact_damaged",
            )
        yield held

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
