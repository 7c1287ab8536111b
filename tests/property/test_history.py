"""Any history of commands: the fold of the ledger, the tables and a rebuild say the same."""

import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import delete, select

from tallystick.control.commands import Accepted
from tallystick.domain import commands as cm
from tallystick.domain.events import MintedToken
from tallystick.domain.ids import (
    SYSTEM,
    AttemptId,
    Enforcement,
    RequestMark,
    RunId,
    SweepId,
    TokenId,
)
from tallystick.domain.run import Run
from tallystick.domain.status import Phase, Status, Tally, flatten
from tallystick.errors import Refusal
from tallystick.projections import runs, sessions, sweeps, tables, tokens, totals
from tallystick.projections.audit import verify_database
from tallystick.projections.replay import entries_of, record_of, replay
from tallystick.projections.world import World
from tallystick.testing.spine import AGENT, PERSON, Spine, spine
from tests.property.naive_history import Naive, NaiveRun

SESSIONS = st.sampled_from([None, "", "chat-1", "chat-2", "$CHAT_SESSION_ID", "<session_id>", "ü☂"])
WORDS = st.text(min_size=0, max_size=12)
CAUSES = st.sampled_from(["", "exited", "stop", "lost", "exit", "workdir_missing"])


class History(RuleBasedStateMachine):
    """Agents, people, supervisors and the server itself, in any order."""

    swept: Bundle[SweepId] = Bundle("swept")
    started: Bundle[RunId] = Bundle("started")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.spine: Spine = self._stack.enter_context(spine(self.directory))
        self.ended: dict[str, tuple[Any, ...]] = {}

    def teardown(self) -> None:
        try:
            report = verify_database(self.spine.database)
            assert report.problems == []
            self._tables_equal_the_naive_reading()
            self._fold_equals_tables()
        finally:
            self._stack.close()
            shutil.rmtree(self.directory)

    def ask(self, command: cm.Command, **kwargs: Any) -> Accepted | None:
        try:
            return self.spine.handler.handle(command, **kwargs)
        except Refusal:
            return None

    def run_state(self, run: str) -> Run:
        with self.spine.database.read() as tx:
            found = runs.get(tx, run)
        assert found is not None
        return found

    @initialize(
        target=started,
        first=st.sampled_from(["archive", "unarchive"]),
        cause=CAUSES,
        code=st.sampled_from([0, 3]),
        stop=st.booleans(),
    )
    def begin(self, first: str, cause: str, code: int, *, stop: bool) -> Any:
        """Three runs in two sweeps: without them, most histories would be all refusals."""
        sweeps_made = [
            self.create_sweep(session, "s", None) for session in ("chat-1", "$CHAT_SESSION_ID")
        ]
        made = [self.register(sweep, "chat-1", "true", start=False) for sweep in sweeps_made]
        self.execute(made[0], first, cause, code, stop=stop)
        self.execute(made[1], "unarchive", "lost", code, stop=False)
        return multiple(*made, self.register(sweeps_made[0], "chat-2", "true", start=True))

    @rule(target=swept, session=SESSIONS, name=WORDS, key=st.sampled_from([None, "a", "b"]))
    def create_sweep(self, session: str | None, name: str, key: str | None) -> Any:
        texts = self.spine.texts()
        mark = RequestMark(key, "body") if key else None
        command = cm.CreateSweep(
            sweep=SweepId(self.spine.clock.new_id("swp")),
            name=texts.add(name),
            session=session,
            request=mark,
        )
        accepted = self.ask(command, by=AGENT, texts=texts)
        return SweepId(accepted.subject) if accepted and accepted.sweep else multiple()

    @rule(
        target=started,
        sweep=st.one_of(st.none(), swept),
        session=SESSIONS,
        start=st.booleans(),
        command=st.sampled_from(["", "true", "API_TOKEN=hunter2hunter2 python t.py", "x\0y"]),
    )
    def register(self, sweep: Any, session: str | None, command: str, *, start: bool) -> Any:
        texts = self.spine.texts()
        wish = cm.RegisterRun(
            run=RunId(self.spine.clock.new_id("run")),
            name=texts.add("n"),
            command=texts.add(command),
            workdir=texts.add("/tmp"),
            sweep=sweep,
            session=session,
            start=start,
            params={"lr": "0.1", "seed": 3},
        )
        accepted = self.ask(wish, by=AGENT, texts=texts)
        return RunId(accepted.subject) if accepted else multiple()

    @rule(run=started, kind=st.sampled_from(["queue", "stop", "archive", "unarchive"]))
    def move(self, run: RunId, kind: str) -> None:
        wishes: dict[str, cm.Command] = {
            "queue": cm.QueueRun(run=run),
            "stop": cm.StopRun(run=run),
            "archive": cm.ArchiveRun(run=run),
            "unarchive": cm.UnarchiveRun(run=run),
        }
        self.ask(wishes[kind], by=AGENT)

    @rule(run=started, name=WORDS)
    def edit(self, run: RunId, name: str) -> None:
        texts = self.spine.texts()
        self.ask(cm.EditRun(run=run, name=texts.add(name)), by=AGENT, texts=texts)

    @rule(run=started)
    def assign(self, run: RunId) -> None:
        number = self.spine.clock.new_id("att")
        self.ask(
            cm.AssignAttempt(
                run=run,
                attempt=AttemptId(number),
                backend="local",
                run_token=MintedToken(token=TokenId("tok" + number[3:]), sha256="aa" + number),
                supervisor_token=MintedToken(
                    token=TokenId("tok_f" + number[5:]), sha256="bb" + number
                ),
            ),
            by=SYSTEM,
        )

    @rule(
        run=started,
        kind=st.sampled_from(
            ["submitted", "started", "sealed", "vanished", "exit", "lost", "ended"]
        ),
        n=st.integers(1, 6),
        cause=st.sampled_from(["exited", "stop", "workdir_missing"]),
        code=st.sampled_from([0, 3]),
    )
    def report(self, run: RunId, kind: str, n: int, cause: str, code: int) -> None:
        attempt = self.run_state(run).attempt
        if attempt is None:
            return
        texts = self.spine.texts()
        about: dict[str, Any] = {"run": run, "attempt": attempt}
        wishes: dict[str, cm.Command] = {
            "submitted": cm.RecordSubmission(**about, native=texts.add("local:1")),
            "started": cm.ReportStarted(**about, n=n, at=1_700_000_000_000, git_head="ab"),
            "sealed": cm.ReportSealed(**about, n=n, stream="output", bytes=n, sha256="00"),
            "vanished": cm.RecordSupervisorLost(**about),
            "exit": cm.RecordExit(**about, exit_code=code),
            "lost": cm.RecordLost(**about, reason_code="supervisor_killed"),
            "ended": cm.ReportEnded(
                **about, n=n, at=1_700_000_000_001, cause=cause, exit_code=code
            ),
        }
        self.ask(wishes[kind], by=SYSTEM, texts=texts)

    @rule(
        run=started,
        first=st.sampled_from(["archive", "unarchive", "unarchive"]),
        stop=st.booleans(),
        cause=CAUSES,
        code=st.sampled_from([0, 3]),
    )
    def execute(self, run: RunId, first: str, cause: str, code: int, *, stop: bool) -> None:
        """A whole life in one step: by single steps alone, few runs would ever be executed."""
        self.move(run, first)
        self.move(run, "queue")
        self.assign(run)
        self.report(run, "started", 2, cause, code)
        self.edit(run, "too late")
        self.report(run, "sealed", 3, cause, code)
        self.report(run, "sealed", 3, cause, code)
        if stop:
            self.move(run, "stop")
        kind = cause if cause in {"lost", "exit"} else "ended"
        if cause:
            self.report(run, kind, 5, cause, code)

    @rule(who=st.sampled_from([AGENT, PERSON]), session=st.sampled_from(Enforcement))
    def set_policy(self, who: Any, session: Enforcement) -> None:
        accepted = self.ask(cm.SetPolicy(session=session, sweep=session), by=who)
        assert who is not AGENT or accepted is None

    @rule()
    def restart(self) -> None:
        """Everything in memory is gone; what was acknowledged is there."""
        with self.spine.database.read() as tx:
            before = runs.page(tx, runs.RunFilter(archived=None), limit=100)
        self._stack.close()
        self.spine = self._stack.enter_context(spine(self.directory, clock=self.spine.clock))
        with self.spine.database.read() as tx:
            assert runs.page(tx, runs.RunFilter(archived=None), limit=100) == before

    @invariant()
    def what_has_ended_stays_as_it_ended(self) -> None:
        with self.spine.database.read() as tx:
            for run in runs.page(tx, runs.RunFilter(archived=None), limit=1000):
                started = run.started_at is not None
                assert run.status is flatten(run.phase, run.outcome, started=started)
                if run.phase is Phase.ENDED:
                    end = (run.outcome, run.exit_code, run.reason_code, run.command, run.ended_at)
                    assert self.ended.setdefault(run.id, end) == end

    @invariant()
    def counters_are_what_counting_gives(self) -> None:
        with self.spine.database.read() as tx:
            everything = runs.page(tx, runs.RunFilter(archived=None), limit=1000)
            assert totals.get(tx) == _count(r for r in everything if not r.archived)
            for sweep in sweeps.page(tx, limit=100):
                assert sweep.runs == _count(r for r in everything if r.sweep == sweep.id)
            for session in sessions.page(tx, limit=100):
                assert session.runs == _count(r for r in everything if r.session == session.id)

    def _tables_equal_the_naive_reading(self) -> None:
        """What the rules made of the history against what an auditor makes of it."""
        naive = Naive()
        with self.spine.database.read() as tx:
            for entry in entries_of(tx):
                naive.read(entry)
            shown, by_sweep, by_session = naive.tallies()
            found = {run.id: run for run in runs.page(tx, EVERYTHING, limit=1000)}
            assert found.keys() == naive.runs.keys()
            for key, noted in naive.runs.items():
                _same_run(found[RunId(key)], noted)
            assert _as_counter(totals.get(tx)) == shown
            for sweep in sweeps.page(tx, limit=100):
                assert naive.sweeps[sweep.id] == sweep.session
                assert _as_counter(sweep.runs) == +by_sweep[sweep.id]
            opened = sessions.page(tx, limit=100)
            assert {session.id for session in opened} == naive.opened
            for session in opened:
                assert session.violations == naive.violations[session.id]
                assert session.sweeps == list(naive.sweeps.values()).count(session.id)
                assert _as_counter(session.runs) == +by_session[session.id]
            for key in naive.live_tokens | naive.dead_tokens:
                token = tokens.get(tx, key)
                assert token is not None
                assert (token.revoked_at is not None) == (key in naive.dead_tokens)
            remembered = {
                row["id"]: (row["subject"], row["seq"])
                for row in tx.fetch(select(tables.requests.table))
            }
            assert remembered == naive.requests
            policy = totals.policy(tx)
            assert {"session": policy.session, "sweep": policy.sweep} == naive.policy

    def _fold_equals_tables(self) -> None:
        """Replay into emptied tables and compare; `verify_database` did so in a scratch one."""
        database = self.spine.database
        with database.write() as tx:
            before = {t.name: tx.fetch(select(t)) for t in tables.metadata.sorted_tables}
            for table in tables.metadata.sorted_tables:
                if not table.name.startswith("op_"):
                    tx.execute(delete(table))
            replay(tx, tx)
            for table in tables.metadata.sorted_tables:
                rows = {tuple(row.values()) for row in tx.fetch(select(table))}
                assert rows == {tuple(row.values()) for row in before[table.name]}
        fold = World()
        with database.read() as tx:
            for entry in entries_of(tx):
                fold.apply(record_of(entry))
            for run in runs.page(tx, runs.RunFilter(archived=None), limit=1000):
                assert fold.run(run.id) == run


EVERYTHING = runs.RunFilter(archived=None)


def _same_run(run: Run, noted: NaiveRun) -> None:
    assert (run.status, run.archived, run.session) == (noted.status, noted.archived, noted.session)
    assert (run.sweep, run.command.c, run.attempt) == (noted.sweep, noted.command, noted.attempt)
    end = noted.end or {}
    assert (run.outcome, run.exit_code, run.signal, run.reason_code) == tuple(
        end.get(name) for name in ("outcome", "exit_code", "signal", "reason_code")
    )


def _as_counter(tally: Tally) -> Counter[str]:
    return +Counter({status.value: getattr(tally, status.value) for status in Status})


def _count(found: Any) -> Tally:
    tally = Tally()
    for run in found:
        tally = tally.moved(None, Status(run.status))
    return tally


History.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistory = pytest.mark.timeout(900)(History.TestCase)
