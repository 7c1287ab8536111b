"""The C2SP tlog-proof file of one entry: its place, its inclusion proof, the signed checkpoint.

`extra` holds the entry's own bytes, as the format allows for what is needed to rebuild the leaf; it
is not authenticated, and is believed only once its leaf hash is proven. Reading is strict, and
checks no signature. Imports nothing but Python and our errors.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from tallystick.errors import VerificationError
from tallystick.ledger.merkle import HASH_BYTES

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
SUFFIX: Final = ".tlog-proof"

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MOST_HASHES: Final = 63  # the height of a tree of 2^63 entries


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFile:
    """What a `.tlog-proof` says, not yet verified."""

    index: int
    """Position of the entry in the ledger."""
    hashes: tuple[bytes, ...]
    """RFC 6962 inclusion proof, the leaf's sibling first."""
    checkpoint: str
    """The signed note that covers the entry."""
    extra: bytes | None = None
    """The bytes of the entry, when they came along."""

    def text(self) -> str:
        """The file."""
        extra = "" if self.extra is None else f"extra {_encode(self.extra)}\n"
        hashes = "".join(f"{_encode(item)}\n" for item in self.hashes)
        return f"{FIRST_LINE}\n{extra}index {self.index}\n{hashes}\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> "ProofFile":
        """Read a file; raises `VerificationError` (proof_malformed) that names the line."""
        opening, blank, checkpoint = text.partition("\n\n")
        lines = opening.split("\n")
        if not blank or lines.pop(0) != FIRST_LINE:
            raise _malformed(f"line 1: expected {FIRST_LINE}, and a checkpoint after a blank line")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = _decode(lines.pop(0).removeprefix("extra "), "extra")
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise _malformed("expected a line `index` with a plain decimal number")
        hashes = tuple(_decode(line, f"hash {n}") for n, line in enumerate(lines))
        if len(hashes) > _MOST_HASHES or any(len(item) != HASH_BYTES for item in hashes):
            raise _malformed(f"expected at most {_MOST_HASHES} hashes of {HASH_BYTES} bytes")
        return cls(index=int(index[1]), hashes=hashes, checkpoint=checkpoint, extra=extra)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(text: str, what: str) -> bytes:
    """Canonical base64."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or _encode(value) != text:
        raise _malformed(f"{what} is not canonical base64")
    return value


def _malformed(detail: str) -> VerificationError:
    return VerificationError(f"not a {SUFFIX} file: {detail}", code="proof_malformed")
