"""Why a run waits, as values; `words` says each to people (P3.2).

A reason is about one moment: it names what would have to change for the run to start.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from tallystick.domain import sweep_events as sw
from tallystick.domain.ids import RunId, SweepId

MOST_NAMED: Final = 3
"""Holders named in one reason; the rest are counted."""

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nobody has asked for it to be executed."""

    run: RunId

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"not started yet: POST /runs/{self.run}/start"


@dataclass(frozen=True, slots=True)
class Next:
    """Everything it needs is free."""

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return "is being started"


@dataclass(frozen=True, slots=True)
class Turn:
    """Others that need the same come first."""

    ahead: int
    """How many runs are before it; 0 where that is not counted."""

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        if self.ahead < 1:
            return "waits for its turn: what is free is kept for runs before it"
        runs = "1 run is" if self.ahead == 1 else f"{self.ahead} runs are"
        return f"waits for its turn: {runs} before it"


@dataclass(frozen=True, slots=True)
class ForSlot:
    """As many runs are active as may be."""

    slots: int

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        taken = "the one there is is" if self.slots == 1 else f"all {self.slots} are"
        return f"waits for a free slot: {taken} used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Who has a device: a run of ours since a moment, or a stranger in words."""

    index: int
    run: RunId | None = None
    since: int = 0
    """Milliseconds."""
    stranger: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForDevices:
    """The devices it could have are in use."""

    count: int
    pinned: tuple[int, ...] = ()
    """Indexes of the devices that its command names; then it waits for exactly those."""
    memory_mb: int | None = None
    """What each must have."""
    holds: tuple[Hold, ...] = ()

    def words(self, *, now: int) -> str:
        """In words."""
        if len(self.pinned) == len(self.holds) == 1:
            return f"waits for {self._wanted()}, held by {holder_words(self.holds[0], now=now)}"
        named = [hold_words(hold, now=now) for hold in self.holds[:MOST_NAMED]]
        if len(self.holds) > MOST_NAMED:
            named.append(f"{len(self.holds) - MOST_NAMED} more are in use")
        return "; ".join([f"waits for {self._wanted()}", *named])

    def _wanted(self) -> str:
        if self.pinned:
            return gpu_names(self.pinned)
        memory = f" with {self.memory_mb} MB" if self.memory_mb else ""
        return f"{gpus(self.count)}{memory}"


@dataclass(frozen=True, slots=True)
class ForCpus:
    """Others have asked for the cores."""

    asked: int
    free: int
    total: int

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"waits for {self.asked} CPUs: {self.free} of {self.total} are free"


@dataclass(frozen=True, slots=True)
class ForMemory:
    """Others have asked for the memory."""

    asked_mb: int
    free_mb: int
    total_mb: int

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return (
            f"waits for {self.asked_mb} MB of memory: {self.free_mb} of {self.total_mb} MB are free"
        )


@dataclass(frozen=True, slots=True)
class SweepLimit:
    """Its sweep has as many active runs as it may."""

    sweep: SweepId
    parallel: int

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"sweep {self.sweep} runs at most {self.parallel} at a time"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Runs that it depends on have not ended."""

    run: RunId
    more: int = 0
    """Others besides."""
    status: str | None = None
    """What the named one is doing, where that needs somebody."""

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        others = "" if self.more == 0 else f" and {self.more} more"
        said = f"waits for {self.run}{others} to finish"
        return f"{said}; it is not started: POST /runs/{self.run}/start" if self.idle else said

    @property
    def idle(self) -> bool:
        """Whether nothing happens until somebody starts that run."""
        return self.status == "ready"


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The attempt before failed, and the pause after it is not over."""

    at: int
    """Milliseconds."""

    def words(self, *, now: int) -> str:
        """In words."""
        return f"retries after {moment(self.at, now=now, seconds=True)}"


@dataclass(frozen=True, slots=True)
class Drained:
    """Somebody wants the machine to become idle."""

    why: str | None = None

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"the server is drained: {self.why}" if self.why else "the server is drained"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPaused:
    """The breaker stopped its sweep from burning the rest."""

    sweep: SweepId
    failures: int
    """How many runs failed the same way."""
    how: str

    @classmethod
    def by(cls, sweep: SweepId, event: sw.SweepPaused) -> Self:
        """What the entry says."""
        how = event.outcome.replace("_", " ")
        if event.exit_code is not None:
            how = f"exit code {event.exit_code}"
        elif event.signal is not None:
            how = f"signal {event.signal}"
        return cls(sweep=sweep, failures=event.failures, how=how)

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return (
            f"sweep is paused: the last {self.failures} runs failed the same way ({self.how}); "
            f"POST /sweeps/{self.sweep}/resume goes on"
        )


@dataclass(frozen=True, slots=True)
class SweepStopping:
    """Its sweep was stopped, and its turn to be ended comes at once."""

    sweep: SweepId

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"sweep {self.sweep} is being stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpent:
    """Its session or its sweep has used what people allowed."""

    whose: str
    """session or sweep."""
    kind: str
    """runs, gpu or wall."""
    limit: int
    """Runs, or milliseconds."""

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        number = self.limit if self.kind == "runs" else self.limit / 3_600_000
        unit = {"runs": "run", "gpu": "GPU-hour", "wall": "hour"}[self.kind]
        amount = str(number) if self.kind == "runs" else f"{number:.4g}"
        what = f"{amount} {unit}" + ("" if number == 1 else "s")
        return f"{self.whose}'s budget of {what} is used up; only a person can raise it"


@dataclass(frozen=True, slots=True)
class Impossible:
    """No end of any run makes room for it."""

    asks: str
    has: str

    def words(self, *, now: int) -> str:
        """In words."""
        del now
        return f"asks for {self.asks}, this host has {self.has}: it can never start here"


Reason = (
    NotStarted
    | Next
    | Turn
    | ForSlot
    | ForDevices
    | ForCpus
    | ForMemory
    | SweepLimit
    | Dependencies
    | RetryLater
    | Drained
    | SweepPaused
    | SweepStopping
    | BudgetSpent
    | Impossible
)
"""Everything that a run can wait for."""


def gpus(count: int) -> str:
    """A number of devices: `no GPU`, `1 GPU`, `2 GPUs`."""
    return "no GPU" if count == 0 else "1 GPU" if count == 1 else f"{count} GPUs"


def gpu_names(indexes: tuple[int, ...]) -> str:
    """Devices by number: `GPU 1`, `GPUs 0, 2`."""
    listed = ", ".join(str(index) for index in indexes)
    return f"GPU {listed}" if len(indexes) == 1 else f"GPUs {listed}"


def hold_words(hold: Hold, *, now: int) -> str:
    """Which device somebody has, and who."""
    if hold.run is not None:
        return f"{hold.run} holds GPU {hold.index} since {moment(hold.since, now=now)}"
    return f"GPU {hold.index} is held by {hold.stranger}"


def holder_words(hold: Hold, *, now: int) -> str:
    """Who has a device."""
    if hold.run is None:
        return hold.stranger or "somebody else"
    return f"{hold.run} since {moment(hold.since, now=now)}"


def moment(at: int, *, now: int, seconds: bool = False) -> str:
    """A moment in milliseconds as `14:02 UTC`, with its date when it is a day or more away."""
    shape = "%H:%M:%S UTC" if seconds else "%H:%M UTC"
    if abs(now - at) >= _DAY_MS:
        shape = f"%Y-%m-%d {shape}"
    return datetime.fromtimestamp(at / 1000, tz=UTC).strftime(shape)
