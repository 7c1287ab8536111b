"""The one road in: every change of state is a command that this handler decides and commits.

One thread owns the write side. It takes every command that waits, decides each against the state
left by the one before, and commits them together, so that one fsync serves many callers. A refused
command touches nothing; a caller is answered only after the commit. When a group fails, its
commands are tried again one by one, so that one bad command cannot take others with it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from tallystick.clock import Clock
from tallystick.control import facts
from tallystick.control.redaction import marks_in, missing_marks
from tallystick.control.texts import Texts
from tallystick.control.vault import Vault
from tallystick.db.database import Database, Transaction
from tallystick.domain.alert import Alert
from tallystick.domain.cluster import Cluster
from tallystick.domain.codec import encode
from tallystick.domain.commands import Command, CreateSweep, EditRun, EditSweep, RegisterRun
from tallystick.domain.events import Record, RunMoved
from tallystick.domain.ids import Actor, RunId, Text
from tallystick.domain.policy import Policy
from tallystick.domain.request import SeenRequest
from tallystick.domain.run import Run
from tallystick.domain.sweep import Sweep
from tallystick.domain.token import Token
from tallystick.errors import (
    CorruptLedgerError,
    InvalidError,
    TallystickError,
    UnavailableError,
)
from tallystick.ledger.ledger import Appended, Draft, Ledger, Payload
from tallystick.projections.world import World
from tallystick.wire.views import Receipt

_log = logging.getLogger(__name__)

MAX_GROUP = 256
"""Commands committed together: enough to amortise an fsync, few enough to answer soon."""

MOST_TRIES = 8
"""Another writer that is always faster ends in an answer, not in a loop."""

CROWD = 4
"""Commands in the group before; so many callers at a time are likely to come back at once."""

CROWD_SECONDS = 0.002
"""How long the writer then waits for the rest of them: one commit for all costs less than two, and
the threads of one interpreter work better in turn than against each other."""

MAX_WAITING = 10_000
"""Commands in line before callers are told to come back: bounds memory, not throughput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a command led to, after the commit."""

    subject: str
    """Id of what the command is about; of the original when the request was a repeat."""
    records: tuple[Record, ...] = ()
    """The new entries; none when everything was so already."""
    receipt: Receipt | None = None
    """Of the first new entry of the subject, or of the original; None when nothing changed."""
    replayed: bool = False
    run: Run | None = None
    sweep: Sweep | None = None
    token: Token | None = None
    alert: Alert | None = None
    policy: Policy
    cluster: Cluster


@dataclass(slots=True)
class _Pending:
    """A command in line, and what has come of it so far."""

    command: Command
    by: Actor
    texts: Texts | None
    future: Future[Accepted]
    records: list[Record] = field(default_factory=list)
    repeat: SeenRequest | None = None
    refusal: Exception | None = None
    tries: int = 0
    """Commits of it that seemed to fail."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit moved, for those who wait."""

    position: int
    """Sequence number of the newest entry."""
    touched: tuple[tuple[str, int], ...]
    """Streams, and the sweeps of runs, with the entry that moved them."""
    types: frozenset[str]


