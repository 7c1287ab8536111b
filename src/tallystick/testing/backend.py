"""A backend that executes nothing, shows what a test tells it to, and audits its caller.

Breaking a promise that the server makes to every backend fails the test at the spot: submitting
an attempt from two directories, without a bundle, with a bundle of another attempt; handing back
another handle than it was given; going on after `close`.
"""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tallystick.domain.capacity import Capacity, Device
from tallystick.errors import UnavailableError
from tallystick.execution.backend import Handle, NotStarted, Sighting, Submission, Supervised
from tallystick.wire import codec
from tallystick.wire.bundle import BUNDLE_FILE, Bundle


@dataclass(slots=True, kw_only=True)
class Cancelled:
    """One call of `cancel`."""

    attempt: str
    grace_seconds: float


@dataclass(slots=True)
class _Scripted:
    """What is to be seen of one attempt; the last sighting stays."""

    sightings: list[Sighting] = field(default_factory=lambda: [Supervised()])

    def next(self) -> Sighting:
        """The next sighting of the script."""
        return self.sightings.pop(0) if len(self.sightings) > 1 else self.sightings[0]


ROOM: Final = Capacity(slots=4, cpus=4)
"""A host without GPUs."""


def gpus(count: int, *, memory_mb: int = 81_920) -> tuple[Device, ...]:
    """So many devices, held by nobody."""
    return tuple(
        Device(
            id=f"GPU-{index:08x}-0000-4000-8000-{index:012x}",
            index=index,
            name="Fake GPU",
            memory_mb=memory_mb,
        )
        for index in range(count)
    )


class FakeBackend:
    """Implements `Backend`; every attempt is `Supervised` from its submission on, unless shown."""

    name = "fake"

    def __init__(self, capacity: Capacity = ROOM) -> None:
        """`capacity` is what it tells until the test sets another."""
        self.room = capacity
        """What `capacity` answers."""
        self._guard = threading.Lock()
        self._scripts: dict[str, _Scripted] = {}
        self._wake: Callable[[], None] = lambda: None
        self._refusals = 0
        self._closed = False
        self.submissions: dict[str, Submission] = {}
        """The first submission of each attempt."""
        self.submit_count = 0
        """Accepted calls of `submit`, repeated ones included."""
        self.cancelled: list[Cancelled] = []
        """Every call of `cancel`, in order."""

    def show(self, attempt: str, *sightings: Sighting) -> None:
        """Let `observe` answer these one after the other, the last of them from then on."""
        assert sightings, "show at least one sighting"
        with self._guard:
            self._scripts[attempt] = _Scripted(list(sightings))

    def refuse(self, times: int) -> None:
        """Let the next `times` submissions fail with `UnavailableError`, starting nothing."""
        self._refusals = times

    def nudge(self) -> None:
        """Call the function that `watch` was given."""
        self._wake()

    def bundle(self, attempt: str) -> Bundle:
        """The bundle of a submitted attempt, as it is on disk."""
        directory = self.submissions[attempt].directory
        document = json.loads((directory / BUNDLE_FILE).read_bytes())
        return codec.from_json(Bundle, document, where=BUNDLE_FILE)

    def submit(self, submission: Submission) -> str:
        with self._guard:
            self._audit_open()
            if self._refusals > 0:
                self._refusals -= 1
                raise UnavailableError("the test said so", code="launcher_unavailable")
            first = self.submissions.setdefault(submission.attempt, submission)
            assert first.directory == submission.directory, (
                f"{submission.attempt} was submitted from {first.directory} before, "
                f"and now from {submission.directory}"
            )
            written = self.bundle(submission.attempt).attempt
            assert written == submission.attempt, f"the bundle is that of {written}"
            assert submission.supervisor_token, "a supervisor without a token can report nothing"
            self._scripts.setdefault(submission.attempt, _Scripted())
            self.submit_count += 1
            return _native(submission.attempt)

    def observe(self, attempts: Sequence[Handle]) -> dict[str, Sighting]:
        with self._guard:
            self._audit_open()
            self._audit_handles(attempts)
            return {
                handle.attempt: self._scripts[handle.attempt].next()
                if handle.attempt in self._scripts
                else NotStarted()
                for handle in attempts
            }

    def cancel(self, handle: Handle, *, grace_seconds: float) -> None:
        with self._guard:
            self._audit_open()
            self._audit_handles([handle])
            assert grace_seconds >= 0, "a grace cannot be negative"
            self.cancelled.append(Cancelled(attempt=handle.attempt, grace_seconds=grace_seconds))

    def watch(self, wake: Callable[[], None]) -> None:
        self._audit_open()
        self._wake = wake

    def capacity(self) -> Capacity:
        self._audit_open()
        return self.room

    def close(self) -> None:
        self._closed = True

    def _audit_open(self) -> None:
        assert not self._closed, "the backend was used after it was closed"

    def _audit_handles(self, handles: Iterable[Handle]) -> None:
        seen: set[str] = set()
        for handle in handles:
            assert handle.attempt not in seen, f"{handle.attempt} was asked for twice in one call"
            seen.add(handle.attempt)
            given = self.submissions.get(handle.attempt)
            if given is not None:
                assert handle.directory == given.directory, f"{handle} is at {given.directory}"
                assert handle.native in ("", _native(handle.attempt)), f"{handle} was not given"
                assert handle.journal_key == given.supervisor_token, f"{handle}: another key"


def _native(attempt: str) -> str:
    return f"fake:{attempt}"
