"""States, records and events for tests of the rules; every state is reached by real facts."""

import hashlib
from dataclasses import replace
from typing import Any

from tallystick.domain import attempt as attempts
from tallystick.domain import commands as cm
from tallystick.domain import events as ev
from tallystick.domain import guard_events as gd
from tallystick.domain import run as runs
from tallystick.domain import signal_events as sg
from tallystick.domain import sweep_events as sw
from tallystick.domain.attempt import Attempt
from tallystick.domain.demands import Demands
from tallystick.domain.events import Event, Record
from tallystick.domain.ids import (
    AttemptId,
    Enforcement,
    ExceptionId,
    RequestMark,
    Role,
    RunId,
    SessionId,
    SweepId,
    Text,
    TokenId,
)
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome

RUN = RunId("run_00000000000a")
SWEEP = SweepId("swp_00000000000b")
ATTEMPT = AttemptId("att_00000000000c")
TOKEN = TokenId("tok_00000000000d")
SESSION = SessionId("chat-1")
START = 1_700_000_000_000
SHA = "5e" * 32


def text(words: str) -> Text:
    return Text(hashlib.sha256(words.encode()).hexdigest(), len(words.encode()))


def minted(number: int) -> ev.MintedToken:
    return ev.MintedToken(token=TokenId(f"tok_{number:012x}"), sha256=f"{number:064x}")


def record(event: Event, *, seq: int = 1, ts: int = START, **changes: Any) -> Record:
    base: dict[str, Any] = {"stream": RUN, "session": SESSION, "actor": TOKEN, "role": Role.AGENT}
    return Record(seq=seq, ts=ts, event=event, **{**base, **changes})


REGISTERED = ev.RunRegistered(
    sweep=SWEEP, name=text("n"), command=text("true"), workdir=text("/tmp"), params={"lr": "0.1"}
)
ASSIGNED = ev.AttemptAssigned(
    attempt=ATTEMPT, number=1, backend="local", run_token=minted(1), supervisor_token=minted(2)
)
STARTED = ev.RunStarted(attempt=ATTEMPT, n=2, at=START + 5_000, git_head="ab")
SUBMITTED = ev.AttemptSubmitted(attempt=ATTEMPT, native=text("local:1"))
UNSUPERVISED = ev.AttemptUnsupervised(attempt=ATTEMPT)
STOP = ev.RunStopRequested(attempt=ATTEMPT)


def ended(outcome: Outcome = Outcome.SUCCEEDED, **changes: Any) -> ev.RunEnded:
    known: dict[str, Any] = {"exit_code": 0, "reason_code": "succeeded", "attempt": ATTEMPT}
    return ev.RunEnded(outcome=outcome, n=6, at=START + 9_000, **{**known, **changes})


CANCELLED = ev.RunEnded(outcome=Outcome.CANCELLED, reason_code="cancelled_before_start")
FAILED = ended(Outcome.FAILED, exit_code=3, reason_code="exit_code")

RETRIED = ev.AttemptEnded(
    attempt=ATTEMPT,
    n=6,
    at=START + 9_000,
    outcome=Outcome.FAILED,
    exit_code=3,
    reason_code="exit_code",
    retry_at=START + 19_000,
)
SECOND = AttemptId("att_00000000000e")
AGAIN = replace(ASSIGNED, attempt=SECOND, number=2)

TO_RUNNING: tuple[runs.RunEvent, ...] = (ev.RunQueued(), ASSIGNED, SUBMITTED, STARTED)


def run_after(*events: runs.RunEvent) -> Run:
    """The run that these entries leave, one second apart."""
    state = runs.registered(record(REGISTERED, seq=1), REGISTERED)
    for number, event in enumerate(events, 2):
        state = runs.evolve(state, record(event, seq=number, ts=START + 1_000 * number), event)
    return state


HELD = replace(run_after(ev.RunQueued()), depends_on=(RunId("run_00000000000f"),), held=True)

RUNS: dict[str, Run] = {
    "held": HELD,
    "ready": run_after(),
    "queued": run_after(ev.RunQueued()),
    "launching": run_after(*TO_RUNNING[:2]),
    "running": run_after(*TO_RUNNING),
    "stopping": run_after(*TO_RUNNING, STOP),
    "unsupervised": run_after(*TO_RUNNING, UNSUPERVISED),
    "finished": run_after(*TO_RUNNING, ended()),
    "failed": run_after(*TO_RUNNING, FAILED),
    "stopped": run_after(CANCELLED),
    "to be tried again": run_after(*TO_RUNNING, RETRIED),
    "launching again": run_after(*TO_RUNNING, RETRIED, AGAIN),
    "queued again": run_after(*TO_RUNNING, FAILED, ev.RunRequeued()),
    "archived": run_after(ev.RunArchived()),
    "archived, ended": run_after(*TO_RUNNING, ended(), ev.RunArchived()),
}
"""Every state that a run can be in, as far as commands can tell."""


