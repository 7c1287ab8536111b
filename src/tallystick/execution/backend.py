"""The seam between the server and whatever executes attempts.

A backend starts supervisors, says what has become of attempts, and ends them. It decides nothing:
outcomes are made from what it saw. The behaviour suite of every implementation is
`tallystick.testing.contract.backend`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tallystick.domain.capacity import Capacity
from tallystick.wire.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One attempt to execute; its bundle stands in `directory` already, durable."""

    attempt: str
    directory: Path
    supervisor_token: str = field(repr=False)
    """Handed over in memory only: never in a file, an argument or an environment variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """Where a submitted attempt can be found again, in any later process."""

    attempt: str
    directory: Path
    native: str
    """What `submit` returned, kept as it was; empty when its answer was lost."""
    journal_key: str = field(repr=False)
    """The supervisor's token: only what was written with it is believed of a journal."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nothing was ever executed; submitting again is right and safe.

    Never said of an attempt with a native handle: its record may have been removed.
    """


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervisor is at work, and reports by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The supervisor is gone, and had written down the end, whether or not it was delivered."""

    observations: tuple[Observation, ...]
    """The whole journal, `ended` last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupervised:
    """The supervisor is gone, and processes of the attempt live on (P3.7)."""

    pids: tuple[int, ...]
    observations: tuple[Observation, ...] = ()
    """What the journal holds; some of it may never have been delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The supervisor is gone, no process is left, and the kernel's word on the command is known.

    Exactly one of `exit_code` and `signal` is set.
    """

    exit_code: int | None = None
    signal: int | None = None
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Nothing is left, and nobody can tell how it ended."""

    reason: str
    """"supervisor killed", "host rebooted" or "supervisor could not start"."""
    observations: tuple[Observation, ...] = ()


Sighting = NotStarted | Supervised | Recorded | Unsupervised | Exited | Gone


class Backend(Protocol):
    """Executes attempts.

    Promises: an attempt is executed at most once, however often it is submitted and whoever dies
    meanwhile; a returned handle is good for ever; `observe` never lies, it only lags; `cancel`
    may be repeated; nothing here ends a run because the server ends. Safe to call from any thread.
    """

    @property
    def name(self) -> str:
        """One lower-case word, as it stands in the ledger."""
        ...

    def submit(self, submission: Submission) -> str:
        """Have the attempt executed; returns the native handle.

        Idempotent by attempt: a second call starts nothing and returns a handle of the first. A
        call that failed or was never answered may be repeated. Raises `UnavailableError` when it
        is not possible just now.
        """
        ...

    def observe(self, attempts: Sequence[Handle]) -> dict[str, Sighting]:
        """What has become of each attempt, by its id; never blocks on a run, raises nothing.

        An attempt that was submitted and not seen yet is `NotStarted` or `Supervised`, never
        `Gone`. `Recorded`, `Exited` and `Gone` are final. What is not among `attempts` any more
        is forgotten, but for what was submitted since the last call: ask for all that is active.
        """
        ...

    def cancel(self, handle: Handle, *, grace_seconds: float) -> None:
        """Ask that every process of the attempt ends: TERM, KILL after the grace (P3.6).

        Returns before they have; `observe` tells when. Right in every state: before the start it
        keeps a later supervisor from executing anything, without a supervisor the backend ends
        the processes itself, after the end it does nothing. A later call can shorten the grace.
        """
        ...

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from any thread, when something may have changed.

        A hint only: every call may be lost, and looking now and then must do.
        """
        ...

    def capacity(self) -> Capacity:
        """All that attempts can be given, busy or not; at most two seconds old.

        Raises nothing, and waits for nothing that hangs. A device keeps its id; one that cannot be
        used just now is told with the reason as its holder.
        """
        ...

    def close(self) -> None:
        """Let go of everything; runs go on. May be repeated."""
        ...
