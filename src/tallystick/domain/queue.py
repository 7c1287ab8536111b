"""Who starts now, with which devices, and why everybody else waits: the policy, and nothing else.

Sessions take turns: the one with the smallest share of the machine is next, of equal ones the one
that was served longest ago. Within a session priority decides, then age. A run that does not fit
sets aside what it needs; later ones that need the same wait behind it, others pass. What waits for
itself (a stranger's device, its sweep's own limit, a budget) sets nothing aside.

The share moves whenever a run ends, so a large run could be passed for ever by small ones of a
session whose share falls to nothing at each end. Passes are therefore counted, and who was passed
too often is first (`MOST_PASSES`).
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tallystick.domain.budget import scope_of
from tallystick.domain.capacity import Capacity, Device
from tallystick.domain.demands import Demands
from tallystick.domain.ids import AttemptId, RunId, SessionId, SweepId
from tallystick.domain.needs import Needs, needs_of
from tallystick.domain.reasons import (
    BudgetSpent,
    ForCpus,
    ForDevices,
    ForMemory,
    ForSlot,
    Hold,
    Impossible,
    Reason,
    SweepLimit,
    Turn,
)
from tallystick.domain.shares import share

MOST_PASSES: Final = 4
"""Starts of other sessions, times the sessions that wait, before somebody's turn has come."""

NO_DEMANDS: Final = Demands()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A queued run, as far as the policy sees it."""

    run: RunId
    session: SessionId
    sweep: SweepId | None = None
    demands: Demands = NO_DEMANDS
    queued_seq: int
    """Its age: smaller is older."""
    begun: bool = False
    """Whether it was executed before: then it counts in no budget of runs again."""
    held_up: Reason | None = None
    """Why it is not considered, whatever is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An active run, and what it was given."""

    run: RunId
    attempt: AttemptId | None = None
    session: SessionId
    sweep: SweepId | None = None
    demands: Demands = NO_DEMANDS
    gpus: tuple[str, ...] = ()
    since: int = 0
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many more runs of a session or a sweep may start, and what is said then."""

    starts: int
    spent: BudgetSpent


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything beside the queue that the policy decides by."""

    capacity: Capacity
    holdings: tuple[Holding, ...] = ()
    default_gpus: int = 0
    """Devices of a run that does not say how many."""
    parallel: Mapping[SweepId, int] = field(default_factory=dict)
    """Runs at a time, for sweeps that have such a limit."""
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    """By the scope of the budget, where there is one of runs."""
    served: Mapping[SessionId, int] = field(default_factory=dict)
    """The entry that started a run of the session last."""
    passed: Mapping[RunId, int] = field(default_factory=dict)
    """How often somebody was passed, as the round before said."""

    @property
    def free_slots(self) -> int:
        """How many more runs may be active; never negative."""
        return max(0, self.capacity.slots - len(self.holdings))


@dataclass(frozen=True, slots=True)
class Start:
    """A run that starts now."""

    run: RunId
    gpus: tuple[str, ...]
    """Devices that are its own until it ends."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of every candidate."""

    starts: tuple[Start, ...]
    """In their order."""
    waits: Mapping[RunId, Reason]
    passed: Mapping[RunId, int]
    """For the next round."""


def assign(candidates: Iterable[Candidate], situation: Situation) -> Decision:
    """Decide about every candidate; the same input leads to the same decision."""
    return _Round(situation).decide(candidates)


@dataclass(slots=True)
class _Turns:
    """One session in the round: who of it is left, and what it has."""

    left: list[Candidate]
    """The next one last."""
    active: int
    held: int
    served: int | None


