"""Compares what the ledger says is active with what the backend sees, and records the difference.

Everything here is repeatable: a launch that was cut short is repeated, a stop that was asked for is
passed on again, a journal that a dead supervisor could not deliver is read, what vanished is said
at once (P3.7), and a command that lost its supervisor is held to its time limit from here. No end
is guessed.
"""

import logging
from collections.abc import Sequence
from typing import assert_never

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.control.launcher import Launcher
from tallystick.control.reports import report_commands
from tallystick.control.texts import Texts
from tallystick.db.database import Database
from tallystick.domain.attempt import Attempt
from tallystick.domain.commands import RecordExit, RecordLost, RecordSupervisorLost, ReportEnded
from tallystick.domain.ids import SYSTEM
from tallystick.domain.run import Run
from tallystick.errors import TallystickError, UnavailableError
from tallystick.execution.backend import (
    Backend,
    Exited,
    Gone,
    Handle,
    NotStarted,
    Recorded,
    Sighting,
    Supervised,
    Unsupervised,
)
from tallystick.execution.bundle import spend_bundle, write_stop
from tallystick.execution.rundir import find_start
from tallystick.ledger.ledger import Ledger
from tallystick.projections import attempts, runs
from tallystick.wire.bundle import STOP_FILE, StopRequest
from tallystick.wire.observation import Observation

_log = logging.getLogger(__name__)

_REASON_CODES = {
    "host rebooted": "host_rebooted",
    "supervisor could not start": "launch_failed",
}

LAUNCH_PATIENCE_MS = 10_000
"""How long a launch may be under way before the reconciler repeats it; repeating is harmless."""


