"""One target's way through the notices: in order, at its own pace, at least once.

Position and retries are in `op_deliveries`, so a restart forgets nothing; a crash in the middle
repeats at most a page. A try that fails is repeated after growing pauses, for about a day; a target
that fails several times in a row is left in peace until a pause is over. What waits is bounded:
beyond `MOST_WAITING` notices the oldest are left out, and that is logged. The ledger and the event
feed have them all.
"""

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tallystick.clock import Clock
from tallystick.control.messages import Message, compose
from tallystick.control.webhooks import Verdict
from tallystick.db.database import Database
from tallystick.domain.notice import Notice
from tallystick.projections import deliveries, notices
from tallystick.projections.deliveries import Retry, Standing

_log = logging.getLogger(__name__)

FIRST_PAUSE_MS: Final = 5_000
LONGEST_PAUSE_MS: Final = 3_600_000
MOST_TRIES: Final = 30
"""5 s, 20 s, 80 s, 5 min, 21 min, then an hour: a bit more than a day in all."""

FAILURES_IN_A_ROW: Final = 3
"""After so many a target is left in peace until a pause is over."""

MOST_WAITING: Final = 10_000
"""Notices behind the position of a target: hours of the busiest server."""

MOST_RETRIES: Final = 500
"""Notices that a target refused one by one while it took others."""

MOST_SKIPPED: Final = 1_000
"""Entries without a notice for the target, before its position moves past them."""

PAGE: Final = 50
"""Notices between two durable steps."""


