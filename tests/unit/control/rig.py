"""The loops of a server over a backend that executes nothing."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tallystick.config import ExecutionSettings
from tallystick.control.credentials import Mint
from tallystick.control.launcher import Launcher, LaunchSettings
from tallystick.control.reconciler import Reconciler
from tallystick.control.scheduler import Scheduler
from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import RunId
from tallystick.execution.backend import Submission
from tallystick.projections import attempts
from tallystick.testing.backend import FakeBackend
from tests.unit.control.road import Road

MINT = Mint(b"k" * 32)


class CrashError(BaseException):
    """The server dies here: nothing of it may catch this."""


@dataclass
class Dying:
    """Where the server dies next, if anywhere."""

    at: str = ""

    def here(self, step: str) -> None:
        if self.at == step:
            self.at = ""
            raise CrashError(step)


class DyingBackend(FakeBackend):
    """Kills its caller before or after a submission, when told to."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dying = Dying()

    def submit(self, submission: Submission) -> str:
        self.dying.here("bundle written")
        native = super().submit(submission)
        self.dying.here("submitted")
        return native


@dataclass
class Rig:
    """One server's loops; a second one over the same road and backend is the server restarted."""

    road: Road
    backend: DyingBackend = field(default_factory=DyingBackend)
    max_concurrent: int = 2
    grace_seconds: float = 7.0
    gpus: str | None = None
    default_gpus: int | None = None
    breaker_failures: int = 5

    def __post_init__(self) -> None:
        road = self.road
        self.launcher = Launcher(
            road.database,
            road.handler,
            self.backend,
            clock=road.clock,
            vault=road.vault,
            mint=MINT,
            settings=LaunchSettings(
                runs_dir=self.runs_dir,
                server_file=road.directory / "server.json",
                base_environment={"PATH": "/bin", "LANG": "C"},
                grace_seconds=self.grace_seconds,
                record_tree=False,
                gpus=self.gpus,
            ),
        )
        self.scheduler = Scheduler(
            road.database,
            road.handler,
            self.launcher,
            self.backend,
            clock=road.clock,
            mint=MINT,
            settings=self.execution,
        )
        self.reconciler = Reconciler(
            road.database,
            road.handler,
            self.launcher,
            self.backend,
            clock=road.clock,
            grace_seconds=self.grace_seconds,
        )

    @property
    def execution(self) -> ExecutionSettings:
        return ExecutionSettings(
            max_concurrent=self.max_concurrent,
            gpus=self.gpus,
            default_gpus=self.default_gpus,
            breaker_failures=self.breaker_failures,
        )

    @property
    def runs_dir(self) -> Path:
        return self.road.directory / "runs"

    def restarted(self) -> "Rig":
        """The next server, a little later, beside the same backend."""
        self.road.clock.advance(10)
        return replace(self)

    def queue(self, count: int = 1, **changes: Any) -> list[RunId]:
        sweep = self.road.sweep()
        return [self.road.run(sweep, start=True, **changes) for _ in range(count)]

    def launched(self, **changes: Any) -> tuple[RunId, Attempt]:
        """A run that has just been submitted."""
        (run,) = self.queue(**changes)
        self.scheduler.tick()
        return run, self.attempt_of(run)

    def attempt_of(self, run: RunId) -> Attempt:
        key = self.road.state(run).attempt
        assert key is not None
        with self.road.database.read() as tx:
            found = attempts.get(tx, key)
        assert found is not None
        return found

    def start(self, run: RunId, attempt: Attempt) -> None:
        """The supervisor's word that the command was executed."""
        self.road.handle(cm.ReportStarted(run=run, attempt=attempt.id, n=2, at=1))

    def end(self, run: RunId, *, exit_code: int = 0) -> None:
        """The supervisor's word that it is over."""
        attempt = self.attempt_of(run)
        self.road.handle(
            cm.ReportEnded(
                run=run, attempt=attempt.id, n=9, at=2, cause="exited", exit_code=exit_code
            )
        )

    def statuses(self, runs: list[RunId]) -> list[str]:
        return [self.road.state(run).status.value for run in runs]
