"""Proofs that a client demands and verifies itself; a server that refuses one has not shown it."""

import base64
import binascii
from typing import Any

from tallystick.client.caller import Caller
from tallystick.client.head import Head, require_growth
from tallystick.errors import InvalidError, NotFoundError, VerificationError
from tallystick.ledger.merkle import verify_inclusion


def growth(caller: Caller, old: Head, new: Head) -> None:
    """Raise `VerificationError` unless the server shows that `new` grew from `old`.

    Two heads of one size need no proof: they are the same tree, or two.
    """
    if old.size == new.size:
        require_growth(old, new, [])
        return
    if old.size > new.size:
        raise VerificationError(f"the server has {new.size} entries, and {old.size} were signed")
    try:
        document = caller.get("/ledger/consistency", {"old": old.size, "new": new.size})
    except (InvalidError, NotFoundError) as error:
        raise VerificationError(
            f"the server cannot show that {new.size} entries continue {old.size}: {error.detail}"
        ) from error
    require_growth(old, new, hashes_of(document))


def inclusion(caller: Caller, leaf: bytes, seq: int, head: Head) -> None:
    """Raise `VerificationError` unless the server shows that `leaf` is entry `seq` under `head`."""
    if seq >= head.size:
        raise VerificationError(f"entry {seq} cannot be under a checkpoint of {head.size} entries")
    try:
        document = caller.get(f"/ledger/proof/{seq}", {"size": head.size})
    except (InvalidError, NotFoundError) as error:
        raise VerificationError(
            f"the server cannot show entry {seq} under {head.size} entries: {error.detail}"
        ) from error
    verify_inclusion(leaf, hashes_of(document), index=seq, size=head.size, root=head.root)


def hashes_of(document: Any) -> list[bytes]:
    """The hashes of a proof as the server sends it; raises `VerificationError` for other things."""
    try:
        return [base64.b64decode(item, validate=True) for item in document["hashes"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise VerificationError("the server's proof is not a list of hashes in base64") from error
