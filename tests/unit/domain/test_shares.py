"""The place in line is the order in which the policy starts runs that are alike."""

import itertools
import random
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from tallystick.domain.capacity import Capacity, Device
from tallystick.domain.ids import RunId, SessionId
from tallystick.domain.queue import Candidate, Holding, Situation, assign
from tallystick.domain.shares import (
    Standing,
    default_gpus,
    in_order,
    limited,
    place,
    position,
    share,
)

DEVICES = tuple(Device(id=f"GPU-{n}", index=n) for n in range(4))


def test_the_larger_part_of_slots_and_devices_is_the_share() -> None:
    capacity = Capacity(slots=10, devices=DEVICES)
    assert share(1, 2, capacity) == 0.5
    assert share(6, 2, capacity) == 0.6
    assert share(1, 0, Capacity(slots=2)) == 0.5


def test_people_limit_the_slots_and_the_devices_that_may_be_used() -> None:
    capacity = Capacity(slots=10, cpus=3, memory_mb=5, devices=DEVICES[::-1])
    assert limited(capacity, slots=None, gpu_count=None).devices == DEVICES
    cut = limited(capacity, slots=2, gpu_count=1)
    assert (cut.slots, cut.devices, cut.cpus, cut.memory_mb) == (2, DEVICES[:1], 3, 5)
    assert limited(capacity, slots=2, gpu_count=0).devices == ()


def test_a_run_that_does_not_say_gets_a_device_where_there_is_one() -> None:
    assert default_gpus(Capacity(slots=1, devices=DEVICES), None) == 1
    assert default_gpus(Capacity(slots=1), None) == 0
    assert default_gpus(Capacity(slots=1, devices=DEVICES), 0) == 0
    assert default_gpus(Capacity(slots=1, devices=DEVICES), 2) == 2


class Play:
    """Lets the policy start alike runs one after the other, nothing ever ending."""

    def __init__(self, choice: random.Random, *, gpus: int) -> None:
        self.gpus = gpus
        self.sessions = [SessionId(f"s{n}") for n in range(choice.randint(1, 4))]
        ages = itertools.count(1)
        queued = [
            self._candidate(choice.choice(self.sessions), next(ages))
            for _ in range(choice.randint(1, 25))
        ]
        self.queued = queued
        self.holdings = [
            Holding(run=RunId(f"h{n}"), session=choice.choice(self.sessions), gpus=("x",) * gpus)
            for n in range(choice.randint(0, 6))
        ]
        served = choice.sample(range(50), len(self.sessions))
        self.served = {key: served.pop() for key in self.sessions if choice.random() < 0.7}
        self.capacity = Capacity(slots=9, devices=DEVICES)

    def _candidate(self, session: SessionId, age: int) -> Candidate:
        return Candidate(run=RunId(f"r{age}"), session=session, queued_seq=age)

    def standings(self) -> dict[SessionId, Standing]:
        found = {}
        for session in self.sessions:
            own = [one for one in self.queued if one.session == session]
            holds = [held for held in self.holdings if held.session == session]
            if own:
                found[session] = Standing(
                    active=len(holds),
                    held=len(holds) * self.gpus,
                    waiting=len(own),
                    served=self.served.get(session),
                    first=(0, own[0].queued_seq),
                )
        return found

    def order(self) -> list[RunId]:
        """One free slot at a time, on a machine of the same size, so that shares are the same."""
        waiting, holdings, served = list(self.queued), list(self.holdings), dict(self.served)
        order = []
        while waiting:
            by_session = dict.fromkeys(self.sessions, 0)
            for held in holdings:
                by_session[held.session] += 1
            chosen = self._next(waiting, by_session, served)
            order.append(chosen.run)
            waiting.remove(chosen)
            served[chosen.session] = 100 + len(order)
            holdings.append(
                Holding(run=chosen.run, session=chosen.session, gpus=("x",) * self.gpus)
            )
        return order

    def _next(
        self,
        waiting: list[Candidate],
        active: dict[SessionId, int],
        served: dict[SessionId, int],
    ) -> Candidate:
        """What the policy picks first, on a machine that is as busy but has room."""
        scale = 10  # shares of a machine ten times as large compare alike
        large = Capacity(
            slots=self.capacity.slots * scale,
            devices=tuple(Device(id=f"d{n}", index=n) for n in range(len(DEVICES) * scale))
            if self.gpus
            else (),
        )
        ids = iter(device.id for device in large.devices)
        held = tuple(
            Holding(run=RunId(f"a{session}"), session=session, gpus=tuple(islice(ids, self.gpus)))
            for session, count in active.items()
            for _ in range(count)
        )
        situation = Situation(capacity=large, holdings=held, default_gpus=self.gpus, served=served)
        return self._by_run(waiting, assign(waiting, situation).starts[0].run)

    @staticmethod
    def _by_run(waiting: list[Candidate], run: RunId) -> Candidate:
        return next(one for one in waiting if one.run == run)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("gpus", [0, 1])
def test_positions_are_exactly_the_order_in_which_alike_runs_start(seed: int, gpus: int) -> None:
    play = Play(random.Random(seed), gpus=gpus)
    standings, order = play.standings(), play.order()
    capacity = play.capacity if gpus else replace(play.capacity, devices=())
    ranks = {session: itertools.count() for session in standings}
    for candidate in play.queued:
        rank = next(ranks[candidate.session])
        told = position(standings, candidate.session, rank, capacity, gpus=gpus)
        assert told == order.index(candidate.run) + 1, candidate
    line = in_order(standings, capacity, gpus=gpus, first=1, limit=99)
    by_rank: dict[Any, list[RunId]] = {}
    for candidate in play.queued:
        by_rank.setdefault(candidate.session, []).append(candidate.run)
    assert [by_rank[session][rank] for session, rank in line] == order


def test_pages_of_the_line_joined_are_the_line() -> None:
    standings = {
        "a": Standing(waiting=7, active=1, served=3),
        "b": Standing(waiting=2, served=9),
        "c": Standing(waiting=5, active=4, first=(0, 4)),
    }
    capacity = Capacity(slots=3)
    whole = list(in_order(standings, capacity, gpus=0, first=1, limit=99))
    assert len(whole) == len(set(whole)) == 14
    pages = [
        page
        for first in range(1, 15, 4)
        for page in in_order(standings, capacity, gpus=0, first=first, limit=4)
    ]
    assert pages == whole
    for number, (session, rank) in enumerate(whole, 1):
        assert position(standings, session, rank, capacity, gpus=0) == number


def test_a_place_grows_with_the_number_also_where_the_devices_are_the_share() -> None:
    capacity = Capacity(slots=10, devices=DEVICES)
    standing = Standing(active=1, held=4, waiting=9)
    places = [place(standing, rank, capacity, gpus=0) for rank in range(9)]
    assert places == sorted(set(places))
