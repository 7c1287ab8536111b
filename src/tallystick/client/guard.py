"""Watches that the ledger a client speaks to is the one that was seen here before.

Whatever carries a checkpoint is compared with the newest one that is pinned of that ledger
(`known.py`): the signature with the pinned key, the tree by a consistency proof, in whichever
direction the sizes ask for; then the pin moves. A ledger that is met for the first time is trusted.

An accepted request never seems refused because of it: what a creating answer carries is compared
after the answer is there, the first time at once and then at most once a second, always with the
newest checkpoint; what is left over, when the client is closed. A contradiction is raised by the
next creating call before anything is sent, and by closing. Where nothing can be compared (no
answer, no right to read, a pin that cannot be read or kept) the calls go on, and it is said once.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tallystick.client.caller import Caller
from tallystick.client.head import Head, claimed_origin, claimed_size, forked, head_of
from tallystick.client.known import KnownLedgers, Pin
from tallystick.client.proving import growth
from tallystick.errors import TallystickError, UnavailableError, VerificationError

INTERVAL_MS = 1000
"""Between two comparisons that creating calls make; one costs a request and some milliseconds."""
TRIES = 8
"""How often a pin that another process moved meanwhile is compared again."""


class LedgerGuard:
    """The memory of one client; safe to share between threads."""

    def __init__(
        self,
        caller: Caller,
        known: KnownLedgers,
        *,
        url: Callable[[], str | None],
        warn: Callable[[str], None],
    ) -> None:
        """`warn` hears what people should know and no call fails for; each thing once."""
        self._caller = caller
        self.known = known
        self._url = url
        self._warn = warn
        self._lock = threading.Lock()
        self._pending: list[str] = []  # notes not yet compared; guarded by _lock, as all below
        self._last: str | None = None
        self._compared_at: int | None = None
        self._busy = False
        self.failure: VerificationError | None = None
        self._said: set[str] = set()
        self._unkept: dict[str, Pin] = {}  # pins that could not be written

    def require(self) -> None:
        """Raise the contradiction that was found, if any."""
        if self.failure is not None:
            raise self.failure

    def require_before(self) -> None:
        """As `require`, with the words that nothing was sent."""
        if self.failure is not None:
            found = self.failure
            raise VerificationError(
                found.detail,
                code=found.code,
                hint=f"nothing was sent; {found.hint or 'ask whoever runs the server'}",
                next_actions=found.next_actions,
                **found.facts,
            )

    def saw(self, answer: Any) -> None:
        """Take note of the receipt in a creating answer; raises nothing."""
        note = checkpoint_in(answer)
        if note is None:
            return
        with self._lock:
            if note != self._last:
                self._last = note
                self._pending = _with(self._pending, note)
            due = self._compared_at is None or abs(self._now() - self._compared_at) >= INTERVAL_MS
            if self._busy or not due or not self._pending:
                return
        self._compare_pending()

    def settle(self) -> None:
        """Compare what is left over; raises the contradiction that was found, if any."""
        if self._pending:
            self._compare_pending()
        self.require()

    def watch(self, note: str) -> None:
        """Compare a checkpoint now; raises a contradiction, and `UnavailableError`.

        Whatever else keeps it from being compared is said, and no reason to fail.
        """
        try:
            self.check(note)
        except (VerificationError, UnavailableError):
            raise
        except TallystickError as error:
            self._say(error.code, f"the ledger could not be compared: {error.detail}")

    def check(self, note: str, *, vkey: str | None = None) -> Head:
        """Compare a checkpoint now, and pin it when it is newer; raises `VerificationError`.

        `vkey` is trusted for a ledger that is met for the first time. Raises what the server
        refused where nothing can be compared.
        """
        pin = self.pin_of(claimed_origin(note))
        if pin is None:
            key = vkey or self._caller.fetch("/ledger/vkey").body().decode(errors="replace").strip()
            head = head_of(note, key)
            if head.size == 0:  # every ledger begins so
                return head
            pin = Pin(vkey=key, checkpoint=note, pinned_at=self._now())
        else:
            head = self._opened(note, pin)
        for _ in range(TRIES):
            self._compare(pin, head)
            moved = self._move(pin, head)
            if moved is None:
                break
            pin = moved
        return head

    def _compare_pending(self) -> None:
        """One comparison at a time; what cannot be compared now stays for later, or is said."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            notes, self._pending = self._pending, []
        try:
            for note in notes:
                self._compare_one(note)
        finally:
            with self._lock:
                self._busy = False
                self._compared_at = self._now()

    def _compare_one(self, note: str) -> None:
        try:
            self.watch(note)
        except VerificationError as error:
            with self._lock:
                self.failure = self.failure or error
        except UnavailableError as error:
            with self._lock:
                self._pending = self._pending or [note]
            self._say("away", f"the ledger could not be compared just now: {error.detail}")

    def pin_of(self, origin: str) -> Pin | None:
        """What is known of a ledger; raises `InvalidError` (pin_unreadable)."""
        return self.known.get(origin) or self._unkept.get(origin)

    def _opened(self, note: str, pin: Pin) -> Head:
        """The head in a note, signed with the pinned key; raises the contradiction otherwise."""
        if note == pin.checkpoint:
            return pin.head()
        try:
            return head_of(note, pin.vkey)
        except VerificationError as error:
            why = f"not signed by the key that is trusted here, {pin.vkey} ({error.detail})"
            raise self._contradiction(pin, note, why) from error

    def _compare(self, pin: Pin, head: Head) -> None:
        """Raise the contradiction unless one of the two trees is the beginning of the other."""
        older, newer = sorted((pin.head(), head), key=lambda each: each.size)
        try:
            growth(self._caller, older, newer)
        except VerificationError as error:
            why = error.detail
            if head.size < pin.size:
                why = f"it had {pin.size} entries, and has {head.size} now; {why}"
            raise self._contradiction(pin, head.note, why) from error

    def _contradiction(self, pin: Pin, presented: str, why: str) -> VerificationError:
        error = forked(why, origin=pin.origin, trusted=pin.checkpoint, presented=presented)
        kept = self.known.keep_evidence(pin, presented)
        if kept is not None:
            error.hint = f"{error.hint}; both notes are kept in {kept}"
        return error

    def _move(self, expected: Pin, head: Head) -> Pin | None:
        """Pin a head that was compared with `expected`; answers the pin found there instead."""
        origin, url = expected.origin, self._url()
        try:
            found = self.known.get(origin)
            if found is not None and _is_settled(found, expected, head, url):
                return None
            with self.known.locked():
                found = self.known.get(origin)
                if found is not None and found.checkpoint != expected.checkpoint:
                    return found
                base = found or expected
                if url is not None and url not in base.urls:
                    self._warn_of_others(origin, url)
                self.known.put(self._grown(base, head).met_at(url))
        except OSError as error:
            self._unkept[origin] = self._grown(expected, head)
            self._say(
                "unkept",
                f"checkpoints cannot be pinned in {self.known.directory} ({error.strerror}): a "
                "ledger that is rewritten later may go unnoticed; name a directory that can be "
                "written in TALLY_KNOWN_LEDGERS",
            )
        return None

    def _grown(self, pin: Pin, head: Head) -> Pin:
        """The pin under the larger of the two heads."""
        if head.size <= pin.size:
            return pin
        return replace(pin, checkpoint=head.note, pinned_at=self._now())

    def _warn_of_others(self, origin: str, url: str) -> None:
        """Another ledger at a known address is no contradiction, and nobody should miss it."""
        pins, _broken = self.known.all()
        for pin in pins:
            if pin.origin != origin and url in pin.urls:
                self._say(
                    f"replaced {pin.origin}",
                    f"{url} has another ledger than before: {origin}, where {pin.origin} with "
                    f"{pin.size} entries was seen. Right after a wipe, or with another data "
                    "directory; otherwise records are missing",
                )

    def _say(self, topic: str, words: str) -> None:
        """A warning, once for each topic."""
        with self._lock:
            if topic in self._said:
                return
            self._said.add(topic)
        self._warn(words)

    def _now(self) -> int:
        return self._caller.clock.now()


def checkpoint_in(answer: Any) -> str | None:
    """The checkpoint of the receipt in an answer, if there is one."""
    receipt = answer.get("receipt") if isinstance(answer, dict) else None
    note = receipt.get("checkpoint") if isinstance(receipt, dict) else None
    return note if isinstance(note, str) else None


def _with(pending: list[str], note: str) -> list[str]:
    """What is to be compared: the largest note, and a later one that is smaller."""
    largest = max(pending, key=claimed_size, default=note)
    return [note] if claimed_size(note) >= claimed_size(largest) else [largest, note]


def _is_settled(found: Pin, expected: Pin, head: Head, url: str | None) -> bool:
    """Whether there is nothing to write, so that no lock is taken."""
    if found.checkpoint != expected.checkpoint:
        return False
    return head.size <= found.size and (url is None or found.urls[-1:] == (url,))
