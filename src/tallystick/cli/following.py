"""The output of a run as it comes, attempt after attempt, and words for what it waits for.

A run that is tried again has an output for each attempt. Whoever follows it sees them one after
the other, with a line on standard error between them; an interruption in the middle loses no byte.
"""

import sys
from typing import TYPE_CHECKING

from tallystick.cli import output
from tallystick.cli.waiting import wait_shown

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.views import RunView

LONGEST_LOOK_SECONDS = 5.0


class Following:
    """What of a run's output has been copied to standard output."""

    def __init__(self, client: "Client", run_id: str, *, attempt: int = 1, offset: int = 0) -> None:
        """Begin at byte `offset` of an attempt, which need not exist yet."""
        self._client = client
        self._run_id = run_id
        self._attempt = attempt
        self._offset = offset

    def copy(self) -> "RunView":
        """Go on where it was until the run has ended; the run as it is then.

        Raises `UnavailableError` when the server is gone for good.
        """
        from tallystick.client.runs import RUN_ENDS

        while True:
            run = wait_shown(
                self._look,
                lambda seen: seen.attempts >= self._attempt or seen.status in RUN_ENDS,
                queue_words,
                timeout_seconds=None,
            )
            if run.attempts < self._attempt:  # ended, and there was no further attempt
                return run
            if self._attempt > 1 and self._offset == 0:
                output.note(f"{run.id} attempt {self._attempt}")
            self._copy_attempt()
            self._attempt, self._offset = self._attempt + 1, 0

    def _copy_attempt(self) -> None:
        """The rest of the present attempt's output, until it has ended."""
        for chunk in self._client.follow_logs(
            self._run_id, offset=self._offset, attempt=self._attempt
        ):
            self._offset += len(chunk)
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()

    def _look(self, wait_seconds: float) -> "RunView":
        """One look, which may wait; not for long, for the next attempt may have begun just before,
        and tells nobody who only began to wait then.
        """
        return self._client.run(self._run_id, wait=min(wait_seconds, LONGEST_LOOK_SECONDS))


def queue_words(run: "RunView") -> str:
    """The status of a run; its place and what it waits for while it is queued."""
    place = f", number {run.queue_position} in the queue" if run.queue_position else ""
    reason = f": {run.pending_reason}" if run.status == "queued" and run.pending_reason else ""
    return f"{run.status}{place}{reason}"