class CommandHandler:
    """Decides and commits commands; `submit` never blocks, `handle` waits for the answer."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        *,
        vault: Vault,
        on_commit: Callable[[Committed], None],
    ) -> None:
        """Nothing runs before `start`; `on_commit` is called on the writer's thread."""
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._vault = vault
        self._on_commit = on_commit
        self._world = World()
        self._line: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._broken: TallystickError | None = None
        self._door = threading.Lock()
        self._closed = False  # guarded by _door
        self._serving: list[_Pending] = []
        self._thread = threading.Thread(target=self._run, name="tally-writer", daemon=True)

    @property
    def broken(self) -> TallystickError | None:
        """Why nothing can be written any more; None when all is well."""
        return self._broken

    def start(self) -> None:
        """Load the ledger's head and begin; a ledger that does not verify is never written to."""
        try:
            with self._database.read() as tx:
                self._ledger.load(tx)
        except CorruptLedgerError as error:
            self._stop_writing(error)
        self._thread.start()

    def close(self) -> None:
        """Commit what waits, then end the thread; what is submitted later is refused."""
        with self._door:
            self._closed = True
        if self._thread.is_alive():
            self._line.put(None)
            self._thread.join()
        while not self._line.empty():  # only when it was never started
            pending = self._line.get_nowait()
            if pending is not None:
                pending.future.set_exception(_closing())

    def submit(
        self, command: Command, *, by: Actor, texts: Texts | None = None
    ) -> Future[Accepted]:
        """Put a command in line; the future raises the refusal. Any thread may call."""
        future: Future[Accepted] = Future()
        if self._broken is not None:
            future.set_exception(self._broken)
            return future
        with self._door:  # nothing gets in line behind the mark of the end
            if self._closed:
                future.set_exception(_closing())
                return future
            if self._line.qsize() < MAX_WAITING:
                self._line.put(_Pending(command, by, texts, future))
            else:
                future.set_exception(
                    UnavailableError("too many commands are waiting; try again", code="overloaded")
                )
        return future

    def handle(self, command: Command, *, by: Actor, texts: Texts | None = None) -> Accepted:
        """Submit and wait; never called on the event loop."""
        return self.submit(command, by=by, texts=texts).result()

    def _run(self) -> None:
        """The writer's thread; whatever ends it before its time is said to everybody."""
        try:
            self._serve()
        finally:
            with self._door:
                if not self._closed and self._broken is None:
                    self._broken = _dead()
            if self._broken is not None:
                self._drain(self._broken)

    def _drain(self, error: TallystickError) -> None:
        """Answer those that nobody will serve."""
        _refuse([member for member in self._serving if not member.future.done()], error)
        while not self._line.empty():
            pending = self._line.get_nowait()
            if pending is not None and pending.future.set_running_or_notify_cancel():
                pending.future.set_exception(error)

    def _serve(self) -> None:
        """Groups in, answers out, until the mark of the end."""
        while True:
            pending = self._line.get()
            if pending is None:
                return
            if len(self._serving) >= CROWD:
                self._clock.sleep(CROWD_SECONDS)
            waiting, last = self._gather(pending)
            # A caller that has gone away by now wants nothing; from here on none can.
            group = [one for one in waiting if one.future.set_running_or_notify_cancel()]
            if group:
                self._serving = group
                self._commit(group)
            if last:
                return

    def _gather(self, first: _Pending) -> tuple[list[_Pending], bool]:
        """Everything that waits by now, and whether the end was among it."""
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                pending = self._line.get_nowait()
            except queue.Empty:
                break
            if pending is None:
                return group, True
            group.append(pending)
        return group, False

    def _commit(self, group: Sequence[_Pending]) -> None:
        """One transaction for the group; on failure, one for each of its commands."""
        if self._broken is not None:
            _refuse(group, self._broken)
            return
        try:
            accepted = self._write(group)
        except Exception as error:  # noqa: BLE001 - the writer outlives a bug; its caller hears
            if not isinstance(error, TallystickError):
                _log.exception("a group of %d commands failed unexpectedly", len(group))
            self._world.forget()
            self._recover(group, error)
            return
        for member, answer in zip(group, accepted, strict=True):
            if member.refusal is not None:
                member.future.set_exception(member.refusal)
            elif answer is not None:
                member.future.set_result(answer)

    def _recover(self, group: Sequence[_Pending], error: Exception) -> None:
        """After a failed group: see whether it was applied all the same, then answer or retry.

        A group is tried again, command by command, when the ledger has moved (another server, or
        a commit that only seemed to fail) and when one of its commands may be the reason. When
        the database is out of reach, everybody hears so at once.
        """
        if isinstance(error, CorruptLedgerError):
            self._stop_writing(error)
        moved = self._broken is None and self._caught_up()
        passing = isinstance(error, UnavailableError | CorruptLedgerError)
        if not moved and (passing or len(group) == 1):
            _refuse(group, self._broken or error)
            return
        for member in group:
            member.records, member.repeat, member.refusal = [], None, None
            member.tries += 1
            if member.tries > MOST_TRIES:
                _refuse([member], _contended())
            else:
                self._commit([member])

    def _caught_up(self) -> bool:
        """Load the ledger's head again; whether it is not the one that was left."""
        left = self._ledger.size
        try:
            with self._database.read() as tx:
                self._ledger.load(tx)
        except CorruptLedgerError as error:
            self._stop_writing(error)
            return False
        except TallystickError:
            return False
        return self._ledger.size != left

    def _stop_writing(self, error: CorruptLedgerError) -> None:
        """From now on every command is refused; reading goes on."""
        _log.critical("the ledger does not verify; nothing more will be written: %s", error)
        self._broken = error

    def _write(self, group: Sequence[_Pending]) -> list[Accepted | None]:
        """Decide, append, move the tables, commit; then tell those who wait."""
        world, ledger = self._world, self._ledger
        now = self._clock.now()
        with self._database.write() as tx:
            world.tx = tx
            try:
                records = self._decide_all(group, now)
                appended = ledger.append(tx, _drafts(records), _payloads(group))
                world.flush(tx)
                accepted = [self._answer(tx, member, appended) for member in group]
                touched = self._touched(records)
            finally:
                world.tx = None
        ledger.adopt(appended)
        world.settle()
        if records:
            types = frozenset(record.event.type for record in records)
            self._on_commit(Committed(records[-1].seq, touched, types))
        return accepted

    def _decide_all(self, group: Sequence[_Pending], now: int) -> list[Record]:
        """Each command against the state that the one before has left."""
        world = self._world
        records: list[Record] = []
        for member in group:
            try:
                member.repeat = facts.repeated(world, member.command, again=member.tries > 0)
                found = (
                    []
                    if member.repeat is not None
                    else facts.decide(world, member.command, by=member.by, now=now)
                )
                if found:
                    self._keep_secrets(member)
            except TallystickError as error:
                member.refusal = error
                continue
            for fact in found:
                record = Record(
                    seq=self._ledger.size + len(records),
                    ts=now,
                    stream=fact.stream,
                    session=fact.session,
                    actor=member.by.token,
                    role=member.by.role,
                    event=fact.event,
                )
                world.apply(record)
                records.append(record)
                member.records.append(record)
        return records

    def _keep_secrets(self, member: _Pending) -> None:
        """Secrets are stored before the entry that mentions their marks.

        A rerun inherits those of the texts that it takes over unchanged, and of no others; a mark
        in a text of the caller's own stands for a secret that the caller does not have.
        """
        command = member.command
        if isinstance(command, CreateSweep | EditSweep):
            if command.plan is not None and member.texts is not None:
                plan, texts = command.plan, member.texts
                for text in (plan.command, plan.workdir, plan.environment):
                    known = texts.known.get(text.c, "") if text is not None else ""
                    if foreign := missing_marks(known, texts.secrets):
                        raise _foreign_mark(foreign[0])
                self._vault.keep(command.sweep, texts.secrets)
            return
        if not isinstance(command, RegisterRun | EditRun):
            return
        own = member.texts.known if member.texts is not None else {}
        secrets = dict(member.texts.secrets) if member.texts is not None else {}
        inherited = []
        for text in _launch_texts(command):
            if text.c not in own:
                inherited.append(text.c)
            elif foreign := missing_marks(own[text.c], secrets):
                raise _foreign_mark(foreign[0])
        if isinstance(command, RegisterRun) and command.parent is not None and inherited:
            secrets |= self._inherited(command.parent, inherited)
        self._vault.keep(command.run, secrets)

    def _inherited(self, parent: RunId, commitments: Sequence[str]) -> dict[str, str]:
        """The secrets of a parent's texts, by the marks in them."""
        known = self._world.run(parent)
        kept = {} if known is None else self._vault.of(known)
        if not kept or self._world.tx is None:
            return {}
        found = self._ledger.texts(self._world.tx, commitments)
        marks = {mark for text in found.values() for mark in marks_in(text.decode())}
        return {mark: value for mark, value in kept.items() if mark in marks}

    def _answer(self, tx: Transaction, member: _Pending, appended: Appended) -> Accepted | None:
        """What the caller will hear once the commit has succeeded."""
        if member.refusal is not None:
            return None
        subject = facts.subject_of(member.command)
        receipt = None
        if member.repeat is not None:
            subject = member.repeat.subject
            receipt = self._receipt_of(tx, member.repeat.seq)
        elif member.records:
            own = [record for record in member.records if record.stream == subject]
            seq = (own or member.records)[0].seq
            leaf = appended.entries[seq - self._ledger.size].leaf_hash
            receipt = Receipt(seq=seq, leaf_hash=leaf.hex(), checkpoint=appended.checkpoint)
        world = self._world
        return Accepted(
            subject=subject,
            records=tuple(member.records),
            receipt=receipt,
            replayed=member.repeat is not None,
            run=world.run(subject) if subject.startswith("run_") else None,
            sweep=world.sweep(subject) if subject.startswith("swp_") else None,
            token=world.token(subject) if subject.startswith("tok_") else None,
            alert=world.alert(subject) if subject.startswith("alr_") else None,
            policy=world.policy(),
            cluster=world.cluster(),
        )

    def _receipt_of(self, tx: Transaction, seq: int) -> Receipt | None:
        """The receipt of an entry that is in the ledger, under its newest checkpoint."""
        entries = self._ledger.read(tx, after=seq - 1, limit=1)
        note = self._ledger.checkpoint(tx)
        if not entries or note is None:
            return None
        return Receipt(seq=seq, leaf_hash=entries[0].leaf_hash.hex(), checkpoint=note)

    def _touched(self, records: Sequence[Record]) -> tuple[tuple[str, int], ...]:
        """Every stream that moved, and the sweep of every run that moved."""
        touched: dict[str, int] = {}
        for record in records:
            touched[record.stream] = record.seq
            run = self._world.run(record.stream) if record.stream.startswith("run_") else None
            if run is not None and run.sweep is not None:
                touched[run.sweep] = record.seq
            if isinstance(record.event, RunMoved) and record.event.old_sweep is not None:
                touched[record.event.old_sweep] = record.seq
        return tuple(touched.items())


