"""Decisions on their way to the ledger: one file each, in the user's own directory.

The hook opens no socket, so it leaves a file; the next `tally` process that reaches a server sends
them. A file is there whole or not at all, and its name is the decision's id: two hooks that were
loaded for one call leave one file.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # typing costs 6 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DIRECTORY = "spool"
SUFFIX = ".json"
MOST_FILES = 10_000
"""More are not kept: the oldest tell when it began, and a full home directory helps nobody."""
MOST_RECORD_BYTES = 1_048_576


def directory_of(tally_home: str) -> str:
    """`TALLY_HOME/spool`."""
    return f"{tally_home}/{DIRECTORY}"


def write(tally_home: str, record: Mapping[str, Any]) -> None:
    """Keep one decision until it is sent; one that is there already stays as it is.

    Raises OSError when it cannot be kept (a full disk, no permission, a full spool).
    """
    directory = directory_of(tally_home)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = f"{directory}/{record['id']}{SUFFIX}"
    if os.path.exists(path):
        return
    if len(os.listdir(directory)) >= MOST_FILES:
        raise OSError(f"{directory} holds {MOST_FILES} decisions that were never sent")
    content = json.dumps(record).encode()  # in ASCII: half a surrogate pair is kept as it came
    scratch = f"{directory}/.{record['id']}.{os.getpid()}"
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.rename(scratch, path)
    except OSError:
        _remove(scratch)
        raise


def pending(tally_home: str, most: int = 100) -> list[dict[str, Any]]:
    """At most `most` decisions that wait to be sent, the oldest first.

    A file that holds no decision is passed over; so is one that cannot be read.
    """
    directory = directory_of(tally_home)
    try:
        with os.scandir(directory) as entries:
            found = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in entries
                if entry.name.startswith("dec_") and entry.name.endswith(SUFFIX)
            ]
    except OSError:
        return []
    records: list[dict[str, Any]] = []
    for _, name in sorted(found):
        if len(records) >= most:
            break
        record = read(tally_home, name.removesuffix(SUFFIX))
        if record is not None:
            records.append(record)
    return records


def count(tally_home: str) -> int:
    """How many decisions wait to be sent."""
    try:
        names = os.listdir(directory_of(tally_home))
    except OSError:
        return 0
    return sum(name.startswith("dec_") and name.endswith(SUFFIX) for name in names)


def read(tally_home: str, decision: str) -> dict[str, Any] | None:
    """One decision that waits, by its id; None when there is no such file to read."""
    path = f"{directory_of(tally_home)}/{decision}{SUFFIX}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            record = json.loads(stream.read(MOST_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("id") == decision else None


def drop(tally_home: str, decision: str) -> None:
    """Forget a decision that the ledger holds; harmless when it is gone already."""
    _remove(f"{directory_of(tally_home)}/{decision}{SUFFIX}")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
