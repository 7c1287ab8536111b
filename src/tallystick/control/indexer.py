"""Keeps the index of every run's metrics close behind its streams.

A write of metrics is acknowledged when its bytes are on disk; then it is told here, and the index
follows. Which runs may be behind is remembered durably, once until they have ended and caught up;
everything else is in memory and is found out again after a restart.
"""

import json
import logging
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from tallystick.control.service import Service
from tallystick.db.database import Database
from tallystick.domain.status import Phase
from tallystick.errors import TallystickError
from tallystick.projections import measured, runs
from tallystick.store.indexing import Indexed, Job
from tallystick.store.indexing_process import IndexingProcess

_log = logging.getLogger(__name__)

SPACING_SECONDS: Final = 0.05
POLL_SECONDS: Final = 30.0
MOST_FAILURES: Final = 3
"""In a row; then a run is left alone until it is touched again."""

Waiter = Future[None]


@dataclass(frozen=True, slots=True)
class _Round:
    """What came of one round over the runs that were behind."""

    done: list[Indexed]
    unfinished: list[str]


class Indexer:
    """`touch` when metrics of a run were stored, `catch_up` before they are read."""

    def __init__(self, database: Database, process: IndexingProcess) -> None:
        """Nothing is read, and no process started, before `start`."""
        self._database = database
        self._process = process
        self._service = Service(
            "tally-indexer", self.tick, poll_seconds=POLL_SECONDS, spacing_seconds=SPACING_SECONDS
        )
        self._lock = threading.Lock()
        self._marked: set[str] = set()  # guarded by _lock: durably known to be behind
        self._wanted: dict[str, list[Waiter]] = {}  # guarded by _lock: not begun yet
        self._look_for_ends = True
        self._closing = False
        self._failures: dict[str, int] = {}
        """The service's thread only."""

    def start(self) -> None:
        """Begin with what was behind when the server ended."""
        with self._database.read() as tx:
            self._marked |= measured.behind(tx)
        with self._lock:
            for run in self._marked:
                self._wanted.setdefault(run, [])
        self._service.start()

    def stop(self) -> None:
        """End the loop and the process; who waits is told at once."""
        self._closing = True
        self._service.stop()
        self._process.close()
        with self._lock:
            waiting, self._wanted = self._wanted, {}
        _tell(waiter for waiters in waiting.values() for waiter in waiters)

    def touch(self, run: str) -> None:
        """Metrics of `run` were stored; raises what the database raises."""
        with self._lock:
            if run not in self._marked:
                with self._database.write() as tx:
                    measured.mark(tx, run)
                self._marked.add(run)
            self._wanted.setdefault(run, [])
        self._service.wake()

    def ended(self) -> None:
        """A run has ended; its streams are read to their last byte."""
        self._look_for_ends = True
        self._service.wake()

    def catch_up(self, run: str) -> Waiter:
        """Done once the index of `run` holds what its streams hold now, or cannot."""
        waiter: Waiter = Future()
        with self._lock:
            if self._closing:
                waiter.set_result(None)
            else:
                self._wanted.setdefault(run, []).append(waiter)
        self._service.wake()
        return waiter

    def tick(self) -> None:
        """One round over all runs that are behind, then one durable step for what lists show."""
        if self._look_for_ends:
            self._look_for_ends = False
            self._want_ended()
        with self._lock:
            wanted, self._wanted = self._wanted, {}
        if not wanted:
            return
        try:
            outcome = self._round(list(wanted))
            self._remember(outcome.done)
        except TallystickError:
            self._again(wanted, list(wanted))
            raise
        self._again(wanted, outcome.unfinished)
        _tell(waiter for one in outcome.done for waiter in wanted[one.run])
        if outcome.unfinished and not self._closing:
            self._service.wake()

    def _want_ended(self) -> None:
        with self._lock:
            marked = list(self._marked)
        ended = self._ended_among(marked)
        with self._lock:
            for run in ended:
                self._wanted.setdefault(run, [])

    def _ended_among(self, some: list[str]) -> set[str]:
        with self._database.read() as tx:
            return {str(run.id) for run in runs.many(tx, some) if run.phase is Phase.ENDED}

    def _round(self, wanted: list[str]) -> _Round:
        ended = self._ended_among(wanted)
        done, unfinished = [], []
        for run in wanted:
            if self._closing:
                unfinished.append(run)
                continue
            found = self._process.ask(Job(run, final=run in ended))
            if found.caught_up:
                self._failures.pop(run, None)
                done.append(found)
            elif not found.error:
                unfinished.append(run)
            elif self._failed(found):
                done.append(found)
            else:
                unfinished.append(run)
        return _Round(done, unfinished)

    def _failed(self, found: Indexed) -> bool:
        """Whether a run that could not be indexed is left alone from now on."""
        self._failures[found.run] = self._failures.get(found.run, 0) + 1
        _log.warning("metrics of run %s cannot be indexed: %s", found.run, found.error)
        if self._failures[found.run] < MOST_FAILURES:
            return False
        del self._failures[found.run]
        return True

    def _remember(self, done: list[Indexed]) -> None:
        good = [one for one in done if not one.error]
        if not good:
            return
        with self._lock, self._database.write() as tx:
            measured.keep(tx, [_measured(one) for one in good])
            caught_up = [one.run for one in good if one.final and one.run not in self._wanted]
            measured.clear(tx, caught_up)
            self._marked.difference_update(caught_up)

    def _again(self, wanted: dict[str, list[Waiter]], some: list[str]) -> None:
        with self._lock:
            for run in some:
                self._wanted.setdefault(run, []).extend(wanted[run])


def _measured(one: Indexed) -> measured.Measured:
    return measured.Measured(
        run=one.run,
        metrics=_json(one.metrics),
        ranges=_json(one.ranges),
        summary=_json(one.summary),
        names=one.names,
        points=one.points,
    )


def _json(value: Mapping[str, Any]) -> str:
    """As it can be looked into: names stand as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tell(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        if not waiter.done():  # whoever waited may have gone
            waiter.set_result(None)
