"""The states that commands are decided against: in memory, loaded by key, moved by entries.

One `World` belongs to one thread. `apply` is the only definition of how a fact changes the tables:
the writer uses it live, a rebuild replays the ledger through it. Changes wait in memory until
`flush`; after a failed commit `forget` drops everything that was not read from the database.
"""

from typing import Any, cast

from tallystick.db.database import Transaction
from tallystick.domain import alert as alerts
from tallystick.domain import attempt as attempts
from tallystick.domain import budget as budgets
from tallystick.domain import cluster as clusters
from tallystick.domain import events as ev
from tallystick.domain import guard as guards
from tallystick.domain import guard_events as gd
from tallystick.domain import notice as notices
from tallystick.domain import policy as policies
from tallystick.domain import protocol as protocols
from tallystick.domain import request as requests
from tallystick.domain import run as runs
from tallystick.domain import session as sessions
from tallystick.domain import signal_events as sg
from tallystick.domain import sweep as sweeps
from tallystick.domain import sweep_events as sw
from tallystick.domain import token as tokens
from tallystick.domain.status import Status, Totals
from tallystick.projections import tables
from tallystick.projections.shelf import CAPACITY, Shelf


class World:
    """All states, and how each entry moves them."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        """Empty shelves; `tx` is set by whoever opens a transaction."""
        self.tx: Transaction | None = None
        self._runs = Shelf(tables.runs, capacity)
        self._attempts = Shelf(tables.attempts, capacity)
        self._sweeps = Shelf(tables.sweeps, capacity)
        self._sessions = Shelf(tables.sessions, capacity)
        self._tokens = Shelf(tables.tokens, capacity)
        self._policy = Shelf(tables.policy, capacity)
        self._totals = Shelf(tables.totals, capacity)
        self._requests = Shelf(tables.requests, capacity)
        self._budgets = Shelf(tables.budgets, capacity)
        self._alerts = Shelf(tables.alerts, capacity)
        self._cluster = Shelf(tables.cluster, capacity)
        self._notices = Shelf(tables.notices, capacity)
        self._publications = Shelf(tables.publications, capacity)
        self._decisions = Shelf(tables.decisions, capacity)
        self._exceptions = Shelf(tables.exceptions, capacity)
        self._projects = Shelf(tables.projects, capacity)

    @property
    def _shelves(self) -> tuple[Shelf[Any], ...]:
        return (
            self._runs,
            self._attempts,
            self._sweeps,
            self._sessions,
            self._tokens,
            self._policy,
            self._totals,
            self._requests,
            self._budgets,
            self._alerts,
            self._cluster,
            self._notices,
            self._publications,
            self._decisions,
            self._exceptions,
            self._projects,
        )

    def run(self, key: str) -> runs.Run | None:
        """A run."""
        return self._runs.get(self.tx, key)

    def attempt(self, key: str) -> attempts.Attempt | None:
        """An attempt."""
        return self._attempts.get(self.tx, key)

    def sweep(self, key: str) -> sweeps.Sweep | None:
        """A sweep."""
        return self._sweeps.get(self.tx, key)

    def session(self, key: str) -> sessions.Session | None:
        """A session."""
        return self._sessions.get(self.tx, key)

    def token(self, key: str) -> tokens.Token | None:
        """A token."""
        return self._tokens.get(self.tx, key)

    def policy(self) -> policies.Policy:
        """The policy in force."""
        return self._policy.get_or(self.tx, "policy", policies.Policy())

    def totals(self) -> Totals:
        """Runs that are not archived, by status."""
        return self._totals.get_or(self.tx, "all", Totals())

    def request(self, key: str) -> requests.SeenRequest | None:
        """An earlier request with the same Idempotency-Key."""
        return self._requests.get(self.tx, key)

    def budget(self, scope: str) -> budgets.Budget:
        """What a sweep, or `session:` and a session, may use; unlimited until somebody sets it."""
        return self._budgets.get_or(self.tx, scope, budgets.Budget(id=scope))

    def alert(self, key: str) -> alerts.Alert | None:
        """An alert."""
        return self._alerts.get(self.tx, key)

    def cluster(self) -> clusters.Cluster:
        """What people said about the machine."""
        return self._cluster.get_or(self.tx, clusters.CLUSTER, clusters.Cluster())

    def notice(self, key: str) -> notices.Notice | None:
        """Something to hear of."""
        return self._notices.get(self.tx, key)

    def publication(self, key: str) -> protocols.Publication | None:
        """The newest digest of a protocol text."""
        return self._publications.get(self.tx, key)

    def decision(self, key: str) -> guards.Decision | None:
        """What a guard did with one command."""
        return self._decisions.get(self.tx, key)

    def exception(self, key: str) -> guards.GuardException | None:
        """What a person let pass the guard."""
        return self._exceptions.get(self.tx, key)

    def project(self, key: str) -> guards.ProjectPolicy | None:
        """The guard's rules that people accepted for a project."""
        return self._projects.get(self.tx, key)

    def flush(self, tx: Transaction) -> None:
        """Write every changed state, one statement a table."""
        for shelf in self._shelves:
            shelf.flush(tx)

    def settle(self) -> None:
        """After a commit."""
        for shelf in self._shelves:
            shelf.settle()

    def forget(self) -> None:
        """After a failed commit."""
        for shelf in self._shelves:
            shelf.forget()

    def apply(self, record: ev.Record) -> None:
        """Move every state that one entry concerns; total over all event types."""
        event = record.event
        if isinstance(event, ev.RunRegistered):
            self._registered(record, event)
        elif isinstance(event, runs.RunEvent):
            self._run_moved(record, event)
        elif isinstance(event, sw.SweepCreated):
            self._sweep_created(record, event)
        elif isinstance(event, sw.SweepEvent):
            self._sweep_moved(record, event)
        elif isinstance(event, sg.SignalEvent):
            self._signalled(record, event)
        elif isinstance(event, gd.GuardEvent):
            self._guarded(record, event)
        else:
            self._applied_elsewhere(record, event)
        self._remember_request(record)
        if record.session is not None and not isinstance(event, ev.SessionOpened):
            session = self.session(record.session)
            if session is not None:
                touched = sessions.touched(session, record)
                if touched is not session:
                    self._sessions.put(session.id, touched)

    def _applied_elsewhere(self, record: ev.Record, event: ev.Event) -> None:
        """Sessions, tokens, policy and protocol texts."""
        match event:
            case ev.SessionOpened():
                session = sessions.opened(record)
                self._sessions.put(session.id, session)
            case ev.TokenCreated():
                self._tokens.put(record.stream, tokens.created(record, event))
            case ev.TokenRevoked():
                self._revoke(record.stream, record)
            case ev.PolicySet():
                self._policy.put("policy", policies.after_set(self.policy(), event))
            case ev.ProtocolPublished():
                publication = protocols.published(record, event)
                self._publications.put(publication.id, publication)
            case _:
                pass

    def _registered(self, record: ev.Record, event: ev.RunRegistered) -> None:
        """A new run counts in its sweep, its session and the totals."""
        run = runs.registered(record, event)
        self._runs.put(run.id, run)
        self._count(record, None, run)
        self._mark(record, event.violations)

    def _run_moved(self, record: ev.Record, event: runs.RunEvent) -> None:
        """A later entry of a run's stream, for the run and for its attempt."""
        before = self.run(record.stream)
        if before is None:
            return
        after = runs.evolve(before, record, event)
        self._runs.put(after.id, after)
        if isinstance(event, ev.AttemptEnded | ev.RunEnded):
            self._give_back(before, event, event.at or record.ts)
        self._count(record, before, after)
        if isinstance(event, ev.AttemptAssigned):
            self._attempts.put(event.attempt, attempts.assigned(record, event))
            for token in tokens.minted(record, event):
                self._tokens.put(token.id, token)
            session = self.session(after.session)
            if session is not None:
                self._sessions.put(
                    session.id, sessions.served(session, record, number=event.number)
                )
        elif isinstance(event, attempts.AttemptEvent):
            self._attempt_moved(record, event)
        if isinstance(event, ev.RunEnded):
            self._notify(record, "run_complete", run=after, detail=event.outcome)

    def _give_back(self, run: runs.Run, end: ev.AttemptEnded | ev.RunEnded, at: int) -> None:
        """What an attempt used counts for its sweep and its session from its end on."""
        attempt = self.attempt(run.attempt) if run.attempt else None
        if attempt is None or not attempt.active:
            return
        started = attempt.started_at
        elapsed = None if started is None else max(at - started, 0)
        held = max(at - attempt.assigned_at, 0) * len(attempt.gpus)
        session = self.session(run.session)
        if session is not None and held:
            self._sessions.put(session.id, sessions.used(session, held))
        sweep = self.sweep(run.sweep) if run.sweep else None
        if sweep is not None:
            used = sweeps.with_end(sweep, end, tries=run.tries, gpu_ms=held, elapsed_ms=elapsed)
            self._sweeps.put(sweep.id, used)

    def _attempt_moved(self, record: ev.Record, event: attempts.AttemptEvent) -> None:
        """The attempt that an entry names; a run that ends without one has none."""
        attempt = self.attempt(event.attempt) if event.attempt is not None else None
        if attempt is None:
            return
        self._attempts.put(attempt.id, attempts.evolve(attempt, record, event))
        if isinstance(event, ev.AttemptEnded | ev.RunEnded):
            self._revoke(attempt.run_token, record)

    def _sweep_created(self, record: ev.Record, event: sw.SweepCreated) -> None:
        """A new sweep counts in its session."""
        sweep = sweeps.created(record, event)
        self._sweeps.put(sweep.id, sweep)
        self._count_sweep(sweep.session, 1)
        self._mark(record, event.violations)

    def _sweep_moved(self, record: ev.Record, event: sw.SweepEvent) -> None:
        """A later entry of a sweep's stream."""
        before = self.sweep(record.stream)
        if before is None:
            return
        after = sweeps.evolve(before, record, event)
        self._sweeps.put(after.id, after)
        if before.session != after.session:  # from the unattributed to its real one
            self._count_sweep(before.session, -1)
            self._count_sweep(after.session, 1)
        if isinstance(event, sw.SweepPaused):
            self._notify(record, "sweep_paused", sweep=after, detail=event.reason_code)
        elif after.done and not before.done:  # stopped when only points were left that are no runs
            self._notify(record, "sweep_complete", sweep=after, detail=after.status)

    def _signalled(self, record: ev.Record, event: sg.SignalEvent) -> None:
        """Alerts, budgets, and what people say about the machine."""
        match event:
            case sg.AlertRaised():
                run = self.run(event.run)
                self._alerts.put(record.stream, alerts.raised(record, event, run))
                self._notify(record, "alert", run=run, detail=event.severity)
            case sg.AlertAnswered():
                alert = self.alert(record.stream)
                if alert is not None:
                    self._alerts.put(alert.id, alerts.answered(alert, record, event))
            case sg.BudgetSet() | sg.BudgetWarned() | sg.BudgetReached():
                scope = budgets.scope_in(record.stream)
                self._budgets.put(scope, budgets.evolve(self.budget(scope), record, event))
                if not isinstance(event, sg.BudgetSet):
                    reached = isinstance(event, sg.BudgetReached)
                    kind = "budget_reached" if reached else "budget_warned"
                    self._notify(record, kind, detail=event.kind)
            case _:
                self._cluster.put(clusters.CLUSTER, clusters.evolve(self.cluster(), record, event))

    def _guarded(self, record: ev.Record, event: gd.GuardEvent) -> None:
        """What a guard did, and what people allowed it."""
        match event:
            case gd.GuardDecided():
                self._decisions.put(record.stream, guards.decided(record, event))
                self._mark(record, event.violations)
                exception = self.exception(event.exception) if event.exception else None
                if exception is not None and guards.uses_up(event):
                    after = guards.used(exception, record, event)
                    self._exceptions.put(exception.id, after)
            case gd.GuardExceptionGranted():
                self._exceptions.put(record.stream, guards.granted(record, event))
            case gd.ProjectPolicyAccepted():
                before = self.project(record.stream)
                self._projects.put(record.stream, guards.accepted(before, record, event))

    def _notify(
        self,
        record: ev.Record,
        kind: str,
        *,
        run: runs.Run | None = None,
        sweep: sweeps.Sweep | None = None,
        detail: str | None = None,
    ) -> None:
        """Something that somebody may want to hear of; of an entry's two, the sweep's is second."""
        follows = kind == "sweep_complete"
        notice = notices.Notice(
            id=f"{record.seq}s" if follows else str(record.seq),
            seq=record.seq,
            ts=record.ts,
            type=kind,
            session=sweep.session if sweep is not None else record.session,
            subject=sweep.id if sweep is not None else record.stream,
            run=None if run is None else run.id,
            sweep=sweep.id if sweep is not None else None if run is None else run.sweep,
            detail=detail,
        )
        self._notices.put(notice.id, notice)

    def _count(self, record: ev.Record, before: runs.Run | None, after: runs.Run) -> None:
        """Move the counters of sweep, session and totals with one run."""
        was = None if before is None else before.status
        left = before.sweep if before is not None else None
        if left is not None and left != after.sweep:
            self._count_in_sweep(record, left, before, None)
            if after.sweep is not None:
                self._count_in_sweep(record, after.sweep, None, after)
        elif after.sweep is not None:
            joined = None if left is None else before
            self._count_in_sweep(record, after.sweep, joined, after)
        if was != after.status:
            session = self.session(after.session)
            if session is not None:
                counted = sessions.counted(session, was, after.status, ts=record.ts)
                self._sessions.put(session.id, counted)
        shown_before = was if before is not None and not before.archived else None
        shown_after: Status | None = None if after.archived else after.status
        if shown_before != shown_after:
            totals = self.totals()
            moved = totals.runs.moved(shown_before, shown_after)
            self._totals.put("all", Totals(runs=moved))

    def _count_in_sweep(
        self, record: ev.Record, key: str, before: runs.Run | None, after: runs.Run | None
    ) -> None:
        """One of a sweep's runs came, changed or left."""
        sweep = self.sweep(key)
        if sweep is None:
            return
        moved = sweeps.with_run(sweep, before, after, ts=record.ts)
        if moved == sweep:
            return
        self._sweeps.put(sweep.id, moved)
        if moved.done and not sweep.done and isinstance(record.event, ev.RunEnded):
            self._notify(record, "sweep_complete", sweep=moved, detail=moved.status)

    def _count_sweep(self, key: str, change: int) -> None:
        session = self.session(key)
        if session is not None:
            self._sessions.put(key, sessions.with_sweeps(session, change))

    def _mark(self, record: ev.Record, violations: tuple[str, ...]) -> None:
        """A request that broke a rule is counted for its session."""
        session = self.session(record.session) if record.session and violations else None
        if session is not None:
            self._sessions.put(session.id, sessions.marked(session))

    def _revoke(self, key: str, record: ev.Record) -> None:
        token = self.token(key)
        if token is not None:
            self._tokens.put(key, tokens.revoked(token, record))

    def _remember_request(self, record: ev.Record) -> None:
        mark = cast("Any", getattr(record.event, "request", None))
        if mark is not None:
            self._requests.put(mark.k, requests.seen(record, mark))
