"""The states that commands are decided against: in memory, loaded by key, moved by entries.

One `World` belongs to one thread. `apply` is the only definition of how a fact changes the tables:
the writer uses it live, a rebuild replays the ledger through it. Changes wait in memory until
`flush`; after a failed commit `forget` drops everything that was not read from the database.
"""

from collections import OrderedDict
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain import attempt as attempts
from tallystick.domain import events as ev
from tallystick.domain import policy as policies
from tallystick.domain import protocol as protocols
from tallystick.domain import request as requests
from tallystick.domain import run as runs
from tallystick.domain import session as sessions
from tallystick.domain import sweep as sweeps
from tallystick.domain import token as tokens
from tallystick.domain.status import Status, Totals
from tallystick.projections import tables
from tallystick.projections.rows import Shape

S = TypeVar("S")

CAPACITY = 4096
"""States kept of each kind: more than any group touches, and a few megabytes at most."""


class Shelf(Generic[S]):
    """The states of one kind, by id: those read lately, and those changed since the last flush."""

    def __init__(self, shape: Shape[S], capacity: int) -> None:
        """Nothing is loaded yet; `capacity` bounds what is kept between commits."""
        self._shape = shape
        self._capacity = capacity
        self._clean: OrderedDict[str, S] = OrderedDict()
        self._dirty: dict[str, S] = {}

    def get(self, tx: Transaction | None, key: str) -> S | None:
        """A state, from memory or from its row; None when there is none."""
        state = self._dirty.get(key)
        if state is None and (state := self._clean.get(key)) is not None:
            self._clean.move_to_end(key)
        if state is not None or tx is None:
            return state
        table = self._shape.table
        rows = tx.fetch(select(table).where(table.c.id == key))
        if not rows:
            return None
        loaded = self._shape.load(rows[0])
        self._clean[key] = loaded
        return loaded

    def get_or(self, tx: Transaction | None, key: str, default: S) -> S:
        """A state that counts as `default` until an entry moves it."""
        state = self.get(tx, key)
        if state is None:
            state = self._clean[key] = default
        return state

    def put(self, key: str, state: S) -> None:
        """The state after a fact."""
        self._dirty[key] = state

    def flush(self, tx: Transaction) -> None:
        """Write what changed, in one statement."""
        if self._dirty:
            dump = self._shape.dump
            tx.upsert(self._shape.table, [dump(state) for state in self._dirty.values()])

    def settle(self) -> None:
        """The commit succeeded: what was changed is now what is stored."""
        for key, state in self._dirty.items():
            self._clean[key] = state
            self._clean.move_to_end(key)
        self._dirty.clear()
        while len(self._clean) > self._capacity:
            self._clean.popitem(last=False)

    def forget(self) -> None:
        """The commit failed, or another server wrote: trust nothing in memory."""
        self._clean.clear()
        self._dirty.clear()


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
        self._publications = Shelf(tables.publications, capacity)

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
            self._publications,
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

    def publication(self, key: str) -> protocols.Publication | None:
        """The newest digest of a protocol text."""
        return self._publications.get(self.tx, key)

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
        elif isinstance(event, ev.SweepCreated):
            self._sweep_created(record, event)
        elif isinstance(event, ev.SweepAttributed):
            self._sweep_attributed(record, event)
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
        self._count(run, None, ts=record.ts)
        self._mark(record, event.violations)

    def _run_moved(self, record: ev.Record, event: runs.RunEvent) -> None:
        """A later entry of a run's stream, for the run and for its attempt."""
        before = self.run(record.stream)
        if before is None:
            return
        after = runs.evolve(before, record, event)
        self._runs.put(after.id, after)
        self._count(after, before, ts=record.ts)
        if isinstance(event, ev.AttemptAssigned):
            self._attempts.put(event.attempt, attempts.assigned(record, event))
            for token in tokens.minted(record, event):
                self._tokens.put(token.id, token)
        elif isinstance(event, attempts.AttemptEvent):
            self._attempt_moved(record, event)

    def _attempt_moved(self, record: ev.Record, event: attempts.AttemptEvent) -> None:
        """The attempt that an entry names; a run that ends without one has none."""
        attempt = self.attempt(event.attempt) if event.attempt is not None else None
        if attempt is None:
            return
        self._attempts.put(attempt.id, attempts.evolve(attempt, record, event))
        if isinstance(event, ev.RunEnded):
            self._revoke(attempt.run_token, record)

    def _sweep_created(self, record: ev.Record, event: ev.SweepCreated) -> None:
        """A new sweep counts in its session."""
        sweep = sweeps.created(record, event)
        self._sweeps.put(sweep.id, sweep)
        self._count_sweep(sweep.session, 1)
        self._mark(record, event.violations)

    def _sweep_attributed(self, record: ev.Record, event: ev.SweepAttributed) -> None:
        """A sweep moves from the unattributed to its real session."""
        sweep = self.sweep(record.stream)
        if sweep is None:
            return
        self._count_sweep(sweep.session, -1)
        self._count_sweep(event.session, 1)
        self._sweeps.put(sweep.id, sweeps.attributed(sweep, event))

    def _count(self, after: runs.Run, before: runs.Run | None, *, ts: int) -> None:
        """Move the counters of sweep, session and totals with one run."""
        was = None if before is None else before.status
        if was != after.status:
            sweep = self.sweep(after.sweep) if after.sweep else None
            if sweep is not None:
                self._sweeps.put(sweep.id, sweeps.moved(sweep, was, after.status, ts=ts))
            session = self.session(after.session)
            if session is not None:
                counted = sessions.counted(session, was, after.status)
                self._sessions.put(session.id, counted)
        shown_before = was if before is not None and not before.archived else None
        shown_after: Status | None = None if after.archived else after.status
        if shown_before != shown_after:
            totals = self.totals()
            moved = totals.runs.moved(shown_before, shown_after)
            self._totals.put("all", Totals(runs=moved))

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
