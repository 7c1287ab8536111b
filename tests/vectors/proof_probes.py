"""Proofs of every small tree, honest and mutated: what a verifier must accept, and what not.

Made from the second computation alone (`naive_tree`), so that they judge ours as well as others'.
A stranger may have them as JSON: `python -m tests.vectors.proof_probes > probes.json`.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from tests.vectors import naive_tree

LARGEST = 40
LEAVES = [naive_tree.leaf(bytes([number])) for number in range(LARGEST + 1)]
ROOTS = [naive_tree.root(LEAVES[:size]) for size in range(LARGEST + 2)]
OTHER = naive_tree.leaf(b"another")

Probe = dict[str, Any]
"""`kind`, `good`, `how` it was bent, and what the verifier is given; hashes are bytes here."""


def inclusion_probes(largest: int = LARGEST) -> Iterator[Probe]:
    """For every entry of every tree: its proof, and what came of bending it."""
    for size in range(1, largest + 1):
        for index in range(size):
            honest: Probe = {
                "kind": "inclusion",
                "index": index,
                "new": size,
                "leaf": LEAVES[index],
                "new_root": ROOTS[size],
                "hashes": naive_tree.inclusion(index, LEAVES[:size]),
            }
            taller = 1 << size.bit_length() + 1  # a tree that size has another number of hashes
            changes: list[tuple[str, Probe]] = [
                ("next index", {"index": index + 1}),
                ("index before", {"index": index - 1}),
                ("taller tree", {"new": taller}),
                ("tree without it", {"new": index}),
                ("no tree", {"new": 0}),
                ("leaf flipped", {"leaf": flipped(LEAVES[index], bit=size)}),
                ("root flipped", {"new_root": flipped(ROOTS[size], bit=index)}),
                ("empty leaf", {"leaf": b""}),
                ("empty root", {"new_root": b""}),
                ("another leaf", {"leaf": OTHER}),
                ("another root", {"new_root": ROOTS[size + 1 if size < LARGEST else size - 1]}),
                *((how, {"hashes": hashes}) for how, hashes in bent(honest["hashes"])),
            ]
            if size > 1:
                swapped = {"leaf": ROOTS[size], "new_root": LEAVES[index]}
                changes.append(("leaf and root swapped", swapped))
            yield from _all(honest, changes)


def consistency_probes(largest: int = LARGEST) -> Iterator[Probe]:
    """For every pair of trees: the proof between them, and what came of bending it."""
    for new in range(1, largest + 1):
        for old in range(1, new + 1):
            honest: Probe = {
                "kind": "consistency",
                "old": old,
                "new": new,
                "old_root": ROOTS[old],
                "new_root": ROOTS[new],
                "hashes": naive_tree.consistency(old, LEAVES[:new]),
            }
            changes: list[tuple[str, Probe]] = [
                ("older tree", {"old": old - 1}),
                ("taller tree", {"new": 1 << new.bit_length() + 1}),
                ("shrunk tree", {"new": old - 1}),
                ("old root flipped", {"old_root": flipped(ROOTS[old], bit=new)}),
                ("new root flipped", {"new_root": flipped(ROOTS[new], bit=old)}),
                ("empty old root", {"old_root": b""}),
                ("empty new root", {"new_root": b""}),
                ("another old root", {"old_root": OTHER}),
                ("root of no tree", {"old_root": ROOTS[0]}),
                *((how, {"hashes": hashes}) for how, hashes in bent(honest["hashes"])),
            ]
            if old != new:
                roots = {"old_root": ROOTS[new], "new_root": ROOTS[old]}
                changes.append(("roots swapped", roots))
                changes.append(("sizes swapped", {"old": new, "new": old}))
            yield from _all(honest, changes)


def bent(hashes: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Lists that are not `hashes`, each with a word for what was done."""
    for at, item in enumerate(hashes):
        rest = hashes[:at], hashes[at + 1 :]
        yield f"hash {at} flipped", [*rest[0], flipped(item, bit=at * 37 + 5), *rest[1]]
        yield f"hash {at} removed", [*rest[0], *rest[1]]
        yield f"hash {at} empty", [*rest[0], b"", *rest[1]]
        yield f"hash {at} doubled", [*rest[0], item, item, *rest[1]]
    yield "garbage before", [OTHER, *hashes]
    yield "garbage after", [*hashes, OTHER]
    yield "zeros after", [*hashes, bytes(32)]
    yield "short hash after", [*hashes, OTHER[:31]]
    if len(hashes) > 1:
        yield "reversed", hashes[::-1]
        yield "none", []


def flipped(value: bytes, *, bit: int) -> bytes:
    """`value` with one bit changed."""
    changed = bytearray(value)
    changed[bit // 8 % len(value)] ^= 1 << bit % 8
    return bytes(changed)


def as_json(probe: Probe) -> dict[str, Any]:
    """The probe with its hashes in base64, as other programs get it."""
    return {name: _shown(value) for name, value in probe.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return naive_tree.base64_of(value) if isinstance(value, bytes) else value


def _all(honest: Probe, changes: list[tuple[str, Probe]]) -> Iterator[Probe]:
    yield {**honest, "good": True, "how": "as it is"}
    for how, change in changes:
        yield {**honest, **change, "good": False, "how": how}


if __name__ == "__main__":
    found = [as_json(probe) for probe in (*inclusion_probes(), *consistency_probes())]
    json.dump(found, sys.stdout, indent=1)
