"""One-shot exceptions: a person's signed leave for one command, used up by the call it lets pass.

The note is signed by a ledger's key (C2SP signed-note), and checked with the keys that this user
has pinned. Its text is five lines: `tallystick.exception/v1`, the exception's id, the SHA-256 of
the command's UTF-8 bytes in hex, a session or `*`, and when it ends, in Unix milliseconds.
Whoever runs as the same user could forge a pin: this is cooperation and a record, no wall.
"""

from __future__ import annotations

import json
import os
import re

from tallystick.agents.digest import text_digest

TYPE_CHECKING = False  # typing costs 6 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = "exceptions"
FIRST_LINE = "tallystick.exception/v1"
ANY_SESSION = "*"
USED = ".used"
CLAIMED = ".claimed"
MOST_NOTE_BYTES = 16_384
MOST_PIN_BYTES = 65_536
_ID = re.compile(r"exc_[0-9a-f]{12}")
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


class Leave:
    """What a note says, after its signature was checked."""

    __slots__ = ("digest", "expires_at", "id", "session")

    def __init__(self, text: str) -> None:
        """From the signed lines; raises ValueError when they are others."""
        lines = text.split("\n")
        if len(lines) != 6 or lines[0] != FIRST_LINE or lines[5]:
            raise ValueError(f"expected five lines, the first of them {FIRST_LINE}")
        self.id, self.digest, session, expires = lines[1:5]
        if _ID.fullmatch(self.id) is None or _NUMBER.fullmatch(expires) is None:
            raise ValueError("expected an id and the end in milliseconds")
        self.session = None if session == ANY_SESSION else session
        """None lets any session."""
        self.expires_at = int(expires)
        """Unix milliseconds."""


def note_path(tally_home: str, command: str) -> str:
    """Where the exception for a command lies: `TALLY_HOME/exceptions/<sha256[:32]>.note`."""
    return f"{tally_home}/{DIRECTORY}/{text_digest(command)[:32]}.note"


def keep(tally_home: str, command: str, note: str) -> str:
    """Put a granted exception where the hook looks for it; its path. Raises OSError."""
    from pathlib import Path

    from tallystick import durable

    path = Path(note_path(tally_home, command))
    durable.make_directory(path.parent)
    durable.write(path, note.encode())
    return str(path)


def use(
    command: str, *, session: str | None, call: str | None, decision: str, now: int,
    tally_home: str, known_ledgers: str,
) -> str | None:  # fmt: skip
    """Use up the exception for this command, if there is a good one; its id.

    A second hook that was loaded for the same call (`call` is the agent's id of it, and `decision`
    the same) finds it used by itself and lets the command pass, too. `now` is in milliseconds.
    """
    if not os.path.isdir(f"{tally_home}/{DIRECTORY}"):  # saves most commands the digest
        return None
    fresh = note_path(tally_home, command)
    for path in (fresh, fresh + USED) if call else (fresh,):
        leave = _read(path, known_ledgers)
        if leave is None or not _holds(leave, command, session, now):
            continue
        if _claim(f"{tally_home}/{DIRECTORY}/{leave.id}{CLAIMED}", decision, again=bool(call)):
            _put_aside(fresh)
            return leave.id
    return None


def is_signed(note: str, known_ledgers: str) -> bool:
    """Whether a key that is pinned here signed a note, so that the hook will take it."""
    try:
        return open_note(note, _pinned_keys(known_ledgers)) is not None
    except (OSError, ValueError):
        return False


def open_note(note: str, vkeys: Iterator[str]) -> str | None:
    """The signed text of a note that one of these keys signed, None when none of them did."""
    from tallystick.ledger.verify import VerificationError, ed25519_verify, parse_vkey

    head, blank, tail = note.rpartition("\n\n")
    if not blank:
        return None
    text, lines = head + "\n", tail.split("\n")
    for vkey in vkeys:
        try:
            name, public = parse_vkey(vkey)
        except VerificationError:
            continue
        key_id = bytes.fromhex(vkey.split("+", 2)[1])
        for line in lines:
            value = _signature(line, name)
            if value[:4] == key_id and ed25519_verify(public, text.encode(), value[4:]):
                return text
    return None


def _signature(line: str, name: str) -> bytes:
    """The bytes of a signature line of this signer, nothing for another line."""
    import base64

    mark = f"\N{EM DASH} {name} "
    if not line.startswith(mark):
        return b""
    try:
        return base64.b64decode(line.removeprefix(mark), validate=True)
    except ValueError:
        return b""


def _holds(leave: Leave, command: str, session: str | None, now: int) -> bool:
    return (
        leave.digest == text_digest(command)
        and leave.session in {None, session}
        and now < leave.expires_at
    )


def _read(path: str, known_ledgers: str) -> Leave | None:
    """What a note says, None unless a pinned key signed it."""
    try:
        note = _content(path, MOST_NOTE_BYTES).decode()
        text = open_note(note, _pinned_keys(known_ledgers))
        return None if text is None else Leave(text)
    except (OSError, ValueError):
        return None


def _pinned_keys(directory: str) -> Iterator[str]:
    """The verifier keys of every ledger that this user has met."""
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".json") or name.startswith("."):
            continue
        try:
            pin = json.loads(_content(f"{directory}/{name}", MOST_PIN_BYTES))
        except (OSError, ValueError, RecursionError):
            continue
        vkey = pin.get("vkey") if isinstance(pin, dict) else None
        if isinstance(vkey, str):
            yield vkey


def _content(path: str, most: int) -> bytes:
    """A small regular file; raises OSError, never waits."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(most)


def _claim(path: str, decision: str, *, again: bool) -> bool:
    """Whether this decision is the one that uses an exception up.

    A symbolic link is made whole or not at all, and by one process only; it names the decision.
    """
    try:
        os.symlink(decision, path)
    except FileExistsError:
        try:
            return again and os.readlink(path) == decision
        except OSError:
            return False
    except OSError:  # what cannot be used up would be a leave for ever
        return False
    return True


def _put_aside(path: str) -> None:
    try:
        os.rename(path, path + USED)
    except OSError:  # the claim counts; this only tidies
        return