class _Round:
    """One decision: what is left while it is handed out."""

    def __init__(self, situation: Situation) -> None:
        holdings, capacity = situation.holdings, situation.capacity
        self._situation = situation
        self._capacity = capacity
        self._slots = situation.free_slots
        self._leased = {device: holding for holding in holdings for device in holding.gpus}
        self._free = {
            device.id
            for device in capacity.devices
            if device.held_by is None and device.id not in self._leased
        }
        self._cpus = capacity.cpus - sum(held.demands.cpus or 0 for held in holdings)
        self._memory = capacity.memory_mb - sum(held.demands.memory_mb or 0 for held in holdings)
        self._of_sweep: dict[SweepId, int] = {}
        for holding in holdings:
            self._count_in_sweep(holding.sweep)
        self._used: dict[str, int] = {}
        self._awaited: set[str] = set()
        self._starts: list[tuple[Candidate, tuple[Device, ...]]] = []
        self._waits: dict[RunId, Reason] = {}
        self._lacking: dict[tuple[SessionId, str, frozenset[str]], tuple[RunId, int]] = {}

    def decide(self, candidates: Iterable[Candidate]) -> Decision:
        """Everybody in turn."""
        by_session: dict[SessionId, list[Candidate]] = {}
        for candidate in candidates:
            by_session.setdefault(candidate.session, []).append(candidate)
        patience = MOST_PASSES * len(by_session)
        sessions = {key: self._turns(key, those) for key, those in by_session.items()}
        self._go_first(sessions, patience)
        line = [self._place(key, turns) for key, turns in sessions.items() if turns.left]
        heapq.heapify(line)
        while line:
            key = heapq.heappop(line)[-1]
            turns = sessions[key]
            self._consider(turns.left.pop(), turns)
            if turns.left:
                heapq.heappush(line, self._place(key, turns))
        return Decision(
            starts=tuple(
                Start(candidate.run, tuple(device.id for device in devices))
                for candidate, devices in self._starts
            ),
            waits=self._waits,
            passed={run: times for run, times in self._lacking.values() if times},
        )

    def _turns(self, session: SessionId, candidates: Sequence[Candidate]) -> _Turns:
        """A session's candidates in their order, and what it has already."""
        own = [held for held in self._situation.holdings if held.session == session]
        return _Turns(
            left=sorted(candidates, key=_rank, reverse=True),
            active=len(own),
            held=sum(len(holding.gpus) for holding in own),
            served=self._situation.served.get(session),
        )

    def _place(
        self, session: SessionId, turns: _Turns
    ) -> tuple[float, int, tuple[int, int], SessionId]:
        """What sorts first is next."""
        served = -1 if turns.served is None else turns.served
        return (
            share(turns.active, turns.held, self._capacity),
            served,
            _rank(turns.left[-1]),
            session,
        )

    def _go_first(self, sessions: Mapping[SessionId, _Turns], patience: int) -> None:
        """Whoever was passed too often, the oldest first."""
        times = self._situation.passed
        overdue = [
            (candidate, turns)
            for turns in sessions.values()
            for candidate in turns.left
            if times.get(candidate.run, 0) >= patience
        ]
        for candidate, turns in sorted(overdue, key=lambda pair: pair[0].queued_seq):
            turns.left.remove(candidate)
            self._consider(candidate, turns)

    def _consider(self, candidate: Candidate, turns: _Turns) -> None:
        """One candidate: it starts, or it waits for a reason."""
        needs = needs_of(candidate.demands, self._capacity, self._situation.default_gpus)
        reason = candidate.held_up or (needs if isinstance(needs, Impossible) else None)
        if reason is None and isinstance(needs, Needs):
            reason = self._own_limits(candidate, needs) or self._scarce(candidate, needs)
        if reason is not None:
            self._waits[candidate.run] = reason
        elif isinstance(needs, Needs):
            devices = self._take(candidate, needs)
            turns.active += 1
            turns.held += len(devices)
            turns.served = len(self._starts) + max(self._situation.served.values(), default=0)

    def _own_limits(self, candidate: Candidate, needs: Needs) -> Reason | None:
        """What it waits for by itself: nobody behind it has to."""
        for scope in _scopes(candidate):
            allowance = self._situation.allowances.get(scope)
            if allowance is not None and self._used.get(scope, 0) >= allowance.starts:
                return allowance.spent
        sweep = candidate.sweep
        most = self._situation.parallel.get(sweep) if sweep is not None else None
        if sweep is not None and most is not None and self._of_sweep.get(sweep, 0) >= most:
            return SweepLimit(sweep, most)
        ours = [device for device in needs.usable if device.held_by is None]
        return self._for_devices(candidate, needs) if len(ours) < needs.count else None

    def _scarce(self, candidate: Candidate, needs: Needs) -> Reason | None:
        """What it lacks beside others; the first to lack it has what it needs set aside."""
        own = {device.id for device in needs.usable} if needs.count else set()
        what = self._lack(needs, own)
        if what is None:
            return None
        behind = bool(own & self._awaited) if what == "devices" else self._is_awaited(what)
        self._note(candidate, what, own)
        if behind:
            return Turn(0)
        reason = self._for(what, candidate, needs)
        self._set_aside(needs, own, what)
        return reason

    def _lack(self, needs: Needs, own: set[str]) -> str | None:
        """The first thing of which there is not enough; a slot last, for it says least."""
        if len(own & self._free) < needs.count:
            return "devices"
        if needs.cpus > max(0, self._cpus):
            return "cpus"
        if needs.memory_mb > max(0, self._memory):
            return "memory"
        return "slot" if self._slots == 0 else None

    def _is_awaited(self, what: str) -> bool:
        """Whether somebody before lacks the same."""
        return any(lacked == what for _session, lacked, _own in self._lacking)

    def _for(self, what: str, candidate: Candidate, needs: Needs) -> Reason:
        """What to say of the first that lacks it."""
        if what == "devices":
            return self._for_devices(candidate, needs)
        if what == "cpus":
            return ForCpus(needs.cpus, max(0, self._cpus), self._capacity.cpus)
        if what == "memory":
            return ForMemory(needs.memory_mb, max(0, self._memory), self._capacity.memory_mb)
        return ForSlot(self._capacity.slots)

    def _set_aside(self, needs: Needs, own: set[str], what: str) -> None:
        """Keep for somebody what there is of what it needs, but for the slot: others may pass."""
        self._awaited |= own
        if what == "slot":
            return
        self._free -= set(sorted(own & self._free)[: needs.count])
        self._cpus = 0 if what == "cpus" else self._cpus - min(needs.cpus, self._cpus)
        self._memory = 0 if what == "memory" else self._memory - min(needs.memory_mb, self._memory)

    def _note(self, candidate: Candidate, what: str, own: set[str]) -> None:
        """The first of a session that lacks something counts who got it instead."""
        key = (candidate.session, what, frozenset(own if what == "devices" else ()))
        if key in self._lacking:
            return
        more = sum(
            1
            for other, devices in self._starts
            if other.session != candidate.session and _took(other, devices, what, own)
        )
        before = self._situation.passed.get(candidate.run, 0)
        self._lacking[key] = (candidate.run, before + more)

    def _take(self, candidate: Candidate, needs: Needs) -> tuple[Device, ...]:
        """Hand out: the smallest devices that do, so that large ones stay for who needs them."""
        found = [device for device in needs.usable if device.id in self._free]
        found.sort(key=lambda device: (device.memory_mb, device.index))
        devices = tuple(sorted(found[: needs.count], key=lambda device: device.index))
        self._free -= {device.id for device in devices}
        self._slots -= 1
        self._cpus -= needs.cpus
        self._memory -= needs.memory_mb
        self._count_in_sweep(candidate.sweep)
        for scope in _scopes(candidate):
            self._used[scope] = self._used.get(scope, 0) + 1
        self._starts.append((candidate, devices))
        return devices

    def _count_in_sweep(self, sweep: SweepId | None) -> None:
        if sweep is not None:
            self._of_sweep[sweep] = self._of_sweep.get(sweep, 0) + 1

    def _for_devices(self, candidate: Candidate, needs: Needs) -> ForDevices:
        """Who has the devices that it could have; those handed out just now included."""
        given = {device.id: other for other, devices in self._starts for device in devices}
        holds = []
        for device in needs.usable:
            holding = self._leased.get(device.id)
            if holding is not None:
                hold = Hold(index=device.index, run=holding.run, since=holding.since)
            elif device.held_by is not None:
                hold = Hold(index=device.index, stranger=device.held_by)
            elif device.id in given:
                hold = Hold(
                    index=device.index, stranger=f"{given[device.id].run}, which starts now"
                )
            else:
                continue
            holds.append(hold)
        return ForDevices(
            count=needs.count,
            pinned=needs.pinned,
            memory_mb=candidate.demands.gpu_memory_mb,
            holds=tuple(holds),
        )


def _rank(candidate: Candidate) -> tuple[int, int]:
    """The order within a session: priority, then age."""
    return (-candidate.demands.priority, candidate.queued_seq)


def _scopes(candidate: Candidate) -> Iterator[str]:
    """Whose budgets the run would count in."""
    if candidate.begun:
        return
    yield scope_of(candidate.session)
    if candidate.sweep is not None:
        yield candidate.sweep


def _took(candidate: Candidate, devices: Sequence[Device], what: str, own: set[str]) -> bool:
    """Whether a start used what somebody behind it lacks."""
    if what == "devices":
        return any(device.id in own for device in devices)
    if what == "cpus":
        return bool(candidate.demands.cpus)
    return what == "slot" or bool(candidate.demands.memory_mb)
