"""The hash tree of RFC 6962, as pure functions of hashes.

Invariant: a proof that `verify_inclusion` or `verify_consistency` accepts has exactly the length
and the hashes that the sizes demand. Where hashes are stored is the reader's business: a reader
is called with (level, index) and returns the hash of the complete subtree over the leaves
[index * 2^level, (index + 1) * 2^level). Imports nothing but Python and our errors.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tallystick.errors import InvalidError, VerificationError

HASH_BYTES: Final = 32
TILE_LEVELS: Final = 8  # C2SP tlog-tiles: a tile spans eight levels of the tree
TILE_WIDTH: Final = 1 << TILE_LEVELS
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

Reader: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry): the hash of one entry (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash of two neighbours (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree of `size` leaves: the roots of its complete subtrees, widest first.

    It is all that appending needs: one hash for each 1 bit of the size.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Edge":
        """The edge after one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> "Edge":
        """The edge after more leaf hashes, in order; about one hash of work for each."""
        peaks, size = list(self.peaks), self.size
        for leaf in leaves:
            node, carry = leaf, size
            while carry & 1:
                node = node_hash(peaks.pop(), node)
                carry >>= 1
            peaks.append(node)
            size += 1
        return Edge(size, tuple(peaks))

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves; of no leaves, SHA-256 of nothing."""
        return _fold(self.peaks) if self.peaks else EMPTY_ROOT

    def tile_part(self, level: int) -> "Edge":
        """The edge of the unfinished tile at tile level `level`, its hashes taken as leaves."""
        below = (self.size & ((1 << level * TILE_LEVELS) - 1)).bit_count()
        size = (self.size >> level * TILE_LEVELS) & (TILE_WIDTH - 1)
        end = len(self.peaks) - below
        return Edge(size, self.peaks[end - size.bit_count() : end])


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes."""
    return Edge().extend(leaves).root()


def inclusion_proof(reader: Reader, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, leaf's sibling first.

    RFC 6962 section 2.1.1. Raises `InvalidError` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise InvalidError(
            f"index: expected 0 <= index < size; found index {index}, size {size}",
            code="proof_range",
        )
    proof, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_range_hash(reader, middle, high))
            high = middle
        else:
            proof.append(_range_hash(reader, low, middle))
            low = middle
    return proof[::-1]


def consistency_proof(reader: Reader, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    RFC 6962 section 2.1.2. Raises `InvalidError` unless 0 <= old <= new. From size 0, and between
    equal sizes, the proof is empty.
    """
    if not 0 <= old <= new:
        raise InvalidError(
            f"sizes: expected 0 <= old <= new; found old {old}, new {new}", code="proof_range"
        )
    if old == 0:
        return []
    proof, low, high = [], 0, new
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_range_hash(reader, middle, high))
            high = middle
        else:
            proof.append(_range_hash(reader, low, middle))
            low = middle
    if low:  # the old tree's last subtree is not the whole old tree, so the verifier lacks it
        proof.append(_range_hash(reader, low, high))
    return proof[::-1]


def verify_inclusion(
    leaf: bytes, proof: Sequence[bytes], *, index: int, size: int, root: bytes
) -> None:
    """Raise `VerificationError` unless `proof` puts `leaf` at `index` under `root` of `size`.

    RFC 9162 section 2.1.3.2, with the lengths of all hashes checked.
    """
    _require_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise VerificationError(f"entry {index} cannot be in a tree of {size} entries")
    node, place, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise VerificationError("the inclusion proof has hashes too many")
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise VerificationError("the inclusion proof has hashes too few")
    _require_same("the inclusion proof", root, node)


def verify_consistency(
    proof: Sequence[bytes], *, old_size: int, new_size: int, old_root: bytes, new_root: bytes
) -> None:
    """Raise `VerificationError` unless the tree `old_root` is the beginning of `new_root`.

    RFC 9162 section 2.1.4.2. Every tree begins with the empty one, which therefore proves nothing:
    `old_size` 0 is refused, and whoever remembers an empty tree has nothing to check.
    """
    _require_hashes(old_root, new_root, *proof)
    if not 0 < old_size <= new_size:
        raise VerificationError(f"no proof can lead from {old_size} to {new_size} entries")
    if old_size == new_size:
        if proof:
            raise VerificationError("the consistency proof has hashes too many")
        _require_same("the same size with another root: the ledger", old_root, new_root)
        return
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not proof:
        raise VerificationError("the consistency proof has hashes too few")
    _climb(path, old_size, new_size, (old_root, new_root))


def _climb(path: list[bytes], old_size: int, new_size: int, roots: tuple[bytes, bytes]) -> None:
    """Rebuild both roots from the proof, from the old tree's last complete subtree upwards."""
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationError("the consistency proof has hashes too many")
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise VerificationError("the consistency proof has hashes too few")
    _require_same("the consistency proof's old tree", roots[0], old)
    _require_same("the consistency proof's new tree", roots[1], new)


def _split(width: int) -> int:
    """The largest power of two smaller than `width` (> 1)."""
    return 1 << (width - 1).bit_length() - 1


def _range_hash(reader: Reader, low: int, high: int) -> bytes:
    """The hash over leaves [low, high), a subtree of the RFC's split, from complete subtrees."""
    parts = []
    while low < high:
        level = (high - low).bit_length() - 1
        parts.append(reader(level, low >> level))
        low += 1 << level
    return _fold(parts)


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Join complete subtrees, widest first, into one root."""
    node = peaks[-1]
    for peak in peaks[-2::-1]:
        node = node_hash(peak, node)
    return node


def _require_hashes(*hashes: bytes) -> None:
    if any(len(item) != HASH_BYTES for item in hashes):
        raise VerificationError(f"every hash must be {HASH_BYTES} bytes long")


def _require_same(what: str, expected: bytes, found: bytes) -> None:
    if expected != found:
        raise VerificationError(
            f"{what} does not hold: expected root {expected.hex()}; found {found.hex()}",
            expected=expected.hex(),
            found=found.hex(),
        )
