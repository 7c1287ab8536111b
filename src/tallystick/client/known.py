"""The newest checkpoint that was seen of each ledger, pinned in a directory of this user.

One file a ledger, named for its origin, replaced whole and durable; a lock keeps writers apart. A
file that cannot be read is never overwritten: it may be evidence. What is pinned was verified
before; deciding that is `guard.py`'s work.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tallystick import durable
from tallystick.client.head import Head, claimed_origin, claimed_size, origin_of_key
from tallystick.errors import InvalidError, TallystickError
from tallystick.ledger.merkle import HASH_BYTES

LOCK_FILE = ".lock"
SUFFIX = ".json"
EVIDENCE_SUFFIX = ".forked"
MOST_URLS = 8
"""Addresses remembered of one ledger; a server on port 0 has another one after every start."""
LONGEST_ORIGIN = 150
"""Characters; quoted, it must still make a file name."""

_SPOILED = (ValueError, TypeError, KeyError, RecursionError, TallystickError)
"""What reading a file of something else raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What is known of one ledger."""

    vkey: str
    """Its verifier key, trusted since it was first seen."""
    checkpoint: str
    """The newest signed note that was proven to continue the ones before."""
    urls: tuple[str, ...] = ()
    """Where it was met, the latest last."""
    pinned_at: int
    """Milliseconds since the Unix epoch, by this machine's clock."""

    @property
    def origin(self) -> str:
        """The ledger's name."""
        return claimed_origin(self.checkpoint)

    @property
    def size(self) -> int:
        """Entries under the pinned checkpoint."""
        return claimed_size(self.checkpoint)

    def head(self) -> Head:
        """The pinned head. Its signature was checked before it was pinned, and is not again."""
        origin, size, root = self.checkpoint.split("\n")[:3]
        return Head(origin, int(size), base64.b64decode(root), self.checkpoint)

    def met_at(self, url: str | None) -> "Pin":
        """The pin with an address as its latest."""
        if url is None or self.urls[-1:] == (url,):
            return self
        others = tuple(known for known in self.urls if known != url)
        return replace(self, urls=(*others, url)[-MOST_URLS:])


class KnownLedgers:
    """The pins in one directory, usually `~/.tally/known_ledgers`."""

    def __init__(self, directory: Path) -> None:
        """Nothing is made or read before it is needed."""
        self.directory = directory

    def get(self, origin: str) -> Pin | None:
        """What is pinned of a ledger, if anything; raises `InvalidError` when it cannot be read."""
        path = self.path(origin)
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(path, origin, error) from error
        try:
            pin = _parsed(content)
        except _SPOILED as error:
            raise _unreadable(path, origin, "it does not hold what was written") from error
        if pin.origin != origin:
            raise _unreadable(path, origin, f"it is about {pin.origin!r}")
        return pin

    def all(self) -> tuple[list[Pin], list[InvalidError]]:
        """Every pin, and every file that should hold one and does not."""
        pins, broken = list[Pin](), list[InvalidError]()
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            try:
                pin = _parsed(path.read_bytes())
            except (OSError, *_SPOILED) as error:
                broken.append(_unreadable(path, path.stem.replace("%2F", "/"), error))
            else:
                pins.append(pin)
        return pins, broken

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Between reading a pin and replacing it nobody else does; raises OSError."""
        durable.make_directory(self.directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.directory / LOCK_FILE, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def put(self, pin: Pin) -> None:
        """Replace the pin of a ledger; the caller holds the lock. Raises OSError."""
        document = {"v": 1, "origin": pin.origin, **asdict(pin)}
        content = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        durable.write(self.path(pin.origin), content.encode())

    def forget(self, origin: str) -> bool:
        """Take a ledger's pin away, readable or not; whether there was one. Raises OSError."""
        path = self.path(origin)
        if not path.exists():
            return False
        with self.locked():
            path.unlink(missing_ok=True)
        return True

    def keep_evidence(self, pin: Pin, presented: str) -> Path | None:
        """Keep both notes of a fork beside the pin, the first one found; None when it cannot be."""
        path = self.path(pin.origin).with_suffix(EVIDENCE_SUFFIX)
        try:
            if not path.exists():
                durable.write(path, f"{pin.checkpoint}\n{presented}".encode())
        except (OSError, ValueError):
            return None
        return path

    def path(self, origin: str) -> Path:
        """The file of a ledger; raises `InvalidError` for an origin that cannot name one."""
        try:
            name = quote(origin, safe="")
        except UnicodeEncodeError:
            name = ""
        if not name or name.startswith(".") or len(name) > LONGEST_ORIGIN or not _is_text(origin):
            raise InvalidError(
                f"expected the origin of a ledger, such as tally.local/0123456789abcdef; "
                f"found {origin[:LONGEST_ORIGIN]!r}",
                code="origin_invalid",
            )
        return self.directory / f"{name}{SUFFIX}"


def _is_text(origin: str) -> bool:
    return origin.isprintable() and not any(character.isspace() for character in origin)


def _parsed(content: bytes) -> Pin:
    """A pin out of its file; raises one of several errors when it is not one."""
    document: dict[str, Any] = json.loads(content)
    pin = Pin(
        vkey=_text(document["vkey"]),
        checkpoint=_text(document["checkpoint"]),
        urls=tuple(map(str, document["urls"])),
        pinned_at=int(document["pinned_at"]),
    )
    head = pin.head()
    if origin_of_key(pin.vkey) != head.origin or head.size < 1 or len(head.root) != HASH_BYTES:
        raise ValueError("no ledger can have been seen so")
    return pin


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _unreadable(path: Path, origin: str, why: object) -> InvalidError:
    return InvalidError(
        f"{path} cannot be read ({why}): what was seen of {origin} before cannot be compared",
        code="pin_unreadable",
        hint=f"put the file back, or give it up with: tally ledger forget {origin}",
    )
