"""State and outcome kept apart, and the one word that is shown to people and agents (P3.3)."""

from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter


class Phase(StrEnum):
    """Where a run is on its way."""

    READY = "ready"
    QUEUED = "queued"
    ACTIVE = "active"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a run ended; only an ended run has one."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"


class StopReason(StrEnum):
    """What stops a run beside a request for this very run; the reason code of its end."""

    SWEEP_STOPPED = "sweep_stopped"
    BUDGET_REACHED = "budget_reached"
    ALERT_ANSWERED = "alert_answered"


class Status(StrEnum):
    """The words that agents already parse."""

    READY = "ready"
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


_PLACES = {status: place for place, status in enumerate(Status)}
_counts = attrgetter(*(status.value for status in Status))

ENDED_STATUSES = frozenset({Status.FINISHED, Status.FAILED, Status.STOPPED})

_OF_OUTCOME = {
    Outcome.SUCCEEDED: Status.FINISHED,
    Outcome.FAILED: Status.FAILED,
    Outcome.TIMED_OUT: Status.FAILED,
    Outcome.OUT_OF_MEMORY: Status.FAILED,
    Outcome.LOST: Status.FAILED,
    Outcome.CANCELLED: Status.STOPPED,
}


def flatten(phase: Phase, outcome: Outcome | None, *, started: bool) -> Status:
    """The status word of a run."""
    if phase is Phase.ENDED and outcome is not None:
        return _OF_OUTCOME[outcome]
    if phase is Phase.ACTIVE:
        return Status.RUNNING if started else Status.LAUNCHING
    return Status.QUEUED if phase is Phase.QUEUED else Status.READY


@dataclass(frozen=True, slots=True)
class Tally:
    """How many runs have each status word; moved by the facts, never counted again.

    Its fields are the words, in the order in which `Status` names them.
    """

    ready: int = 0
    queued: int = 0
    launching: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0
    stopped: int = 0

    def moved(self, before: Status | None, after: Status | None) -> "Tally":
        """One run went from `before` to `after`; None stands for outside."""
        if before == after:
            return self
        counts = list(_counts(self))
        if before is not None:
            counts[_PLACES[before]] -= 1
        if after is not None:
            counts[_PLACES[after]] += 1
        return Tally(*counts)

    @property
    def total(self) -> int:
        """All runs counted here."""
        return self.active + self.waiting + self.ended

    @property
    def active(self) -> int:
        """Launching or running."""
        return self.launching + self.running

    @property
    def waiting(self) -> int:
        """Ready or queued."""
        return self.ready + self.queued

    @property
    def ended(self) -> int:
        """Finished, failed or stopped."""
        return self.finished + self.failed + self.stopped


def sweep_status(tally: Tally, *, draft: bool, missing: int = 0, halted: bool = False) -> str:
    """A sweep's status, derived from its runs (P2.3), in the words that agents know.

    `missing` points of its plan are no runs yet; `halted`, they will not be until it is resumed.
    """
    if tally.total == 0:
        return "draft" if draft else "canceled" if halted and missing else "pending"
    if tally.active or (tally.queued and tally.ended):
        return "running"
    if tally.waiting or (missing and not halted):
        return "pending"
    if tally.failed:
        return "failed"
    cut_short = missing or not tally.finished or (halted and tally.stopped)
    return "canceled" if cut_short else "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All runs that are not archived, by status: what capacity and health are told from."""

    id: str = "all"
    runs: Tally = field(default_factory=Tally)
