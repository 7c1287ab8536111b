"""The road from command to tables over a database that can be made to fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tallystick.control.commands import Accepted, CommandHandler, Committed
from tallystick.control.texts import Texts
from tallystick.control.vault import Vault
from tallystick.db.open import open_database
from tallystick.domain import commands as cm
from tallystick.domain.events import MintedToken
from tallystick.domain.ids import Actor, AttemptId, RunId, SweepId, TokenId
from tallystick.domain.run import Run
from tallystick.errors import TallystickError
from tallystick.ledger.entry import Entry
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Ledger
from tallystick.projections import runs
from tallystick.projections.replay import entries_of
from tallystick.testing.clock import ManualClock
from tallystick.testing.faults import FaultyDatabase
from tallystick.testing.spine import AGENT, PERSON, spine


@dataclass(kw_only=True)
class Road:
    """Everything that a command meets; `handler.start` is the test's to call unless started."""

    directory: Path
    database: FaultyDatabase
    ledger: Ledger
    handler: CommandHandler
    clock: ManualClock
    vault: Vault
    commits: list[Committed] = field(default_factory=list)

    def texts(self) -> Texts:
        return Texts(self.clock)

    def handle(self, command: cm.Command, *, by: Actor = AGENT, texts: Any = None) -> Accepted:
        return self.handler.handle(command, by=by, texts=texts)

    def sweep(self, **changes: Any) -> SweepId:
        texts = self.texts()
        known: dict[str, Any] = {"name": texts.add("s"), "session": "chat-1"}
        command = cm.CreateSweep(sweep=SweepId(self.clock.new_id("swp")), **{**known, **changes})
        return SweepId(self.handle(command, texts=texts).subject)

    def registration(self, texts: Texts, **changes: Any) -> cm.RegisterRun:
        known: dict[str, Any] = {
            "run": RunId(self.clock.new_id("run")),
            "name": texts.add(changes.pop("name", "n")),
            "command": texts.add(changes.pop("command", "true")),
            "workdir": texts.add(changes.pop("workdir", "/tmp")),
            "session": "chat-1",
        }
        return cm.RegisterRun(**{**known, **changes})

    def run(self, sweep: SweepId, **changes: Any) -> RunId:
        texts = self.texts()
        command = self.registration(texts, sweep=sweep, **changes)
        return RunId(self.handle(command, texts=texts).subject)

    def assign(self, run: RunId) -> AttemptId:
        number = self.clock.new_id("att")
        self.handle(assignment(run, AttemptId(number)), by=PERSON)
        return AttemptId(number)

    def state(self, run: str) -> Run:
        with self.database.read() as tx:
            found = runs.get(tx, run)
        assert found is not None
        return found

    def entries(self) -> list[Entry]:
        with self.database.read() as tx:
            return list(entries_of(tx))

    def types(self) -> list[str]:
        return [entry.type for entry in self.entries()]


def assignment(run: RunId, attempt: AttemptId) -> cm.AssignAttempt:
    digits = attempt[4:]
    return cm.AssignAttempt(
        run=run,
        attempt=attempt,
        backend="fake",
        run_token=minted("a" + digits[1:]),
        supervisor_token=minted("b" + digits[1:]),
    )


def minted(digits: str) -> MintedToken:
    return MintedToken(token=TokenId(f"tok_{digits}"), sha256=digits * 5 + "0000")


@contextmanager
def open_road(
    directory: Path, *, started: bool = True, clock: ManualClock | None = None
) -> Iterator[Road]:
    """A road in `directory`, whose ledger is open."""
    used = clock or ManualClock()
    if not (directory / "tally.db").exists():
        with spine(directory, clock=used):
            pass
    database = FaultyDatabase(open_database(f"sqlite:///{directory / 'tally.db'}"))
    ledger = Ledger(Signer.load(directory / "ledger.key"))
    commits: list[Committed] = []
    vault = Vault(directory / "runs")
    handler = CommandHandler(database, ledger, used, vault=vault, on_commit=commits.append)
    if started:
        handler.start()
    try:
        yield Road(
            directory=directory,
            database=database,
            ledger=ledger,
            handler=handler,
            clock=used,
            vault=vault,
            commits=commits,
        )
    finally:
        handler.close()
        database.close()


def error_of(future: Any) -> TallystickError:
    error = future.exception(timeout=30)
    assert isinstance(error, TallystickError), error
    return error
