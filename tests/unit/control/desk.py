"""Rules and fold without ledger, database or threads: thousands of commands a second."""

from dataclasses import dataclass, field
from typing import Any

from tallystick.control import facts
from tallystick.domain import commands as cm
from tallystick.domain.demands import Demands
from tallystick.domain.events import Fact, Record
from tallystick.domain.ids import (
    SYSTEM,
    Actor,
    AttemptId,
    Enforcement,
    RunId,
    SweepId,
)
from tallystick.domain.run import Run
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import Refusal
from tallystick.projections.world import World
from tallystick.testing.spine import AGENT, PERSON
from tests.unit.domain.states import PLANNED, START, minted, text


@dataclass
class Desk:
    """Asks the rules, and folds what they answer; every entry is a second after the one before."""

    world: World = field(default_factory=World)
    records: list[Record] = field(default_factory=list)
    runs: list[RunId] = field(default_factory=list)
    sweeps: list[SweepId] = field(default_factory=list)
    ids: int = 0

    def __post_init__(self) -> None:
        warn = Enforcement.WARN
        self.ask(cm.SetPolicy(session=warn, sweep=warn), by=PERSON)

    @property
    def now(self) -> int:
        return START + 1_000 * len(self.records)

    def new(self) -> str:
        self.ids += 1
        return f"{self.ids:012x}"

    def ask(self, command: cm.Command, *, by: Actor = AGENT) -> list[str]:
        """Types of the entries that followed."""
        found = facts.decide(self.world, command, by=by, now=self.now)
        for fact in found:
            self.write(fact, by=by)
        return [fact.event.type for fact in found]

    def try_to(self, command: cm.Command, *, by: Actor = AGENT) -> list[str] | None:
        """The same; None when it was refused."""
        try:
            return self.ask(command, by=by)
        except Refusal:
            return None

    def write(self, fact: Fact, *, by: Actor) -> None:
        record = Record(
            seq=len(self.records),
            ts=self.now,
            stream=fact.stream,
            session=fact.session,
            actor=by.token,
            role=by.role,
            event=fact.event,
        )
        self.records.append(record)
        self.world.apply(record)

    def sweep(self, **changes: Any) -> SweepId:
        sweep = SweepId(f"swp_{self.new()}")
        known: dict[str, Any] = {"name": text("s"), "session": "chat-1"}
        self.ask(cm.CreateSweep(sweep=sweep, **{**known, **changes}))
        self.sweeps.append(sweep)
        return sweep

    def run(self, sweep: SweepId | None = None, **changes: Any) -> RunId:
        run = RunId(f"run_{self.new()}")
        known: dict[str, Any] = {"name": text("n"), "command": text("c"), "workdir": text("/")}
        command = cm.RegisterRun(run=run, sweep=sweep, session="chat-1", **{**known, **changes})
        self.ask(command)
        self.runs.append(run)
        return run

    def assign(self, run: RunId, gpus: tuple[str, ...] = ()) -> list[str] | None:
        number = self.new()
        command = cm.AssignAttempt(
            run=run,
            attempt=AttemptId(f"att_{number}"),
            backend="fake",
            run_token=minted(2 * self.ids),
            supervisor_token=minted(2 * self.ids + 1),
            gpus=gpus,
        )
        return self.try_to(command, by=SYSTEM)

    def end(self, run: RunId, *, code: int = 0, cause: str = "exited") -> list[str]:
        """The attempt that is active starts, and ends."""
        attempt = self.state(run).attempt
        assert attempt is not None
        self.ask(cm.ReportStarted(run=run, attempt=attempt, n=2, at=self.now), by=SYSTEM)
        if cause == "lost":
            lost = cm.RecordLost(run=run, attempt=attempt, reason_code="host_rebooted")
            return self.ask(lost, by=SYSTEM)
        ended = cm.ReportEnded(
            run=run, attempt=attempt, n=9, at=self.now, cause=cause, exit_code=code
        )
        return self.ask(ended, by=SYSTEM)

    def execute(self, run: RunId, **end: Any) -> list[str]:
        """A whole attempt of a queued run."""
        assert self.assign(run) == ["attempt.assigned"]
        return self.end(run, **end)

    def state(self, run: RunId) -> Run:
        found = self.world.run(run)
        assert found is not None
        return found

    def swept(self, sweep: SweepId) -> Sweep:
        found = self.world.sweep(sweep)
        assert found is not None
        return found

    def of(self, sweep: SweepId) -> list[Run]:
        """The runs of a sweep, oldest first."""
        states = (self.state(run) for run in self.runs)
        return [run for run in states if run.sweep == sweep]

    def points(self, sweep: SweepId, count: int) -> list[str] | None:
        """Register the next points, as the planner would."""
        state = self.swept(sweep)
        made = tuple(
            cm.PlannedRun(run=RunId(f"run_{self.new()}"), name=text("p"), command=text("c"))
            for _ in range(min(count, state.planned - state.registered))
        )
        command = cm.RegisterPoints(
            sweep=sweep, first=state.registered, runs=made, plan_seq=state.plan_seq
        )
        types = self.try_to(command, by=SYSTEM)
        if types:
            self.runs += [one.run for one in made]
        return types

    def notices(self, kind: str) -> list[str]:
        """Ids of the notices of one type, oldest first."""
        found = []
        for seq in range(len(self.records)):
            for key in (str(seq), f"{seq}s"):
                notice = self.world.notice(key)
                if notice is not None and notice.type == kind:
                    found.append(key)
        return found


def planned(count: int, **demands: Any) -> SweepPlanned:
    """A plan of so many points."""
    return SweepPlanned(
        strategy="list",
        generator=1,
        count=count,
        size=count,
        digest=PLANNED.digest,
        command=text("c"),
        workdir=text("/"),
        placement="flag",
        demands=Demands(**demands),
    )
