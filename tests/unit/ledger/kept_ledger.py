"""A ledger in a SQLite file, and the drafts that the tests append to it."""

from dataclasses import dataclass
from pathlib import Path

from tallystick.db.database import Database
from tallystick.db.sqlite import SqliteDatabase
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Appended, Draft, Ledger
from tallystick.ledger.tables import APPEND_ONLY, metadata

SEED = bytes(range(32))
START = 1_700_000_000_000


def draft(
    number: int, *, stream: str = "run_00000000000b", session: str | None = "chat-42"
) -> Draft:
    return Draft(
        ts=START + number,
        type="run.queued",
        stream=stream,
        actor_token="tok_0123456789ab",
        actor_role="agent",
        session=session,
        data={"number": number},
    )


@dataclass
class Kept:
    """A ledger, its database, and every append adopted at once."""

    db: Database
    ledger: Ledger

    def append(self, *drafts: Draft) -> Appended:
        with self.db.write() as tx:
            appended = self.ledger.append(tx, drafts)
        self.ledger.adopt(appended)
        return appended

    def grow(self, size: int, *, group: int = 97) -> None:
        """Append plain drafts in uneven groups until there are `size` entries."""
        while self.ledger.size < size:
            first = self.ledger.size
            end = min(size, first + 1 + first % group)
            self.append(*(draft(number) for number in range(first, end)))

    def reopened(self) -> Ledger:
        ledger = Ledger(Signer("tally.example/log", SEED))
        with self.db.read() as tx:
            ledger.load(tx)
        return ledger


def open_kept(path: Path) -> Kept:
    db = SqliteDatabase(path)
    db.create(metadata, append_only=APPEND_ONLY)
    return Kept(db, Ledger(Signer("tally.example/log", SEED)))
