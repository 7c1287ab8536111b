"""The road from command to tables without a network: for tests of rules, ledger and projections."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tallystick.clock import Clock
from tallystick.control.commands import CommandHandler, Committed
from tallystick.control.texts import Texts
from tallystick.control.vault import Vault
from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.domain.commands import OpenLedger
from tallystick.domain.ids import SYSTEM, Actor, Role, TokenId
from tallystick.ledger import tables as ledger_tables
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Ledger
from tallystick.projections import tables as projection_tables
from tallystick.projections.replay import bring_up_to_date
from tallystick.testing.clock import ManualClock

AGENT = Actor(TokenId("tok_0123456789ab"), Role.AGENT)
PERSON = Actor(TokenId("tok_ba9876543210"), Role.ADMINISTRATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """A database, its ledger and the handler over them."""

    database: Database
    ledger: Ledger
    handler: CommandHandler
    clock: Clock
    commits: list[Committed]

    def texts(self) -> Texts:
        """A collector for one command."""
        return Texts(self.clock)


@contextmanager
def spine(
    directory: Path, *, url: str | None = None, clock: Clock | None = None
) -> Iterator[Spine]:
    """A running spine in `directory`, on SQLite or on the database at `url`."""
    used_clock = clock or ManualClock()
    database = open_database(url or f"sqlite:///{directory / 'tally.db'}")
    database.create(ledger_tables.metadata, append_only=[ledger_tables.entries])
    database.create(projection_tables.metadata)
    bring_up_to_date(database)
    key = directory / "ledger.key"
    signer = (
        Signer.load(key) if key.exists() else Signer.create(key, "tally.local/0123456789abcdef")
    )
    ledger = Ledger(signer)
    commits: list[Committed] = []
    handler = CommandHandler(
        database, ledger, used_clock, vault=Vault(directory / "runs"), on_commit=commits.append
    )
    handler.start()
    if ledger.size == 0:
        handler.handle(OpenLedger(origin=ledger.origin, vkey=ledger.vkey), by=SYSTEM)
    try:
        yield Spine(
            database=database, ledger=ledger, handler=handler, clock=used_clock, commits=commits
        )
    finally:
        handler.close()
        database.close()
