"""The tree agrees with the definitions of RFC 6962, written again naively."""

from collections.abc import Callable

import pytest

from tallystick.errors import InvalidError, VerificationError
from tallystick.ledger.merkle import (
    EMPTY_ROOT,
    Edge,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.vectors import naive_tree

LEAVES = [naive_tree.leaf(str(number).encode()) for number in range(600)]


def reader(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    def read(level: int, index: int) -> bytes:
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level, "only complete subtrees may be asked for"
        return naive_tree.root(part)

    return read


def test_leaves_and_nodes_are_hashed_apart() -> None:
    assert leaf_hash(b"x") == naive_tree.leaf(b"x")
    assert node_hash(LEAVES[0], LEAVES[1]) == naive_tree.root(LEAVES[:2])
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])


def test_an_empty_edge_has_the_empty_root() -> None:
    assert Edge().root() == EMPTY_ROOT == naive_tree.root([])


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 600])
def test_the_edge_has_the_root_of_the_naive_tree(size: int) -> None:
    assert root_of(LEAVES[:size]) == naive_tree.root(LEAVES[:size])
    edge = Edge().extend(LEAVES[:size])
    assert edge.size == size
    assert len(edge.peaks) == size.bit_count()


def test_the_edge_of_seventy_thousand_leaves_is_that_of_the_naive_tree() -> None:
    leaves = [naive_tree.leaf(number.to_bytes(4, "big")) for number in range(70_000)]
    edge = Edge().extend(leaves)
    assert edge.root() == naive_tree.root(leaves)
    for level in (0, 1, 2):
        whole = 256 ** (level + 1)
        hashes = [
            naive_tree.root(leaves[at : at + 256**level])
            for at in range(edge.size // whole * whole, edge.size, 256**level)
        ]
        complete = hashes if edge.size % 256**level == 0 else hashes[:-1]
        assert edge.tile_part(level).root() == naive_tree.root(complete)


def test_appending_makes_a_new_edge_and_leaves_the_old_one() -> None:
    old = Edge().extend(LEAVES[:7])
    new = old.append(LEAVES[7])
    assert old.root() == naive_tree.root(LEAVES[:7])
    assert new.root() == naive_tree.root(LEAVES[:8])
    assert new == Edge().extend(LEAVES[:8])


@pytest.mark.parametrize(("index", "size"), [(0, 1), (3, 7), (255, 257), (256, 257), (17, 600)])
def test_inclusion_proofs_are_those_of_the_definition(index: int, size: int) -> None:
    proof = inclusion_proof(reader(LEAVES[:size]), index, size)
    assert proof == naive_tree.inclusion(index, LEAVES[:size])


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 2), (4, 7), (6, 7), (256, 257), (255, 600)])
def test_consistency_proofs_are_those_of_the_definition(old: int, new: int) -> None:
    proof = consistency_proof(reader(LEAVES[:new]), old, new)
    assert proof == naive_tree.consistency(old, LEAVES[:new])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_a_proof_for_an_entry_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(InvalidError, match="0 <= index < size"):
        inclusion_proof(reader(LEAVES), index, size)
    with pytest.raises(VerificationError):
        verify_inclusion(LEAVES[0], [], index=index, size=size, root=LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(-1, 5), (6, 5)])
def test_a_proof_backwards_is_refused(old: int, new: int) -> None:
    with pytest.raises(InvalidError, match="0 <= old <= new"):
        consistency_proof(reader(LEAVES), old, new)
    with pytest.raises(VerificationError, match="no proof can lead"):
        verify_consistency([], old_size=old, new_size=new, old_root=LEAVES[0], new_root=LEAVES[0])


def test_the_empty_tree_needs_no_proof_and_proves_nothing() -> None:
    assert consistency_proof(reader(LEAVES), 0, 5) == []
    with pytest.raises(VerificationError, match="from 0 to 5"):
        verify_consistency([], old_size=0, new_size=5, old_root=EMPTY_ROOT, new_root=LEAVES[0])


def test_equal_sizes_with_different_roots_are_a_fork() -> None:
    with pytest.raises(VerificationError, match="same size with another root"):
        verify_consistency([], old_size=5, new_size=5, old_root=LEAVES[0], new_root=LEAVES[1])
    verify_consistency([], old_size=5, new_size=5, old_root=LEAVES[0], new_root=LEAVES[0])
