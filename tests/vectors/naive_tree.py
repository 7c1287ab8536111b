"""RFC 6962 as it is written there, naively and a second time: what our tree is compared with.

Nothing of ours is imported. A stranger who writes a verifier may begin here.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

Hashes = Sequence[bytes]


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def split(width: int) -> int:
    k = 1
    while k * 2 < width:
        k *= 2
    return k


def root(leaves: Hashes) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def inclusion(index: int, leaves: Hashes) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*inclusion(index, leaves[:k]), root(leaves[k:])]
    return [*inclusion(index - k, leaves[k:]), root(leaves[:k])]


def consistency(old: int, leaves: Hashes, *, whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*consistency(old, leaves[:k], whole=whole), root(leaves[k:])]
    return [*consistency(old - k, leaves[k:], whole=False), root(leaves[:k])]


def tiles(leaves: Hashes) -> dict[tuple[int, int], bytes]:
    """Every tile of the tree, by level and index: hashes of 256 joined, fewer at the right edge."""
    found, level, hashes = {}, 0, list(leaves)
    while hashes:
        groups = [hashes[at : at + 256] for at in range(0, len(hashes), 256)]
        found.update({(level, at): b"".join(group) for at, group in enumerate(groups)})
        hashes = [root(group) for group in groups if len(group) == 256]
        level += 1
    return found


def jcs(document: Any) -> bytes:
    """JCS for documents whose keys are ASCII and whose numbers are whole."""
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()