def attempt_after(*events: attempts.AttemptEvent) -> Attempt:
    """The attempt that these entries leave."""
    state = attempts.assigned(record(ASSIGNED, seq=3), ASSIGNED)
    for number, event in enumerate(events, 4):
        state = attempts.evolve(state, record(event, seq=number, ts=START + 1_000 * number), event)
    return state


ATTEMPTS: dict[str, Attempt] = {
    "assigned": attempt_after(),
    "submitted": attempt_after(SUBMITTED),
    "started": attempt_after(SUBMITTED, STARTED),
    "unsupervised": attempt_after(SUBMITTED, STARTED, UNSUPERVISED),
    "ended": attempt_after(SUBMITTED, STARTED, ended()),
}
"""Every state that an attempt can be in."""

PLANNED = sw.SweepPlanned(
    strategy="grid",
    axes=({"name": "lr", "values": ["0.1", "0.01"]}, {"name": "bs", "value": 32}),
    seeds=3,
    generator=1,
    count=6,
    size=6,
    digest=SHA,
    command=text("python t.py"),
    workdir=text("/tmp"),
    placement="flag",
    demands=Demands(gpus=1, retries=2, retry_on=("failed", "timed_out")),
    tags=("a",),
)

MARK = RequestMark("aa" * 32, "bb" * 32)

SAMPLES: dict[str, Event] = {
    event.type: event
    for event in (
        ev.LedgerOpened(origin="tally.local/0123456789abcdef", vkey="vkey"),
        ev.TokenCreated(role=Role.AGENT, sha256=SHA, session=SESSION, expires_at=9, request=MARK),
        ev.TokenRevoked(),
        ev.PolicySet(session=Enforcement.WARN, sweep=Enforcement.ENFORCE),
        ev.ProtocolPublished(sha256=SHA),
        ev.SessionOpened(),
        sw.SweepCreated(name=text("s"), goal=text("g"), wild=True, violations=("a",), request=MARK),
        sw.SweepAttributed(session=SESSION),
        PLANNED,
        sw.SweepMaterialised(),
        sw.SweepStarted(parallel=2),
        sw.SweepStopped(),
        sw.SweepResumed(parallel=3),
        sw.SweepPaused(reason_code="breaker", failures=5, outcome="failed", exit_code=1),
        sw.SweepEdited(name=text("new"), old_name=text("s")),
        sw.SweepArchived(),
        sw.SweepUnarchived(),
        sg.AlertRaised(
            run=RUN, severity="warning", message=text("m"), choices=text("[]"), source="job"
        ),
        sg.AlertAnswered(choice=text("stop"), action="stop"),
        gd.GuardDecided(
            agent="codex",
            call="call_1",
            verdict="experiment",
            reason="python_script",
            action="excepted",
            mode="deny",
            policy="default",
            parser="tree-sitter-bash 0.25.1",
            exception=ExceptionId("exc_00000000000d"),
            at=START,
            command=text("python t.py"),
            cwd=text("/p"),
            project=text("/p"),
            detail=text("d"),
            violations=("exception_unknown",),
        ),
        gd.GuardExceptionGranted(
            command=text("c"), command_sha256=SHA, only=SESSION, expires_at=START, request=MARK
        ),
        gd.ProjectPolicyAccepted(root=text("/p"), text=text("t"), sha256=SHA, mode="deny"),
        sg.BudgetSet(runs=20, gpu_ms=3_600_000, action="stop"),
        sg.BudgetWarned(kind="runs"),
        sg.BudgetReached(kind="gpu"),
        sg.ClusterSet(kind="slurm", status="healthy", gpu_count=8, notes=text("n")),
        sg.ClusterDrained(reason=text("maintenance")),
        sg.ClusterUndrained(),
        replace(
            REGISTERED,
            environment=text("{}"),
            demands=Demands(cpus=2, gpus=1, pins=("0",), priority=5, timeout_ms=60_000),
            tags=("baseline",),
            depends_on=(RunId("run_00000000000f"),),
            point=4,
            violations=("sweep_missing",),
            request=MARK,
        ),
        ev.RunEdited(name=text("new"), old_name=text("n")),
        ev.RunQueued(),
        ev.RunReleased(),
        ev.RunRequeued(),
        ev.RunMoved(sweep=SWEEP, old_sweep=SweepId("swp_00000000000e")),
        STOP,
        ev.RunArchived(),
        ev.RunUnarchived(),
        ev.RunAnnotated(tags=("best",), starred=True, note=text("good")),
        replace(ASSIGNED, gpus=("GPU-1",)),
        SUBMITTED,
        STARTED,
        ev.AttemptDescribed(attempt=ATTEMPT, n=3, context=text("{}")),
        UNSUPERVISED,
        ev.OutputSealed(attempt=ATTEMPT, n=4, stream="output", bytes=10, sha256=SHA),
        RETRIED,
        FAILED,
    )
}
"""One event of every type, by its name."""


def register(**changes: Any) -> cm.RegisterRun:
    known: dict[str, Any] = {"name": text("n"), "command": text("true"), "workdir": text("/tmp")}
    return cm.RegisterRun(run=RUN, **{**known, **changes})
