"""A ledger in which something of everything has happened."""

from typing import Any

from tallystick.domain import commands as cm
from tallystick.domain.events import MintedToken
from tallystick.domain.ids import (
    SYSTEM,
    Actor,
    AttemptId,
    Enforcement,
    RequestMark,
    Role,
    RunId,
    SessionId,
    SweepId,
    TokenId,
)
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
    history.ask(cm.StopRun(run=full.run))
    history.ask(cm.RecordExit(run=full.run, attempt=lost, signal=15), by=SYSTEM)
    history.ask(cm.ArchiveRun(run=full.run))
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
    return history