class Reconciler:
    """One pass over all active attempts; `tick` is called by its service and by nobody else."""

    def __init__(
        self,
        database: Database,
        handler: CommandHandler,
        launcher: Launcher,
        backend: Backend,
        *,
        clock: Clock,
        grace_seconds: float,
    ) -> None:
        """Nothing happens before `tick`."""
        self._database = database
        self._handler = handler
        self._launcher = launcher
        self._backend = backend
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._started_at = clock.now()

    def tick(self) -> None:
        """See every active attempt once; what fails for one of them holds up no other.

        With a ledger that cannot be written nothing is done: it could not be recorded.
        """
        if self._handler.broken is not None:
            return
        with self._database.read() as tx:
            active = attempts.active(tx)
            by_id = {run.id: run for run in runs.many(tx, [a.run for a in active])}
            natives = Ledger.texts(tx, [a.native.c for a in active if a.native is not None])
        handles = {a.id: self._handle_of(a, natives) for a in active}
        sightings = self._backend.observe(list(handles.values()))
        failed: TallystickError | OSError | None = None
        for attempt in active:
            run = by_id.get(attempt.run)
            sighting = sightings.get(attempt.id)
            if run is None or sighting is None:
                continue
            try:
                self._reconcile(run, attempt, sighting, handles[attempt.id])
                if isinstance(sighting, Recorded | Exited | Gone):
                    _spend(handles[attempt.id])
                if run.stop_requested:
                    self._pass_on_stop(handles[attempt.id], sighting)
            except (TallystickError, OSError) as error:
                _log.warning("attempt %s could not be reconciled yet: %s", attempt.id, error)
                failed = failed or error
        if failed is not None:
            raise failed  # so that the service comes back to it, and not too soon

    def _handle_of(self, attempt: Attempt, natives: dict[str, bytes]) -> Handle:
        """Where the backend finds an attempt."""
        native = natives.get(attempt.native.c, b"") if attempt.native is not None else b""
        return Handle(
            attempt=attempt.id,
            directory=self._launcher.directory_of(attempt.run, attempt.id),
            native=native.decode(),
            journal_key=self._launcher.journal_key_of(attempt.id),
        )

    def _reconcile(self, run: Run, attempt: Attempt, sighting: Sighting, handle: Handle) -> None:
        """What one sighting means for the record."""
        match sighting:
            case Supervised():
                pass
            case NotStarted():
                self._repeat_launch(run, attempt)
            case Recorded():
                self._report(attempt, sighting.observations)
            case Unsupervised():
                self._report(attempt, sighting.observations)
                command = RecordSupervisorLost(run=run.id, attempt=attempt.id)
                self._handler.handle(command, by=SYSTEM)
                if self._is_overdue(run, attempt) and _command_lives(sighting):
                    self._end_overdue(handle)
            case Exited() | Gone():
                self._report(attempt, sighting.observations)
                timed_out = self._is_overdue(run, attempt) and _was_ended_from_here(handle)
                judged = self._timed_out if timed_out else _told_by_the_kernel
                self._handler.handle(judged(attempt, sighting), by=SYSTEM)
            case _:
                assert_never(sighting)

    def _is_overdue(self, run: Run, attempt: Attempt) -> bool:
        """Whether the time of an attempt without supervisor is over, and nobody asked for a stop.

        By the clock of this host, on which the supervisor noted the start: there is no other left.
        """
        limit = run.demands.timeout_ms
        if limit is None or attempt.started_at is None or run.stop_requested:
            return False
        return self._clock.now() - attempt.started_at >= limit

    def _end_overdue(self, handle: Handle) -> None:
        """What its supervisor would have done; repeated until the end is seen.

        The request is on the disk first, so that the next server knows who ended the command.
        """
        write_stop(
            handle.directory, StopRequest(grace_seconds=self._grace_seconds, reason="timed out")
        )
        self._backend.cancel(handle, grace_seconds=self._grace_seconds)

    def _timed_out(self, attempt: Attempt, sighting: Exited | Gone) -> ReportEnded:
        """The end of an attempt that was ended from here for its time."""
        exited = sighting if isinstance(sighting, Exited) else Exited()
        return ReportEnded(
            run=attempt.run,
            attempt=attempt.id,
            n=max(attempt.observed, len(sighting.observations)) + 1,  # its supervisor tells no more
            at=self._clock.now(),
            cause="timed_out",
            exit_code=exited.exit_code,
            signal=exited.signal,
        )

    def _report(self, attempt: Attempt, observations: Sequence[Observation]) -> None:
        """Take in what a supervisor wrote down and could not deliver."""
        texts = Texts(self._clock)
        for command in report_commands(attempt, observations, texts):
            self._handler.handle(command, by=SYSTEM, texts=texts)

    def _repeat_launch(self, run: Run, attempt: Attempt) -> None:
        """The server died, or failed, between the intent and the effect."""
        under_way = self._clock.now() - attempt.assigned_at < LAUNCH_PATIENCE_MS
        if under_way and attempt.assigned_at >= self._started_at and not run.stop_requested:
            return  # the scheduler of this very process is at it
        try:
            self._launcher.launch(run, attempt.id)
        except UnavailableError as error:
            _log.warning("run %s could not be launched yet: %s", run.id, error.detail)

    def _pass_on_stop(self, handle: Handle, sighting: Sighting) -> None:
        """The effect of `run.stop_requested`; repeated until the end is seen."""
        if isinstance(sighting, Supervised | Unsupervised):
            self._backend.cancel(handle, grace_seconds=self._grace_seconds)


def _told_by_the_kernel(attempt: Attempt, sighting: Exited | Gone) -> RecordExit | RecordLost:
    """The end of an attempt without supervisor, or that nobody can tell."""
    if isinstance(sighting, Gone):
        code = _REASON_CODES.get(sighting.reason, "supervisor_killed")
        return RecordLost(run=attempt.run, attempt=attempt.id, reason_code=code)
    return RecordExit(
        run=attempt.run,
        attempt=attempt.id,
        exit_code=sighting.exit_code,
        signal=sighting.signal,
    )


def _command_lives(sighting: Unsupervised) -> bool:
    """Whether the command itself does: what outlives it has no time limit, and is ended anyway."""
    _, command = find_start(sighting.observations)
    return command is None or command.number in sighting.pids


def _was_ended_from_here(handle: Handle) -> bool:
    """Whether a server asked its processes to end; written before they are signalled."""
    return (handle.directory / STOP_FILE).exists()


def _spend(handle: Handle) -> None:
    """Nothing of the attempt is left, and its end is in the ledger: nobody needs its secrets."""
    try:
        spend_bundle(handle.directory)
    except OSError as error:
        _log.warning("%s keeps a spent bundle: %s", handle.directory, error)
