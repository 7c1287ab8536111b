"""Checks of the ledger: its head, its tables, its times, and the runs that it says are active."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Final

from tallystick.control.data_dir import KEY_FILE
from tallystick.control.verified import VerifiedLedger
from tallystick.db.database import Transaction
from tallystick.db.open import open_database
from tallystick.db.reading import SqliteReading
from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.doctor.place import Place
from tallystick.errors import CorruptLedgerError, TallystickError
from tallystick.execution.rundir import is_held
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Entry, Ledger
from tallystick.ledger.tiles import entry_count
from tallystick.projections import attempts, runs, standing, sweeps, tables

LOOKED_AT: Final = 256
"""Newest entries that times and tables are compared with."""

TOLERATED_MS: Final = 60_000
"""By how much two clocks may differ before it is worth a word."""

MOST_DIRECTORIES: Final = 1_000
"""Run directories that are looked up in the ledger."""


@contextmanager
def reading(place: Place) -> Iterator[Transaction]:
    """One moment of the database, wherever it lies; changes nothing."""
    if place.database_file is not None:
        with SqliteReading(place.database_file).read() as tx:
            yield tx
        return
    database = open_database(place.settings.database_url)
    try:
        with database.read() as tx:
            yield tx
    finally:
        database.close()


def examine(place: Place) -> list[Finding]:
    """Everything that is asked of the database, from one moment of it."""
    if place.database_file is not None and not place.database_file.exists():
        return []  # told by the check of the file
    try:
        with reading(place) as tx:
            size = entry_count(tx)
            newest = Ledger.read(tx, after=size - 1 - LOOKED_AT, limit=LOOKED_AT)
            found = [head(place, tx), projections(tx, newest), clock(place, newest)]
            return [*found, supervisors(place, tx), orphans(place, tx)]
    except CorruptLedgerError as error:
        return [fail("ledger", error.detail, _RESTORE)]
    except TallystickError as error:
        return [fail("ledger", f"not looked at: {error.detail}", error.hint or _VERIFY)]


_VERIFY: Final = "tally ledger verify   (names the first bad entry or row)"
_RESTORE: Final = f"{_VERIFY}, then restore a backup: docs/howto/trouble.md"


def head(place: Place, tx: Transaction) -> Finding:
    """The stored tree is what the newest checkpoint signed, with the key that is here."""
    name = "ledger"
    try:
        ledger = VerifiedLedger(Signer.load(place.data_dir / KEY_FILE))
    except TallystickError:
        return warn(name, "not compared with its checkpoint: the key cannot be read", _VERIFY)
    try:
        ledger.load(tx)
    except CorruptLedgerError as error:
        return fail(name, error.detail, error.hint or _RESTORE)
    return ok(name, f"{ledger.size} entries of {ledger.origin}, as the newest checkpoint signed")


def projections(tx: Transaction, newest: list[Entry]) -> Finding:
    """The tables are of this version, and as new as the newest entries."""
    name, version = "tables", standing.version(tx)
    if version is None and not newest:
        return ok(name, "nothing is recorded yet")
    if version != tables.VERSION:
        return warn(
            name, f"version {version}, this program has {tables.VERSION}", "tally up   (rebuilds)"
        )
    last = {entry.stream: entry.seq for entry in newest if entry.stream.startswith("run_")}
    rows: dict[str, int] = {run.id: run.changed_seq for run in runs.many(tx, list(last))}
    behind = [stream for stream, seq in last.items() if rows.get(stream) != seq]
    if behind:
        return fail(
            name, f"{len(behind)} rows do not follow the ledger, for example {behind[0]}", _RESTORE
        )
    return ok(name, f"version {version}, as new as the newest entries")


def clock(place: Place, newest: list[Entry]) -> Finding:
    """No entry is from the future, and times went forwards lately."""
    name, mend = "clock", "timedatectl   (entries keep their order; only their times are odd)"
    latest = max((entry.ts for entry in newest), default=0)
    if latest > place.now_ms + TOLERATED_MS:
        ahead = _span(latest - place.now_ms)
        return warn(name, f"an entry is {ahead} from the future: a clock was wrong", mend)
    for before, after in pairwise(newest):
        if after.ts < before.ts - TOLERATED_MS:
            back = _span(before.ts - after.ts)
            return warn(name, f"went back by {back} before entry {after.seq}", mend)
    now = datetime.fromtimestamp(place.now_ms / 1000, tz=UTC)
    return ok(name, f"{now:%Y-%m-%d %H:%M:%S} UTC, after every entry")


def supervisors(place: Place, tx: Transaction) -> Finding:
    """Every attempt that counts as active has somebody beside it."""
    active = attempts.active(tx)
    alone = [a for a in active if not is_held(place.runs_dir / a.run / a.id)]
    said = f"{len(active)} active, {len(active) - len(alone)} with a supervisor"
    if alone and not place.is_served():
        return warn(
            "supervisors", f"{said}; {alone[0].run} has none", "tally up   (finds out how it ended)"
        )
    return ok("supervisors", said)


def orphans(place: Place, tx: Transaction) -> Finding:
    """Every directory of a run, or of a plan's secrets, belongs to one of this ledger."""
    name = "run directories"
    try:
        there = list(islice((item.name for item in place.runs_dir.iterdir()), MOST_DIRECTORIES))
    except OSError:
        return ok(name, "none yet")
    known: set[str] = set()
    for start in range(0, len(there), 500):
        some = there[start : start + 500]
        known |= {run.id for run in runs.many(tx, some)}
        known |= {sweep.id for sweep in sweeps.many(tx, some)}
    strange = sorted(set(there) - known)
    if strange:
        return warn(
            name,
            f"{len(strange)} of no run in this ledger, for example {strange[0]}",
            f"look into {place.runs_dir / strange[0]} (an older backup was restored?), then move "
            "it away",
        )
    return ok(name, f"{len(there)}{'+' if len(there) == MOST_DIRECTORIES else ''}, all known")


def _span(milliseconds: int) -> str:
    """A distance in time, in its largest unit."""
    seconds = milliseconds // 1000
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