class Target(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """For the log: never a part of an address."""
        ...

    @property
    def key(self) -> str:
        """A digest of the address."""
        ...

    @property
    def at_once(self) -> int:
        """Messages that one delivery takes."""
        ...

    @property
    def rest_ms(self) -> int:
        """After a delivery it is left in peace for so long; what comes meanwhile waits."""
        ...

    def deliver(self, messages: Sequence[Message]) -> Verdict:
        """Tell it; raises nothing for what the other side does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A notice whose turn it is, and how often it was tried."""

    notice: Notice
    tries: int = 0


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What a page of deliveries led to, to be remembered in one step."""

    place: Standing
    settled: list[str]
    """Delivered or given up."""
    put_off: list[Retry]


class Follower:
    """Where one target is; `tick` is called by its service and by nobody else."""

    def __init__(
        self, database: Database, target: Target, *, clock: Clock, types: Collection[str]
    ) -> None:
        """`types` are notice types; nothing is read before `begin`."""
        self._database = database
        self._target = target
        self._clock = clock
        self._types = types
        self._ending = threading.Event()
        self._gone = False

    @property
    def gone(self) -> bool:
        """Whether the other side wants no more; forgotten at the next start."""
        return self._gone

    def begin(self) -> None:
        """A target that is new is told what happens from now on, and nothing of before."""
        with self._database.write() as tx:
            if deliveries.standing(tx, self._target.key) is None:
                place = Standing(seq=notices.newest_seq(tx))
                deliveries.stand(tx, self._target.key, place)

    def end(self) -> None:
        """Begin no further delivery."""
        self._ending.set()

    def tick(self) -> None:
        """Deliver until nothing is due, or the target has to be left in peace."""
        while not (self._gone or self._ending.is_set()):
            with self._database.read() as tx:
                place = deliveries.standing(tx, self._target.key)
            if place is None or place.rests_until > self._clock.now():
                return
            if not (self._try_again(place) or self._go_on(place)):
                return

    def _try_again(self, place: Standing) -> bool:
        """What is due to be tried again; whether there was anything."""
        now = self._clock.now()
        with self._database.read() as tx:
            retries = deliveries.due(tx, self._target.key, now=now, limit=PAGE)
            found = {one.id: one for one in notices.many(tx, [one.notice for one in retries])}
        due = [
            _Due(notice=found[one.notice], tries=one.tries)
            for one in retries
            if one.notice in found
        ]
        lost = [one.notice for one in retries if one.notice not in found]
        if retries:
            self._deliver(due, _Progress(place=place, settled=lost, put_off=[]))
        return bool(retries)

    def _go_on(self, place: Standing) -> bool:
        """What comes after the position; whether there was anything."""
        limit = max(PAGE, self._target.at_once)
        with self._database.read() as tx:
            start = notices.calling_before(tx, self._types, after=place.seq, newest=MOST_WAITING)
            found = notices.calling(tx, self._types, after=start, limit=limit)
            newest = start if found else notices.newest_seq(tx)
        if start > place.seq:
            _log.warning("%s: too much was waiting, the oldest was left out", self._target.name)
        if found:
            due = [_Due(notice=one) for one in found]
            self._deliver(due, _Progress(place=place, settled=[], put_off=[]))
        elif newest - place.seq > MOST_SKIPPED:  # nobody is told of them: not to be read again
            place = replace(place, seq=newest)
            self._remember(_Progress(place=place, settled=[], put_off=[]))
        return bool(found)

    def _deliver(self, due: Sequence[_Due], progress: _Progress) -> None:
        """Tell some notices in groups, then remember what came of it."""
        with self._database.read() as tx:
            messages = compose(tx, [one.notice for one in due])
        size = self._target.at_once
        for start in range(0, len(due), size):
            if self._ending.is_set():
                break
            group = due[start : start + size]
            verdict = self._target.deliver(messages[start : start + size])
            reached = max(progress.place.seq, group[-1].notice.seq)
            progress.place = replace(progress.place, seq=reached)
            if verdict.delivered:
                rest = self._target.rest_ms
                until = self._clock.now() + rest if rest else 0
                progress.place = replace(progress.place, failures=0, rests_until=until)
                progress.settled += [one.notice.id for one in group]
            else:
                self._failed(group, verdict, progress)
                self._gone = verdict.gone
            if self._gone or progress.place.rests_until > self._clock.now():
                break
        self._remember(progress)

    def _failed(self, group: Sequence[_Due], verdict: Verdict, progress: _Progress) -> None:
        """When the group is tried again, and how long the target is left in peace."""
        now = self._clock.now()
        failures = progress.place.failures + 1
        rest = min(verdict.again_after_ms or 0, LONGEST_PAUSE_MS)
        if failures >= FAILURES_IN_A_ROW:
            rest = max(rest, self._pause_ms(failures - FAILURES_IN_A_ROW + 1))
        progress.place = replace(
            progress.place, failures=failures, rests_until=now + rest if rest else 0
        )
        tries = max(one.tries for one in group) + 1
        pause = max(rest, self._pause_ms(tries))
        if tries >= MOST_TRIES:
            then = f"{len(group)} notices are given up"
            progress.settled += [one.notice.id for one in group]
        else:
            then = f"trying again in {pause / 1000:.0f} s"
            progress.put_off += [
                Retry(notice=one.notice.id, seq=one.notice.seq, tries=tries, due_at=now + pause)
                for one in group
            ]
        if verdict.gone:
            then = "it is told nothing more until the next start"
        _log.warning("%s: %s; %s", self._target.name, verdict.said, then)

    def _pause_ms(self, tries: int) -> int:
        """Before the next try: growing, and never quite the same for all that failed at once."""
        pause: int = min(FIRST_PAUSE_MS * 4 ** min(tries - 1, 10), LONGEST_PAUSE_MS)
        return pause + pause * self._clock.token_bytes(1)[0] // 2560

    def _remember(self, progress: _Progress) -> None:
        """One durable step: a crash before it repeats deliveries, and loses none."""
        key = self._target.key
        with self._database.write() as tx:
            deliveries.stand(tx, key, progress.place)
            deliveries.settle(tx, key, progress.settled)
            deliveries.put_off(tx, key, progress.put_off)
            surplus = deliveries.bound(tx, key, most=MOST_RETRIES) if progress.put_off else 0
        if surplus:
            _log.warning("%s: %d notices are given up", self._target.name, surplus)
