"""What sessions have of the machine, and the place in line that follows from it.

The line is what the policy would do if one slot after the other became free, nothing else ended,
and every waiting run asked for what a run asks for by default: sessions take turns by their share,
of equal shares the one that was served longest ago is next, within a session priority decides, then
age. For runs that are alike it is exactly the order in which they start.
"""

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tallystick.domain.capacity import Capacity

K = TypeVar("K", bound=str)

Place = tuple[float, float, int, int, tuple[int, int]]
"""Share before the start, share before the one before (-1 for the first), starts before it, when
its session was served last, priority and age of its session's first: smaller is sooner."""


def default_gpus(capacity: Capacity, setting: int | None) -> int:
    """Devices of a run that does not say how many: one where the host has any."""
    return min(1, len(capacity.devices)) if setting is None else setting


def limited(capacity: Capacity, *, slots: int | None, gpu_count: int | None) -> Capacity:
    """The capacity that may be used: `slots` runs, the first `gpu_count` devices by index."""
    devices = sorted(capacity.devices, key=lambda device: device.index)
    return Capacity(
        slots=slots or capacity.slots,
        cpus=capacity.cpus,
        memory_mb=capacity.memory_mb,
        devices=tuple(devices if gpu_count is None else devices[: max(0, gpu_count)]),
    )


def share(active: int, held: float, capacity: Capacity) -> float:
    """The dominant share of a session with `active` runs that hold `held` devices.

    Divisions of equal fractions give equal floats, so equal shares compare as equal.
    """
    of_slots = active / capacity.slots
    devices = len(capacity.devices)
    return max(of_slots, held / devices) if devices else of_slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One session with runs in line."""

    active: int = 0
    held: int = 0
    """Devices of its active runs."""
    waiting: int
    """Runs of it in line: those that nothing holds up but the others."""
    served: int | None = None
    """The entry that started a run of it last."""
    first: tuple[int, int] = (0, 0)
    """Negated priority and age of its first in line."""


def place(standing: Standing, rank: int, capacity: Capacity, *, gpus: int) -> Place:
    """Where the run number `rank` (from 0) of a session stands; grows with the rank.

    A run is charged `gpus` devices, and one slot.
    """
    before = -1.0
    if rank:
        earlier = rank - 1
        before = share(standing.active + earlier, standing.held + earlier * gpus, capacity)
    now = share(standing.active + rank, standing.held + rank * gpus, capacity)
    served = -1 if standing.served is None else standing.served
    return (now, before, rank, served, standing.first)


def position(
    standings: Mapping[K, Standing], session: K, rank: int, capacity: Capacity, *, gpus: int
) -> int:
    """1 for who is next: all runs of all sessions whose place is before that of run `rank`, and 1.

    Each session's places grow with the rank, so each is one search: the cost is the number of
    sessions in line times the logarithm of their runs.
    """
    wanted = place(standings[session], rank, capacity, gpus=gpus)
    sooner = (_sooner(standing, wanted, capacity, gpus) for standing in standings.values())
    return 1 + sum(sooner)


def _sooner(standing: Standing, wanted: Place, capacity: Capacity, gpus: int) -> int:
    """How many runs of a session have a place before `wanted`."""

    def place_of(rank: int) -> Place:
        return place(standing, rank, capacity, gpus=gpus)

    return bisect_left(range(standing.waiting), wanted, key=place_of)


def in_order(
    standings: Mapping[K, Standing], capacity: Capacity, *, gpus: int, first: int, limit: int
) -> Sequence[tuple[K, int]]:
    """Session and rank of the runs at positions `first` (from 1) to `first + limit - 1`.

    Walks the line from its beginning, in memory.
    """
    line = [
        (place(standing, 0, capacity, gpus=gpus), session)
        for session, standing in standings.items()
        if standing.waiting
    ]
    heapq.heapify(line)
    found: list[tuple[K, int]] = []
    passed = 0
    while line and len(found) < limit:
        wanted, session = line[0]
        rank, standing = wanted[2], standings[session]
        passed += 1
        if passed >= first:
            found.append((session, rank))
        if rank + 1 < standing.waiting:
            following = place(standing, rank + 1, capacity, gpus=gpus)
            heapq.heapreplace(line, (following, session))
        else:
            heapq.heappop(line)
    return found
