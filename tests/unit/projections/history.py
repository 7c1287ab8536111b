"""A ledger in which something of everything has happened."""

from dataclasses import replace
from typing import Any

from tallystick.domain import commands as cm
from tallystick.domain.demands import Demands
from tallystick.domain.events import MintedToken
from tallystick.domain.guard import project_of
from tallystick.domain.guard_commands import AcceptPolicy, GrantException, RecordDecision
from tallystick.domain.ids import (
    SYSTEM,
    Actor,
    AlertId,
    AttemptId,
    DecisionId,
    Enforcement,
    ExceptionId,
    RequestMark,
    Role,
    RunId,
    SessionId,
    SweepId,
    TokenId,
)
from tallystick.domain.status import StopReason
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.projections import sweeps
from tallystick.testing.spine import AGENT, PERSON, Spine


class History:
    """Asks a spine for things, with ids that a test can name."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine

    def ask(self, command: cm.Command, *, by: Actor = AGENT, texts: Any = None) -> None:
        self.spine.handler.handle(command, by=by, texts=texts)

    def sweep(self, key: str, **changes: Any) -> SweepId:
        texts = self.spine.texts()
        known: dict[str, Any] = {
            "name": texts.add("sweep"),
            "goal": texts.add("goal"),
            "session": "chat-1",
        }
        command = cm.CreateSweep(sweep=SweepId(f"swp_{key:0>12}"), **{**known, **changes})
        self.ask(command, texts=texts)
        return command.sweep

    def run(self, key: str, **changes: Any) -> RunId:
        texts = self.spine.texts()
        known: dict[str, Any] = {
            "name": texts.add("name"),
            "command": texts.add("true"),
            "workdir": texts.add("/tmp"),
            "session": "chat-1",
        }
        command = cm.RegisterRun(run=RunId(f"run_{key:0>12}"), **{**known, **changes})
        self.ask(command, texts=texts)
        return command.run

    def execute(self, run: RunId, *, until: str = "ended") -> AttemptId:
        """Queue, assign and report, up to a step."""
        digits = run[5:]
        attempt = AttemptId(f"att_a{digits}")
        texts = self.spine.texts()
        about: dict[str, Any] = {"run": run, "attempt": attempt}
        self.ask(cm.QueueRun(run=run))
        if until == "queued":
            return attempt
        tokens: dict[str, Any] = {
            name: MintedToken(token=TokenId(f"tok_{mark}{digits}"), sha256=f"{mark}{digits}" * 5)
            for name, mark in (("run_token", "b"), ("supervisor_token", "c"))
        }
        self.ask(cm.AssignAttempt(**about, backend="fake", **tokens), by=SYSTEM)
        if until == "assigned":
            return attempt
        self.ask(cm.RecordSubmission(**about, native=texts.add("f")), by=SYSTEM, texts=texts)
        texts = self.spine.texts()
        started = cm.ReportStarted(
            **about,
            n=2,
            at=1_700_000_000_100,
            git_head="aa",
            git_tree="bb",
            git_branch=texts.add("main"),
            git_missing=texts.add("no tree"),
        )
        self.ask(started, by=SYSTEM, texts=texts)
        texts = self.spine.texts()
        described = cm.ReportDescribed(**about, n=3, context=texts.add("{}"))
        self.ask(described, by=SYSTEM, texts=texts)
        for number, stream in enumerate(("output", "metrics"), 4):
            seal = cm.ReportSealed(**about, n=number, stream=stream, bytes=9, sha256="dd")
            self.ask(seal, by=SYSTEM)
        self.ask(cm.ReportSealed(**about, stream="posted", bytes=9, sha256="ee"), by=SYSTEM)
        if until == "ended":
            texts = self.spine.texts()
            ended = cm.ReportEnded(
                **about,
                n=7,
                at=1_700_000_000_200,
                cause="exited",
                exit_code=3,
                reason=texts.add("boom"),
            )
            self.ask(ended, by=SYSTEM, texts=texts)
        return attempt


def everything(spine: Spine) -> History:
    """Every table has rows, and every column of every table is filled in some row."""
    history = History(spine)
    history.ask(cm.SetPolicy(session=Enforcement.WARN, sweep=Enforcement.WARN), by=PERSON)
    history.ask(cm.PublishProtocol(skill="protocol", sha256="ab"), by=SYSTEM)
    sweep = history.sweep("1", session="$CHAT_SESSION_ID", request=RequestMark("k1", "b"))
    run = history.run("1", sweep=sweep, params={"lr": "0.1", "c": "x", "n": 2}, origin_alert="al")
    history.execute(run)
    texts = spine.texts()
    full = cm.RegisterRun(
        run=RunId("run_000000000002"),
        sweep=sweep,
        parent=run,
        name=texts.add("second"),
        command=texts.add("train --token hunter2hunter2"),
        workdir=texts.add("/tmp"),
        environment=texts.add_environment({"A": "1"}),
        gpuwrap=texts.add_document({"enabled": True}),
        session="$CHAT_SESSION_ID",
    )
    history.ask(full, texts=texts)
    lost = history.execute(full.run, until="started")
    history.ask(cm.RecordSupervisorLost(run=full.run, attempt=lost), by=SYSTEM)
    history.ask(cm.StopRun(run=full.run, why=StopReason.SWEEP_STOPPED))
    history.ask(cm.RecordExit(run=full.run, attempt=lost, signal=15), by=SYSTEM)
    history.ask(cm.ArchiveRun(run=full.run))
    notes = history.spine.texts()
    note = notes.add("twice as good")
    annotated = cm.AnnotateRun(run=full.run, add_tags=("best",), starred=True, note=note)
    history.ask(annotated, texts=notes)
    history.execute(history.run("3", sweep=sweep), until="queued")
    history.execute(history.run("4"), until="assigned")
    history.execute(history.run("5", sweep=history.sweep("5")))
    history.sweep("2", wild=False, draft=True, session="☂ Zelt")
    token = TokenId("tok_000000000001")
    history.ask(
        cm.CreateToken(
            token=token,
            role=Role.AGENT,
            sha256="cc",
            session=SessionId("chat-1"),
            expires_at=1_900_000_000_000,
        ),
        by=PERSON,
    )
    history.ask(cm.RevokeToken(token=token), by=PERSON)
    planned(history)
    signalled(history, run)
    guarded(history)
    return history


def planned(history: History) -> None:
    """A sweep with a plan, whose run fails, is tried again, stopped and resumed."""
    texts = history.spine.texts()
    demands = Demands(
        cpus=2, gpus=1, gpu_memory_mb=5, memory_mb=6, pins=("0",), timeout_ms=9, retries=1
    )
    plan = SweepPlanned(
        strategy="random",
        axes=({"name": "lr", "values": ["0.1"]}, {"name": "bs", "value": 32}),
        seeds=1,
        seed=7,
        samples=2,
        points=texts.add("[]"),
        generator=1,
        count=2,
        size=3,
        digest="ab" * 32,
        command=texts.add("python t.py"),
        workdir=texts.add("/tmp"),
        environment=texts.add_environment({"A": "1"}),
        placement="flag",
        demands=demands,
        tags=("a",),
        ui_config=texts.add("{}"),
    )
    sweep = history.sweep("7", plan=plan, start=True, parallel=1)
    with history.spine.database.read() as tx:
        planned = sweeps.get(tx, sweep)
    assert planned is not None
    edit = cm.EditSweep(
        sweep=sweep, plan=replace(plan, seed=8), plan_base=planned.plan_seq, start=True
    )
    history.spine.handler.handle(edit, by=AGENT, texts=texts)
    texts = history.spine.texts()
    made = cm.PlannedRun(
        run=RunId("run_000000000007"),
        name=texts.add("s #1"),
        command=texts.add("python t.py --lr=0.1"),
        params={"lr": "0.1"},
    )
    with history.spine.database.read() as tx:
        state = sweeps.get(tx, sweep)
    assert state is not None
    points = cm.RegisterPoints(sweep=sweep, first=0, runs=(made,), plan_seq=state.plan_seq)
    history.ask(points, by=SYSTEM, texts=texts)
    history.execute(made.run)
    history.ask(cm.PauseSweep(sweep=sweep, failures=1), by=SYSTEM)
    needed = history.run("8", sweep=sweep, depends_on=(made.run,), tags=("b",), start=True)
    history.ask(cm.StopRun(run=needed))
    history.ask(cm.StopSweep(sweep=sweep))
    history.ask(cm.StopRun(run=made.run))
    history.ask(cm.ResumeSweep(sweep=sweep))
    history.ask(cm.RequeueRun(run=made.run), by=SYSTEM)
    history.execute(history.run("d", demands=Demands(retries=1)))  # to be tried again
    failing = history.sweep("8")
    history.execute(history.run("9", sweep=failing))
    history.ask(cm.PauseSweep(sweep=failing, failures=1), by=SYSTEM)
    history.ask(cm.ArchiveSweep(sweep=failing))
    history.ask(cm.MoveRun(run=history.run("c", sweep=failing), sweep=sweep))


def signalled(history: History, run: RunId) -> None:
    """Alerts, budgets, and what a person says about the machine."""
    texts = history.spine.texts()
    alert = AlertId("alr_000000000001")
    asked = cm.RaiseAlert(
        alert=alert,
        run=run,
        severity="critical",
        message=texts.add("loss is NaN"),
        choices=texts.add("[]"),
        source="job",
    )
    history.ask(asked, texts=texts)
    texts = history.spine.texts()
    answer = cm.AnswerAlert(
        alert=alert, choice=texts.add("go on"), action="continue", note=texts.add("seen")
    )
    history.ask(answer, by=PERSON, texts=texts)
    budget = cm.SetBudget(scope="session:☂ Zelt", runs=100, gpu_ms=5, wall_ms=6, action="stop")
    history.ask(budget, by=PERSON)
    for reached in (False, True):
        history.ask(cm.ReportBudget(scope="session:☂ Zelt", kind="gpu", reached=reached), by=SYSTEM)
    texts = history.spine.texts()
    cluster = cm.SetCluster(
        kind="slurm",
        status="healthy",
        head_node=texts.add("head"),
        node_count=2,
        gpu_count=8,
        notes=texts.add("n"),
        details=texts.add("{}"),
    )
    history.ask(cluster, by=PERSON, texts=texts)
    texts = history.spine.texts()
    history.ask(cm.Drain(reason=texts.add("maintenance")), by=PERSON, texts=texts)


def guarded(history: History) -> None:
    """Rules that people accepted twice, an exception, and the decision that used it."""
    for mode in ("warn", "deny"):
        texts = history.spine.texts()
        accept = AcceptPolicy(
            project=project_of("/p"),
            root=texts.add("/p"),
            text=texts.keep(f"mode = '{mode}'"),
            sha256=mode * 16,
            mode=mode,
        )
        history.ask(accept, by=PERSON, texts=texts)
    texts = history.spine.texts()
    exception = GrantException(
        exception=ExceptionId("exc_000000000001"),
        command=texts.add("python t.py"),
        command_sha256="ab" * 32,
        seconds=60,
        only="chat-1",
    )
    history.ask(exception, by=PERSON, texts=texts)
    texts = history.spine.texts()
    decision = RecordDecision(
        decision=DecisionId("dec_000000000001"),
        agent="codex",
        call="call_1",
        verdict="experiment",
        reason="python_script",
        action="excepted",
        mode="deny",
        policy="default",
        parser="tree-sitter-bash 0.25.1",
        exception=exception.exception,
        at=history.spine.clock.now(),
        command=texts.add("python t.py"),
        command_sha256="ab" * 32,
        of_project=project_of("/p"),
        cwd=texts.add("/p"),
        project=texts.add("/p"),
        detail=texts.add("a script"),
        session="chat-1",
    )
    history.ask(decision, texts=texts)
