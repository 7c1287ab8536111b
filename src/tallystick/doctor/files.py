"""Checks of the directory and the files in it: there, private, whole, and nothing left over."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from tallystick.control.credentials import KEY_BYTES
from tallystick.control.data_dir import (
    ADMIN_TOKEN_FILE,
    AGENT_TOKEN_FILE,
    DATABASE_FILE,
    KEY_FILE,
    LOCK_FILE,
    MINT_FILE,
    SHORTEST_TOKEN,
)
from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.doctor.place import Place
from tallystick.errors import TallystickError
from tallystick.ledger.keys import Signer

PRIVATE: Final = (
    KEY_FILE,
    MINT_FILE,
    ADMIN_TOKEN_FILE,
    AGENT_TOKEN_FILE,
    LOCK_FILE,
    DATABASE_FILE,
    f"{DATABASE_FILE}-wal",
    f"{DATABASE_FILE}-shm",
)
"""What nobody else may read."""

MOST_NAMES: Final = 5_000
"""Names looked at for leftovers: the answer must come soon, and a few examples are enough."""

Check = Callable[[Place], Finding]

_SCRATCH = re.compile(r"\..+\.[0-9]+\.[0-9]+")  # what `durable.write` leaves when it is killed


def directory(place: Place) -> Finding:
    """There, ours, private, and writable."""
    path, name = place.data_dir, "directory"
    if not path.exists():
        return warn(name, f"{path} is not there yet", f"tally up --data-dir {path}   (makes it)")
    if not path.is_dir():
        return fail(name, f"{path} is no directory", f"mv {path} {path}.old")
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        return fail(
            name,
            f"{path} belongs to user {status.st_uid}, this is user {os.geteuid()}",
            f"sudo chown -R {os.geteuid()} {path}",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        return fail(name, f"{path} cannot be written", f"chmod 700 {path}, or look at its mount")
    if mode & 0o077:
        return warn(name, f"{path} has mode {mode:04o}, not 0700", f"chmod 700 {path}")
    return ok(name, f"{path}, mode {mode:04o}")


def permissions(place: Place) -> Finding:
    """Keys, tokens and the database are for their owner alone."""
    name, there = "permissions", []
    exposed, foreign = [], []
    for file in PRIVATE:
        path = place.data_dir / file
        if not path.exists():
            continue
        status = path.stat()
        there.append(file)
        if stat.S_IMODE(status.st_mode) & 0o077:
            exposed.append(path)
        if status.st_uid != os.geteuid():
            foreign.append(path)
    if foreign:
        return fail(
            name, f"not ours: {_names(foreign)}", f"sudo chown {os.geteuid()} {_words(foreign)}"
        )
    if exposed:
        return fail(
            name,
            f"others can read {_names(exposed)}",
            f"chmod 600 {_words(exposed)}   (and ask who could have read it meanwhile)",
        )
    return ok(name, f"{len(there)} files, each for its owner alone")


def ledger_key(place: Place) -> Finding:
    """The key that signs checkpoints can be read."""
    path, name = place.data_dir / KEY_FILE, "key"
    if not path.exists():
        return fail(name, f"{path} is missing", f"cp -p BACKUP/{KEY_FILE} {path}")
    try:
        signer = Signer.load(path)
    except TallystickError as error:
        return fail(name, error.detail, error.hint or f"cp -p BACKUP/{KEY_FILE} {path}")
    return ok(name, signer.vkey)


def tokens(place: Place) -> Finding:
    """The key of attempts and the standing tokens are whole."""
    name, mint = "tokens", place.data_dir / MINT_FILE
    if not mint.exists():
        return warn(
            name, f"{mint} is missing; a new one is made", f"cp -p BACKUP/{MINT_FILE} {mint}"
        )
    if mint.stat().st_size != KEY_BYTES:
        return fail(
            name,
            f"{mint} holds {mint.stat().st_size} bytes, not {KEY_BYTES}",
            f"cp -p BACKUP/{MINT_FILE} {mint}   (or, without a backup: rm {mint})",
        )
    for file in (ADMIN_TOKEN_FILE, AGENT_TOKEN_FILE):
        path = place.data_dir / file
        if not path.exists():
            return warn(name, f"{path} is missing", "tally up   (makes a new one)")
        if len(path.read_bytes().strip()) < SHORTEST_TOKEN:
            return warn(name, f"{path} is cut short", "tally up   (writes it anew)")
    return ok(name, f"{MINT_FILE}, {ADMIN_TOKEN_FILE}, {AGENT_TOKEN_FILE} are whole")


def scratch(place: Place) -> Finding:
    """Half-written files that a killed server left."""
    name = "leftovers"
    looked = list(islice(_everything(place), MOST_NAMES))
    left = [path for path in looked if _SCRATCH.fullmatch(path.name) and path.is_file()]
    if left and not place.is_served():
        return warn(
            name, f"{len(left)} half-written: {_names(left[:3])}", f"rm {_words(left[:100])}"
        )
    return ok(name, "none")


def _everything(place: Place) -> Iterator[Path]:
    """Names in the directory, in its runs and in their attempts."""
    yield from _inside(place.data_dir)
    for run in _inside(place.runs_dir):
        for item in _inside(run):
            yield item
            yield from _inside(item)


def _inside(folder: Path) -> Iterator[Path]:
    """What is in a folder; nothing where it is none."""
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
    except OSError:
        return
    for name in names:
        yield folder / name


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _words(paths: list[Path]) -> str:
    return " ".join(map(str, paths))
