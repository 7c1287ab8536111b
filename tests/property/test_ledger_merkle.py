"""Every proof of every small tree verifies, and none of its mutations does."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.errors import VerificationError
from tallystick.ledger.merkle import (
    Edge,
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.vectors import naive_tree

LARGEST = 40
LEAVES = [naive_tree.leaf(bytes([number])) for number in range(LARGEST + 2)]
ROOTS = [naive_tree.root(LEAVES[:size]) for size in range(LARGEST + 2)]
SIZES = range(1, LARGEST + 1)
OTHER = naive_tree.leaf(b"another")


def subtree(level: int, index: int) -> bytes:
    return root_of(LEAVES[index << level : (index + 1) << level])


def flipped(value: bytes, *, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8 % len(value)] ^= 1 << bit % 8
    return bytes(changed)


def bent(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Proofs that are not `proof`: a bit flipped, hashes dropped, added, swapped, cut, emptied."""
    whole = list(proof)
    for at, item in enumerate(whole):
        yield [*whole[:at], flipped(item, bit=at * 37), *whole[at + 1 :]]
        yield [*whole[:at], *whole[at + 1 :]]
        yield [*whole[:at], b"", *whole[at + 1 :]]
        yield [*whole[:at], item[:31], *whole[at + 1 :]]
    for extra in (OTHER, b"", b"\x00" * 32):
        yield [*whole, extra]
        yield [extra, *whole]
    if whole:
        yield [*whole, whole[-1]]
        yield []
    if whole != whole[::-1]:
        yield whole[::-1]


def refuses(check: Callable[[], None]) -> bool:
    try:
        check()
    except VerificationError:
        return True
    return False


def check_inclusion(
    leaf: bytes, proof: Sequence[bytes], at: tuple[int, int], root: bytes
) -> Callable[[], None]:
    index, size = at
    return lambda: verify_inclusion(leaf, proof, index=index, size=size, root=root)


def check_consistency(
    proof: Sequence[bytes], sizes: tuple[int, int], roots: tuple[bytes, bytes]
) -> Callable[[], None]:
    return lambda: verify_consistency(
        proof, old_size=sizes[0], new_size=sizes[1], old_root=roots[0], new_root=roots[1]
    )


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof_verifies_and_its_mutations_do_not(size: int) -> None:
    root = ROOTS[size]
    for index in range(size):
        leaf, proof = LEAVES[index], inclusion_proof(subtree, index, size)
        assert proof == naive_tree.inclusion(index, LEAVES[:size])
        check_inclusion(leaf, proof, (index, size), root)()
        for other in range(-1, size + 2):
            if other != index:
                assert refuses(check_inclusion(leaf, proof, (other, size), root)), other
        for wrong in (flipped(leaf, bit=index), OTHER, b"", leaf + b"\x00", root):
            if wrong != leaf:
                assert refuses(check_inclusion(wrong, proof, (index, size), root))
        for wrong in (flipped(root, bit=index), ROOTS[size - 1], ROOTS[size + 1], b"", OTHER):
            assert refuses(check_inclusion(leaf, proof, (index, size), wrong))
        for wrong_proof in bent(proof):
            assert refuses(check_inclusion(leaf, wrong_proof, (index, size), root)), wrong_proof


@pytest.mark.parametrize("size", SIZES)
def test_an_inclusion_proof_does_not_serve_a_size_of_another_length(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(subtree, index, size)
        for other in range(LARGEST + 2):
            fits = index < other and len(naive_tree.inclusion(index, LEAVES[:other])) == len(proof)
            if not fits:
                assert refuses(check_inclusion(LEAVES[index], proof, (index, other), ROOTS[size]))


@pytest.mark.parametrize("new", SIZES)
def test_every_consistency_proof_verifies_and_its_mutations_do_not(new: int) -> None:
    for old in range(1, new + 1):
        sizes, roots = (old, new), (ROOTS[old], ROOTS[new])
        proof = consistency_proof(subtree, old, new)
        assert proof == naive_tree.consistency(old, LEAVES[:new])
        check_consistency(proof, sizes, roots)()
        for wrong_proof in bent(proof):
            assert refuses(check_consistency(wrong_proof, sizes, roots)), wrong_proof
        for at in (0, 1):
            for wrong in (flipped(roots[at], bit=old), OTHER, b"", ROOTS[0]):
                swapped = (wrong, roots[1]) if at == 0 else (roots[0], wrong)
                assert refuses(check_consistency(proof, sizes, swapped))
        if old != new:
            assert refuses(check_consistency(proof, sizes, roots[::-1]))
            assert refuses(check_consistency(proof, (new, old), roots))
        for wrong_sizes in ((0, new), (old, 0), (old, old - 1), (-old, new), (0, 0)):
            assert refuses(check_consistency(proof, wrong_sizes, roots))


@pytest.mark.parametrize("new", SIZES)
def test_a_consistency_proof_does_not_serve_another_old_size(new: int) -> None:
    for old in range(1, new + 1):
        proof = consistency_proof(subtree, old, new)
        for other in range(1, new + 1):
            if other != old:
                check = check_consistency(proof, (other, new), (ROOTS[old], ROOTS[new]))
                assert refuses(check), (old, other)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=700), st.integers(0, 700))
def test_the_edge_has_the_root_of_the_naive_tree_however_it_was_reached(
    leaves: list[bytes], cut: int
) -> None:
    edge = Edge().extend(leaves[:cut])
    assert edge.root() == naive_tree.root(leaves[:cut])
    for leaf in leaves[cut : cut + 5]:
        edge = edge.append(leaf)
    edge = edge.extend(leaves[cut + 5 :])
    assert edge.root() == naive_tree.root(leaves)
    assert edge.size == len(leaves)
