"""Starts queued runs as the policy of the queue says, while there is room (P3.2).

It decides nothing by itself: `domain/queue.py` says who starts with which devices. A lease is part
of `attempt.assigned`, so it is taken with the intent and given back with the end of the attempt.
What is kept in memory between two ticks (how often somebody was passed, how far the runs with open
dependencies were looked through) is a hint: losing it costs a turn, never a fact.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from tallystick.clock import Clock
from tallystick.config import ExecutionSettings
from tallystick.control.commands import Accepted, CommandHandler
from tallystick.control.credentials import Mint
from tallystick.control.launcher import Launcher
from tallystick.control.texts import Texts
from tallystick.db.database import Database
from tallystick.domain.commands import AssignAttempt, FailDependency, PauseSweep, ReleaseRun
from tallystick.domain.ids import SYSTEM, AttemptId, Role, RunId
from tallystick.domain.queue import Start, assign
from tallystick.domain.run import Run, explain
from tallystick.domain.shares import limited
from tallystick.domain.status import Outcome, Phase
from tallystick.errors import ConflictError, TallystickError
from tallystick.execution.backend import Backend
from tallystick.projections import queue, runs
from tallystick.projections.queue import Line, Room

_log = logging.getLogger(__name__)

MOST_HELD: Final = 500
"""Runs with open dependencies that one tick looks at; the next goes on behind them."""


def room_of(backend: Backend, settings: ExecutionSettings, *, now: int) -> Room:
    """What may be used at this moment; `now` is in milliseconds."""
    capacity = limited(backend.capacity(), slots=settings.max_concurrent, gpu_count=None)
    return Room(capacity=capacity, default_gpus=settings.default_gpus, now=now)


class Scheduler:
    """Fills the free places; `tick` is called by its service and by nobody else."""

    def __init__(
        self,
        database: Database,
        handler: CommandHandler,
        launcher: Launcher,
        backend: Backend,
        *,
        clock: Clock,
        mint: Mint,
        settings: ExecutionSettings,
    ) -> None:
        """Nothing happens before `tick`."""
        self._database = database
        self._handler = handler
        self._launcher = launcher
        self._backend = backend
        self._clock = clock
        self._mint = mint
        self._settings = settings
        self._passed: Mapping[RunId, int] = {}
        self._looked_at = 0

    def tick(self) -> None:
        """Settle dependencies, stop what only burns, then assign and launch what has room."""
        self._settle_dependencies()
        line = self._load()
        if self._pause_burning(line):
            line = self._load()
        if not line.lanes:
            return
        decision = assign(line.candidates, replace(line.situation, passed=self._passed))
        self._passed = decision.passed
        self._start(decision.starts)

    def _load(self) -> Line:
        """The queue at this moment."""
        room = room_of(self._backend, self._settings, now=self._clock.now())
        with self._database.read() as tx:
            return queue.load(tx, room, idle=True)

    def _settle_dependencies(self) -> None:
        """Release what waited for runs that have succeeded; end what waited for another's end."""
        with self._database.read() as tx:
            held = queue.held(tx, limit=MOST_HELD, after=self._looked_at)
            needed = {run for one in held for run in one.depends_on}
            by_id = {run.id: run for run in runs.many(tx, sorted(needed))}
        self._looked_at = held[-1].queued_seq or 0 if len(held) == MOST_HELD else 0
        waiting = [self._settle(run, [by_id[key] for key in run.depends_on]) for run in held]
        for future in waiting:
            if future is not None:
                future.result()

    def _settle(self, run: Run, needed: Sequence[Run]) -> Future[Accepted] | None:
        """One run that waits for others; None while nothing follows yet."""
        ended = [one for one in needed if one.phase is Phase.ENDED]
        failed = next((one for one in ended if one.outcome is not Outcome.SUCCEEDED), None)
        if failed is not None:
            texts = Texts(self._clock)
            why = explain(failed)
            detail = f"{failed.id} ended as {failed.outcome}" + (f" ({why})" if why else "")
            command = FailDependency(run=run.id, reason=texts.add(detail))
            return self._handler.submit(command, by=SYSTEM, texts=texts)
        if len(ended) == len(needed):
            return self._handler.submit(ReleaseRun(run=run.id), by=SYSTEM)
        return None

    def _pause_burning(self, line: Line) -> bool:
        """The breaker: sweeps whose last runs failed the same way; whether there were any."""
        most = self._settings.breaker_failures
        burning = [
            sweep
            for sweep in line.sweeps.values()
            if most and sweep.streak >= most and not sweep.paused
        ]
        for sweep in burning:
            self._handler.handle(PauseSweep(sweep=sweep.id, failures=most), by=SYSTEM)
        return bool(burning)

    def _start(self, starts: Sequence[Start]) -> None:
        """Intents first, together; then the effects. What fails for one holds up no other."""
        failed: TallystickError | None = None
        for future in [self._assign(start) for start in starts]:
            try:
                run = future.result().run
            except ConflictError:  # stopped since it was chosen
                continue
            except TallystickError as error:
                failed = failed or error
                continue
            if run is not None and run.attempt is not None:
                self._launch(run, run.attempt)
        if failed is not None:
            raise failed

    def _assign(self, start: Start) -> Future[Accepted]:
        """The intent, with the lease; the answer holds the run as it is then."""
        attempt = AttemptId(self._clock.new_id("att"))
        command = AssignAttempt(
            run=start.run,
            attempt=attempt,
            backend=self._backend.name,
            run_token=self._mint.minted(attempt, Role.RUN),
            supervisor_token=self._mint.minted(attempt, Role.SUPERVISOR),
            gpus=start.gpus,
        )
        return self._handler.submit(command, by=SYSTEM)

    def _launch(self, run: Run, attempt: AttemptId) -> None:
        """The effect; what fails now is repeated by the reconciler."""
        try:
            self._launcher.launch(run, attempt)
        except TallystickError as error:
            _log.warning("run %s could not be launched yet: %s", run.id, error.detail)
