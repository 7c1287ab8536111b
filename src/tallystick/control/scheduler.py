"""Starts queued runs, in the order in which they were queued, while there is room (P3.2)."""

import logging

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler
from tallystick.control.credentials import Mint
from tallystick.control.launcher import Launcher
from tallystick.db.database import Database
from tallystick.domain.commands import AssignAttempt
from tallystick.domain.ids import SYSTEM, AttemptId, Role
from tallystick.domain.run import Run
from tallystick.errors import ConflictError, TallystickError
from tallystick.projections import runs, totals

_log = logging.getLogger(__name__)


class Scheduler:
    """Fills the free places; `tick` is called by its service and by nobody else."""

    def __init__(
        self,
        database: Database,
        handler: CommandHandler,
        launcher: Launcher,
        *,
        clock: Clock,
        mint: Mint,
        backend_name: str,
        max_concurrent: int,
    ) -> None:
        """At most `max_concurrent` runs are active at a time."""
        self._database = database
        self._handler = handler
        self._launcher = launcher
        self._clock = clock
        self._mint = mint
        self._backend_name = backend_name
        self._max_concurrent = max_concurrent

    def tick(self) -> None:
        """Assign and launch until the places or the queue are used up."""
        with self._database.read() as tx:
            free = self._max_concurrent - totals.get(tx).active
            chosen = runs.queued(tx, limit=free) if free > 0 else []
        for run in [self._assign(run) for run in chosen]:
            if run is not None and run.attempt is not None:
                self._launch(run, run.attempt)

    def _assign(self, run: Run) -> Run | None:
        """The intent, and the run as it is then (it may have been edited since it was chosen).

        None when the run was stopped meanwhile.
        """
        attempt = AttemptId(self._clock.new_id("att"))
        command = AssignAttempt(
            run=run.id,
            attempt=attempt,
            backend=self._backend_name,
            run_token=self._mint.minted(attempt, Role.RUN),
            supervisor_token=self._mint.minted(attempt, Role.SUPERVISOR),
        )
        try:
            return self._handler.handle(command, by=SYSTEM).run
        except ConflictError:
            return None

    def _launch(self, run: Run, attempt: AttemptId) -> None:
        """The effect; what fails now is repeated by the reconciler."""
        try:
            self._launcher.launch(run, attempt)
        except TallystickError as error:
            _log.warning("run %s could not be launched yet: %s", run.id, error.detail)