def _closing() -> UnavailableError:
    return UnavailableError("the server is stopping; try again", code="closing")


def _dead() -> UnavailableError:
    return UnavailableError(
        "the thread that writes has ended; nothing more can be written, reading goes on",
        code="writer_dead",
        hint="restart the server: runs go on meanwhile, and what is in the ledger stays",
    )


def _contended() -> UnavailableError:
    return UnavailableError(
        "another server writes to this ledger all the time; try again", code="ledger_contended"
    )


def _refuse(group: Sequence[_Pending], error: Exception) -> None:
    """Give everybody in the group the same answer."""
    for member in group:
        member.future.set_exception(error)


def _launch_texts(command: RegisterRun | EditRun) -> list[Text]:
    """The texts that a launch puts the secrets back into."""
    environment = command.environment if isinstance(command, RegisterRun) else None
    texts = (command.command, command.workdir, environment)
    return [text for text in texts if text is not None]


def _foreign_mark(mark: str) -> InvalidError:
    return InvalidError(
        f"{mark} stands for a secret that was cut out of another request; it is not at hand here",
        code="secret_mark",
        hint="send the secret itself, best as a variable in env: it is cut out again",
    )


def _drafts(records: Sequence[Record]) -> list[Draft]:
    """Records as the ledger takes them."""
    return [
        Draft(
            ts=record.ts,
            type=record.event.type,
            stream=record.stream,
            actor_token=record.actor,
            actor_role=record.role.value,
            session=record.session,
            data=encode(record.event),
        )
        for record in records
    ]


def _payloads(group: Sequence[_Pending]) -> list[Payload]:
    """The texts of every command that changed something."""
    return [
        payload
        for member in group
        if member.records and member.texts is not None
        for payload in member.texts.payloads
    ]
