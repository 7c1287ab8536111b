"""The thread beside supervision: carries journal and metrics to the server, seals growing files.

Nothing it does can hold up the supervising thread, and nothing is dropped: a record counts as
told when the server has acknowledged it. Tried for ever, until the run directory is gone. Sleeps
without a timer while there is nothing to carry and nothing grows.
"""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tallystick import durable
from tallystick.supervisor.growth import Growth
from tallystick.supervisor.journal import Journal
from tallystick.supervisor.relay import DeliveryError, Pace, Relay
from tallystick.supervisor.seals import Seal
from tallystick.wire.observation import Ended, Observation

BATCH_RECORDS = 100
BATCH_BYTES = 256 * 1024


class MetricsTail:
    """The metrics file as far as the server has it; `offset` is what the server said last."""

    def __init__(self, path: Path) -> None:
        """Start at the beginning."""
        self._path = path
        self.offset = 0

    def next(self, *, last: bool) -> bytes:
        """The next whole lines, at most 256 KiB; empty when there are none.

        Once nothing writes any more (`last`) a torn last line counts as whole, and a line longer
        than a batch travels in pieces: the server's copy is the same bytes in the end.
        """
        try:
            with open(durable.open_regular(self._path), "rb") as source:  # noqa: PTH123
                source.seek(self.offset)
                content = source.read(BATCH_BYTES)
        except OSError:
            return b""
        end = content.rfind(b"\n") + 1
        if end == 0 and (last or len(content) == BATCH_BYTES):
            return content
        return content if last and len(content) < BATCH_BYTES else content[:end]


class Courier(threading.Thread):
    """Started once the command runs; ends after `finish` when everything was acknowledged."""

    def __init__(
        self, *, journal: Journal, seals: Sequence[Seal], metrics: Path, output: Path
    ) -> None:
        """Both files exist already."""
        super().__init__(name="courier", daemon=True)
        self._journal = journal
        self._seals = seals
        self._directory = metrics.parent
        self._tail = MetricsTail(metrics)
        self._growth = Growth([metrics, output])
        self._relay: Relay | None = None
        self._acknowledged = 0
        self._over = False
        self._records_pace, self._metrics_pace = Pace(), Pace()

    def serve(self, relay: Relay | None) -> None:
        """Start, telling the server by `relay`; with None only seals are made."""
        self._relay = relay
        self.start()

    def wake(self) -> None:
        """There is something new in the journal."""
        self._growth.wake()

    def finish(self) -> None:
        """Nothing follows any more; returns when all is delivered, or nobody wants it."""
        self._over = True
        self._growth.wake()
        self.join()

    def run(self) -> None:
        """Carry, seal, sleep."""
        while True:
            over = self._over  # read first: what came before it is seen below
            waits = [seal.look(time.monotonic()) for seal in self._seals]
            if self._relay is not None:
                waits += self._carry(self._relay, over)
            due = [moment for moment in waits if moment is not None]
            if over and (not due or not self._directory.is_dir()):
                return
            self._growth.wait(max(0.0, min(due) - time.monotonic()) if due else None)

    def _carry(self, relay: Relay, over: bool) -> list[float | None]:  # noqa: FBT001 - see run
        """Deliver what there is. Metrics go before the record that says it is over: who reads the
        end reads them, too. One try of them, though: what the server does not take holds up no end.
        """
        if not over:
            return [self._carry_records(relay, over), self._carry_metrics(relay, over)]
        metrics = self._carry_metrics(relay, over)
        return [metrics, self._carry_records(relay, over)]

    def _records(self, over: bool) -> Sequence[Observation]:  # noqa: FBT001 - see run
        """The next batch; without the end as long as it is not known that metrics are complete."""
        found = self._journal.durable(after=self._acknowledged)[:BATCH_RECORDS]
        return found if over else [one for one in found if not isinstance(one, Ended)]

    def _carry_records(self, relay: Relay, over: bool) -> float | None:  # noqa: FBT001 - see run
        """Deliver what the journal holds; the moment of the next try, None when all is told."""
        while records := self._records(over):
            if time.monotonic() < self._records_pace.due:
                return self._records_pace.due
            before = self._acknowledged
            try:
                answer = relay.observations(tuple(records))
            except DeliveryError as error:
                return self._records_pace.failed(time.monotonic(), refused=error.refused)
            self._acknowledged = min(answer, records[-1].n)  # less is told again, more was not sent
            if answer <= before:
                return self._records_pace.failed(time.monotonic())
            self._records_pace.succeeded()
        return None

    def _carry_metrics(self, relay: Relay, over: bool) -> float | None:  # noqa: FBT001 - see run
        """Deliver metrics; the moment of the next try, None when the server has them all."""
        while content := self._tail.next(last=over):
            if time.monotonic() < self._metrics_pace.due:
                return self._metrics_pace.due
            before = self._tail.offset
            try:
                answer = relay.metrics(content, offset=before)
            except DeliveryError as error:
                return self._metrics_pace.failed(time.monotonic(), refused=error.refused)
            self._tail.offset = min(answer, before + len(content))  # the server knows what it has
            if answer <= before:
                return self._metrics_pace.failed(time.monotonic())
            self._metrics_pace.succeeded()
        return None
