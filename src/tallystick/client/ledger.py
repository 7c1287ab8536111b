"""Calls about the ledger: its head, proofs, and its entries as they come (P6).

Every checkpoint that comes by is compared with the newest one that was seen of its ledger before;
a contradiction raises `VerificationError` (ledger_forked) that holds both signed notes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tallystick.client.caller import path_of
from tallystick.client.calls import PAGE_SIZE, RETRY_SECONDS, Calls
from tallystick.client.head import Head, both_notes, claimed_origin, forked, head_of
from tallystick.client.proving import growth, hashes_of, inclusion
from tallystick.client.reading import view
from tallystick.client.receipts import (
    Claim,
    Shown,
    claim_of_proof,
    claim_of_receipt,
    require_included,
)
from tallystick.client.sse import ServerEvent, server_events
from tallystick.client.transport import Response
from tallystick.client.waiting import patiently
from tallystick.errors import InvalidError, NotFoundError, UnavailableError, VerificationError
from tallystick.ledger.canonical import canonical
from tallystick.ledger.proof_file import ProofFile
from tallystick.wire.views import Receipt, RunView

SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long, not even a comment, is taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """An entry of the ledger, as the event stream tells it."""

    seq: int
    type: str
    data: dict[str, Any]
    """The whole entry, its envelope included."""


class LedgerCalls(Calls):
    """Read what the server has sworn to."""

    def checkpoint(self) -> str:
        """The newest signed tree head, a C2SP checkpoint; text with its signature lines."""
        note = self._newest()
        self._guard.watch(note)
        return note

    def proof(self, seq: int, *, size: int | None = None) -> dict[str, Any]:
        """Inclusion proof of an entry in the tree of `size` entries, the newest by default."""
        document: dict[str, Any] = self._caller.get(path_of("ledger", "proof", seq), {"size": size})
        self._guard.watch(str(document["checkpoint"]))
        return document

    def vkey(self) -> str:
        """The key that verifies checkpoints (C2SP signed-note); its name is the ledger's origin."""
        return self._caller.fetch("/ledger/vkey").body().decode().strip()

    def entries(
        self, *, after: int = -1, stream: str | None = None, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Entries in order after a position, all or one stream's; fetched page by page."""
        left = limit
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            query = {"after": after, "stream": stream, "limit": size}
            page = self._caller.get("/ledger/entries", query)
            yield from page["entries"]
            if len(page["entries"]) < size:
                return
            left = None if left is None else left - size
            after = page["next_after"]

    def prove_entry(self, seq: int) -> ProofFile:
        """A C2SP tlog-proof of an entry, with its bytes as `extra`; verified before it is given."""
        entry = next(self.entries(after=seq - 1, limit=1), None)
        if entry is None or entry["seq"] != seq:
            raise NotFoundError(f"there is no entry {seq}", code="entry_not_found")
        document = self.proof(seq)
        note = str(document["checkpoint"])
        file = ProofFile(
            index=seq,
            hashes=tuple(hashes_of(document)),
            checkpoint=note,
            extra=canonical(entry),
        )
        key, _source = self._key_for(claimed_origin(note), None)
        self.check_offline(claim_of_proof(file), vkey=key or self.vkey())
        return file

    def prove_run(self, run_id: str, *, entry: int | None = None) -> ProofFile:
        """A proof of a run's newest entry (`run.ended` once it is over), or of its entry `entry`.

        Raises `InvalidError` (entry_of_another) when that entry is not about the run.
        """
        newest = view(RunView, self._caller.get(path_of("runs", run_id))).changed_seq
        if entry is None:
            return self.prove_entry(
                max(item["seq"] for item in self.entries(after=newest - 1, stream=run_id))
            )
        found = next(self.entries(after=entry - 1, stream=run_id, limit=1), None)
        if found is None or found["seq"] != entry:
            raise InvalidError(f"entry {entry} is not about {run_id}", code="entry_of_another")
        return self.prove_entry(entry)

    def check_receipt(self, receipt: Claim | Receipt, *, vkey: str | None = None) -> Shown:
        """Show that a receipt's entry is in the ledger, and that the ledger of now continues it.

        `vkey` is believed rather than the pinned key, and this rather than the server's. Raises
        `VerificationError` for whatever does not hold.
        """
        claim = receipt if isinstance(receipt, Claim) else claim_of_receipt(receipt)
        origin = claimed_origin(claim.checkpoint)
        key, source = self._key_for(origin, vkey)
        if key is None:
            key, source = self.vkey(), "server"
        head, note = head_of(claim.checkpoint, key), self._newest()
        try:
            present = self._continued(head, note, key)
        except VerificationError as error:
            raise forked(error.detail, origin=origin, trusted=head.note, presented=note) from error
        try:
            self._require_included(claim, head)
        except VerificationError as error:
            raise VerificationError(
                f"the receipt does not hold: {error.detail}\n\n{both_notes(head.note, note)}",
                code="receipt_unproven",
            ) from error
        self._guard.watch(note)
        return _shown(claim, head, key=(key, source), present=present)

    def check_offline(self, claim: Claim, *, vkey: str | None = None) -> Shown:
        """What can be shown of a claim without the server: its signature, and a proof's inclusion.

        Raises `InvalidError` (vkey_missing) when no key was given and none is pinned.
        """
        origin = claimed_origin(claim.checkpoint)
        key, source = self._key_for(origin, vkey)
        if key is None:
            raise InvalidError(
                f"no key of {origin!r} is known here, and without one nothing can be checked",
                code="vkey_missing",
                hint="give it with --vkey, from somebody you trust",
            )
        head = head_of(claim.checkpoint, key)
        if claim.seq >= head.size:
            raise VerificationError(
                f"entry {claim.seq} cannot be under a checkpoint of {head.size} entries"
            )
        if claim.proof is not None:
            require_included(claim, head)
        pin = self._guard.pin_of(origin)
        if pin is not None and pin.size == head.size and pin.head().root != head.root:
            why = "two roots of one size were signed"
            raise forked(why, origin=origin, trusted=pin.checkpoint, presented=head.note)
        return _shown(claim, head, key=(key, source), present=None)

    def _continued(self, head: Head, note: str, key: str) -> Head:
        """The head in the server's newest note; raises unless it continues `head`."""
        if claimed_origin(note) != head.origin:
            raise VerificationError(f"the server presents another one, {claimed_origin(note)}")
        present = head_of(note, key)
        growth(self._caller, head, present)
        return present

    def _require_included(self, claim: Claim, head: Head) -> None:
        """Raise unless the entry is under `head`, by the proof that came along or the server's."""
        if claim.proof is not None:
            require_included(claim, head)
        elif claim.leaf is not None:
            inclusion(self._caller, claim.leaf, claim.seq, head)

    def _newest(self) -> str:
        """The newest checkpoint of the server."""
        return self._caller.fetch("/ledger/checkpoint").body().decode(errors="replace")

    def _key_for(self, origin: str, vkey: str | None) -> tuple[str | None, str]:
        """The key to believe, and who vouches for it."""
        if vkey is not None:
            return vkey.strip(), "given"
        pin = self._guard.pin_of(origin)
        return (pin.vkey, "pinned") if pin else (None, "server")

    def events(
        self, *, after: int | None = None, session: str | None = None, sweep: str | None = None
    ) -> Iterator[LedgerEvent]:
        """Entries as they are committed, for ever; goes on by itself after the last one seen.

        `after` is a ledger position: -1 begins with the first entry, None with the next one. A
        server that goes away later is waited for; `UnavailableError` is raised when it stays away.
        """
        query: dict[str, Any] = {"after": after, "session": session, "sweep": sweep}
        clock = self._caller.clock
        response = self._listen(query)
        while True:
            try:
                for event in server_events(response.chunks):
                    entry = _entry_of(event)
                    if entry is not None:
                        query["after"] = entry.seq
                        yield entry
            except UnavailableError:
                pass  # cut off; what was missed comes after the last one seen
            finally:
                response.close()
            clock.sleep(RETRY_SECONDS)
            response = patiently(partial(self._listen, query), clock=clock)

    def _listen(self, query: dict[str, Any]) -> Response:
        """The open stream."""
        return self._caller.stream("/events", query, timeout_seconds=SILENCE_SECONDS)


def _entry_of(event: ServerEvent) -> LedgerEvent | None:
    """The entry in an event; None for one without a position."""
    if event.id is None or not event.id.isdigit():
        return None
    return LedgerEvent(seq=int(event.id), type=event.event, data=json.loads(event.data))


def _shown(claim: Claim, head: Head, *, key: tuple[str, str], present: Head | None) -> Shown:
    """The report about a claim that held."""
    return Shown(
        origin=head.origin,
        seq=claim.seq,
        leaf_hash=claim.leaf.hex() if claim.leaf else "",
        size=head.size,
        key=key[0],
        key_from=key[1],
        inclusion=claim.proof is not None or present is not None,
        present_size=present.size if present else None,
        entry=claim.entry.decode(errors="replace") if claim.entry else None,
    )
