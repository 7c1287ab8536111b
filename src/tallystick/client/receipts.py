"""Receipts and proof files out of whatever somebody kept: read strictly, said clearly when wrong.

Accepted are a receipt, a whole answer that carries one, and the text of a C2SP tlog-proof. What
they claim is checked in `ledger.py`.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from tallystick.client.head import Head
from tallystick.errors import InvalidError, VerificationError
from tallystick.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from tallystick.ledger.proof_file import FIRST_LINE, ProofFile
from tallystick.wire.codec import to_json
from tallystick.wire.views import Receipt

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """That an entry is in a ledger: its place, its leaf hash, the checkpoint that covers it."""

    seq: int
    leaf: bytes | None
    """RFC 6962 leaf hash; None in a proof file that came without the entry."""
    checkpoint: str
    proof: tuple[bytes, ...] | None = None
    """The inclusion proof, when it came along."""
    entry: bytes | None = None
    """The entry's own bytes, when they came along."""

    def with_entry(self, entry: bytes) -> "Claim":
        """The claim about these bytes; raises `VerificationError` when it is about others."""
        leaf = leaf_hash(entry)
        if self.leaf is not None and leaf != self.leaf:
            raise VerificationError(
                f"the entry's bytes: expected leaf hash {self.leaf.hex()}; found {leaf.hex()}",
                code="entry_differs",
            )
        return Claim(
            seq=self.seq, leaf=leaf, checkpoint=self.checkpoint, proof=self.proof, entry=entry
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What was shown of a claim, and what was not; nothing that failed gets this far."""

    origin: str
    seq: int
    leaf_hash: str
    """64 hex digits."""
    size: int
    """Entries under the claim's checkpoint."""
    key: str
    """The verifier key that the signatures hold under."""
    key_from: str
    """Who vouches for the key: given, pinned, or server (nobody)."""
    inclusion: bool
    """Whether the entry was shown to be under the checkpoint."""
    present_size: int | None
    """Entries now, when the ledger was shown to continue the checkpoint."""
    entry: str | None
    """The entry, when its bytes came along and were shown to be in the ledger."""


def claim_of(text: str) -> Claim:
    """The claim in a receipt, an answer or a proof file; raises `InvalidError` when none is."""
    if text.startswith(FIRST_LINE):
        return claim_of_proof(ProofFile.parse(text))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_receipt(f"neither JSON nor a {FIRST_LINE} file") from error
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if isinstance(document, dict) and "receipt" in document:
        document = document["receipt"]
    if not isinstance(document, dict):
        raise _no_receipt(f"found {_shown(document)}")
    return _claim(document)


def claim_of_receipt(receipt: Receipt) -> Claim:
    """What the receipt of a view claims; raises like `claim_of`."""
    return _claim(to_json(receipt))


def claim_of_proof(file: ProofFile) -> Claim:
    """What a proof file claims."""
    claim = Claim(seq=file.index, leaf=None, checkpoint=file.checkpoint, proof=tuple(file.hashes))
    return claim if file.extra is None else claim.with_entry(file.extra)


def require_included(claim: Claim, head: Head) -> None:
    """Raise `VerificationError` unless the claim's own proof puts its leaf under `head`."""
    if claim.leaf is None or claim.proof is None:
        raise InvalidError(
            "the proof came without its entry, so that nothing can be hashed",
            code="entry_missing",
            hint="name the file that holds the entry's bytes with --entry-file",
        )
    verify_inclusion(claim.leaf, claim.proof, index=claim.seq, size=head.size, root=head.root)


def _claim(document: dict[str, Any]) -> Claim:
    seq, leaf, note = (document.get(name) for name in ("seq", "leaf_hash", "checkpoint"))
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise _no_receipt(f"seq: expected a position, found {_shown(seq)}")
    if not isinstance(leaf, str) or _DIGEST.fullmatch(leaf) is None:
        raise _no_receipt(f"leaf_hash: expected {2 * HASH_BYTES} hex digits, found {_shown(leaf)}")
    if not isinstance(note, str):
        raise _no_receipt(f"checkpoint: expected a signed note, found {_shown(note)}")
    return Claim(seq=seq, leaf=bytes.fromhex(leaf), checkpoint=note)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


def _no_receipt(found: str) -> InvalidError:
    return InvalidError(
        f"expected a receipt (seq, leaf_hash, checkpoint), an answer with one, or a proof file: "
        f"{found}",
        code="receipt_malformed",
    )
