"""The data directory: taken by one server at a time, and looked at before anything is written.

A directory in which a ledger was kept never silently begins another one: a database that is gone,
or empty, beside keys, tokens or runs is refused, with what to put back. A file that a crash has
torn is either made again (tokens) or named together with its mend (keys).
"""

import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.clock import Clock
from tallystick.config import Settings
from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.errors import ConflictError, CorruptLedgerError, NotFoundError, UnavailableError
from tallystick.ledger import tables as ledger_tables
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Ledger
from tallystick.projections import tables as projection_tables
from tallystick.projections.replay import bring_up_to_date

_log = logging.getLogger(__name__)

LOCK_FILE: Final = "server.lock"
SERVER_FILE: Final = "server.json"
DATABASE_FILE: Final = "tally.db"
KEY_FILE: Final = "ledger.key"
MINT_FILE: Final = "attempt.key"
ADMIN_TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of a file
AGENT_TOKEN_FILE: Final = "agent.token"  # noqa: S105 - the name of a file
RUNS: Final = "runs"
BLOBS: Final = "blobs"

SHORTEST_TOKEN: Final = 32
"""Characters: a token is hashed into the ledger, and a shorter one could be guessed from there."""


def take(data_dir: Path) -> int:
    """Hold the data directory for this process's life; a second server is refused."""
    try:
        durable.make_directory(data_dir)
        data_dir.chmod(0o700)  # one that was there may have been open to others
        durable.make_directory(data_dir / RUNS)
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(data_dir, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise ConflictError(
            f"another server uses the data directory {data_dir}",
            code="data_dir_in_use",
            hint=f"it answers at the address in {data_dir / SERVER_FILE}; stop it first, "
            "or give this one another --data-dir",
        ) from error
    return descriptor


def unusable(data_dir: Path, error: OSError) -> UnavailableError:
    """What the file system said no to, and where to look."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return UnavailableError(
        f"the data directory {data_dir} cannot be used: {error.strerror}: "
        f"{error.filename2 or error.filename or data_dir}",
        code="storage_full" if full else "storage_failed",
        hint="free space on its disk, then start again; nothing needs repair"
        if full
        else f"`tally server doctor --data-dir {data_dir}` says what is wrong with it",
    )


def open_tables(settings: Settings) -> Database:
    """The database, with every table there and every projection of this version.

    Raises `CorruptLedgerError` (`ledger_gone`) when the directory was used with a ledger that the
    database does not hold.
    """
    data_dir = settings.server.data_dir
    traces = traces_of_use(data_dir)
    own = data_dir / DATABASE_FILE if settings.database.url is None else None
    if traces and own is not None and not own.exists():
        raise _gone(data_dir, f"no file {own}", traces)  # before a new one is made in its place
    database = open_database(settings.database_url)
    database.create(ledger_tables.metadata, append_only=ledger_tables.APPEND_ONLY)
    if traces and not _is_begun(database):
        database.close()
        where = str(own) if own is not None else "the database of TALLY_DATABASE_URL"
        raise _gone(data_dir, f"not one entry in {where}", traces)
    database.create(projection_tables.metadata)
    if bring_up_to_date(database):
        _log.warning("the tables were rebuilt from the ledger for this version")
    return database


def load_signer(path: Path, database: Database, clock: Clock) -> Signer:
    """The ledger's key, made with the ledger and never after; its origin is random and its own."""
    begun = _is_begun(database)
    if not begun and not path.exists():
        return Signer.create(path, f"tally.local/{clock.token_bytes(8).hex()}")
    if not path.exists():
        raise NotFoundError(
            f"{path}: expected the key that this ledger was begun with; found no such file",
            code="key_missing",
            hint="put it back from a backup, mode 0600; without it the ledger can be verified and "
            "exported (`tally ledger verify`, `tally ledger export`), and never be continued",
        )
    return Signer.load(path)


def traces_of_use(data_dir: Path) -> list[str]:
    """What only a server that has begun its ledger leaves behind; empty for a new directory.

    A key alone is none: a first start that was cut short leaves one, and is simply repeated.
    """
    names = [name for name in (ADMIN_TOKEN_FILE, AGENT_TOKEN_FILE) if (data_dir / name).exists()]
    runs = data_dir / RUNS
    if runs.is_dir() and any(runs.iterdir()):
        names.append(f"{RUNS}/")
    return names


def read_token(path: Path) -> str | None:
    """The token in a file; None when there is none, or none that a server has written whole."""
    try:
        content = durable.read_private(path)
    except FileNotFoundError:
        return None
    text = content.decode("ascii", "replace").strip()
    if len(text) >= SHORTEST_TOKEN and text.isascii() and text.isprintable() and " " not in text:
        return text
    _log.warning("%s is damaged: it is written anew, with a new token", path)
    return None


def _is_begun(database: Database) -> bool:
    """Whether a ledger is there, or what is left of one."""
    with database.read() as tx:
        return bool(Ledger.read(tx, limit=1)) or Ledger.checkpoint(tx) is not None


def _gone(data_dir: Path, found: str, traces: list[str]) -> CorruptLedgerError:
    expected = f"the ledger that {data_dir} was used with"
    return CorruptLedgerError(
        f"expected {expected}; found {found}, beside {', '.join(traces)}",
        code="ledger_gone",
        hint="put tally.db back from the newest backup, or name the database that holds the "
        "ledger; a new ledger is never begun among the keys and runs of another one",
        next_actions=(
            f"cp BACKUP/tally.db {data_dir}/",
            f"or, to begin a new one: mv {data_dir} {data_dir}.old",
        ),
        expected=expected,
        found=found,
    )
