"""The format is pinned twice: by a worked ledger shared between projects, and by our fixture."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.errors import VerificationError
from tallystick.ledger.canonical import canonical, commit
from tallystick.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    encode64,
    open_checkpoint,
    open_note,
)
from tallystick.ledger.entry import Draft, parse, place
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tallystick.ledger.proof_file import ProofFile
from tallystick.ledger.verify import malformed, parse_vkey
from tallystick.ledger.verify import open_checkpoint as open_as_stranger
from tests.vectors import naive_tree
from tests.vectors.ledger_fixture import build

REPOSITORY = Path(__file__).parents[3]
SHARED = REPOSITORY.parent / "shared" / "data" / "tlog" / "vectors.json"
OWN = REPOSITORY / "tests" / "vectors" / "ledger.json"


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    if not SHARED.exists():
        message = f"NOT CHECKED: the shared worked ledger is missing at {SHARED}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    document: dict[str, Any] = json.loads(SHARED.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def own() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OWN.read_text(encoding="utf-8"))
    return document


def leaves_of(vectors: dict[str, Any]) -> list[bytes]:
    return [leaf_hash(entry.encode()) for entry in vectors["entries"]]


def reader(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def test_shared_entries_are_reproduced_from_their_meaning(shared: dict[str, Any]) -> None:
    for seq, text in enumerate(shared["entries"]):
        document = json.loads(text)
        assert canonical(document) == text.encode()
        draft = Draft(
            ts=document["ts"],
            type=document["type"],
            stream=document["stream"],
            actor_token=document["actor"]["token"],
            actor_role=document["actor"]["role"],
            session=document["session"],
            data=document["data"],
        )
        entry = place(seq, draft)
        assert entry.raw == text.encode()
        assert entry == parse(seq, text.encode(), entry.leaf_hash)
        assert malformed(text.encode(), seq) is None


def test_shared_hashes_and_roots_are_reproduced(shared: dict[str, Any]) -> None:
    leaves = leaves_of(shared)
    assert [leaf.hex() for leaf in leaves] == shared["leaf_hashes"]
    assert root_of(leaves).hex() == shared["root5"]
    assert root_of(leaves[:3]).hex() == shared["root3"]
    assert EMPTY_ROOT.hex() == root_of([]).hex() == shared["root0"]


def test_shared_proofs_are_reproduced_and_verify(shared: dict[str, Any]) -> None:
    leaves = leaves_of(shared)
    inclusion = inclusion_proof(reader(leaves), 1, 5)
    consistency = consistency_proof(reader(leaves), 3, 5)
    assert [encode64(item) for item in inclusion] == shared["inclusion_1_of_5"]
    assert [encode64(item) for item in consistency] == shared["consistency_3_5"]
    old, new = bytes.fromhex(shared["root3"]), bytes.fromhex(shared["root5"])
    verify_inclusion(leaves[1], inclusion, index=1, size=5, root=new)
    verify_consistency(consistency, old_size=3, new_size=5, old_root=old, new_root=new)


def test_shared_key_and_checkpoints_are_reproduced(shared: dict[str, Any]) -> None:
    signer = Signer(shared["origin"], bytes.fromhex(shared["seed"]))
    assert signer.key.public.hex() == shared["pub"]
    assert signer.vkey == shared["vkey"]
    leaves = leaves_of(shared)
    for count, name in ((3, "checkpoint3"), (5, "checkpoint")):
        head = Checkpoint(shared["origin"], count, root_of(leaves[:count]))
        assert signer.sign(head.text()) == shared[name]
        assert open_checkpoint(shared[name], signer.key) == head


def test_shared_cosigned_note_opens_with_and_without_the_witness_key(
    shared: dict[str, Any],
) -> None:
    log, witness = VerifierKey.parse(shared["vkey"]), VerifierKey.parse(shared["wvkey"])
    assert str(witness) == shared["wvkey"]
    assert open_checkpoint(shared["cosigned"], log).size == 5
    text, signers = open_note(shared["cosigned"], (log, witness))
    assert signers == (log, witness)
    assert text == open_note(shared["checkpoint"], (log,))[0]
    size, root = open_as_stranger(shared["cosigned"], *parse_vkey(shared["vkey"]))
    assert (size, root.hex()) == (5, shared["root5"])
    forged = shared["cosigned"].replace("IDJKvgAAAABlU/Fk", "IDJKvgAAAABlU/Fl")
    assert open_checkpoint(forged, log).size == 5, "an unknown key's line is passed over"
    with pytest.raises(VerificationError, match=r"witness\.example"):
        open_note(forged, (log, witness))


def test_shared_proof_text_is_reproduced(shared: dict[str, Any]) -> None:
    proof = inclusion_proof(reader(leaves_of(shared)), 1, 5)
    file = ProofFile(index=1, hashes=tuple(proof), checkpoint=shared["cosigned"])
    assert file.text() == shared["tlog_proof"]


def test_shared_commitments_are_reproduced(shared: dict[str, Any]) -> None:
    for item in shared["payloads"]:
        made = commit(bytes.fromhex(item["salt"]), item["text"].encode())
        assert {"c": made.c, "n": made.n} == item["commitment"]


def test_our_code_still_writes_the_frozen_fixture(own: dict[str, Any]) -> None:
    assert build() == own


def test_the_frozen_fixture_agrees_with_a_second_computation(own: dict[str, Any]) -> None:
    entries = [text.encode() for text in own["entries"]]
    assert [naive_tree.jcs(json.loads(entry)) for entry in entries] == entries
    assert [json.loads(entry)["seq"] for entry in entries] == list(range(len(entries)))
    leaves = [naive_tree.leaf(entry) for entry in entries]
    assert [leaf.hex() for leaf in leaves] == own["leaf_hashes"]
    sizes = range(len(leaves) + 1)
    assert [naive_tree.root(leaves[:size]).hex() for size in sizes] == own["roots"]
    for size in sizes[1:]:
        some = leaves[:size]
        for index in range(size):
            want = [naive_tree.base64_of(item) for item in naive_tree.inclusion(index, some)]
            assert own["inclusion"][size - 1][index] == want
            want = [naive_tree.base64_of(item) for item in naive_tree.consistency(index + 1, some)]
            assert own["consistency"][size - 1][index] == want


def test_the_frozen_checkpoints_agree_with_a_second_computation(own: dict[str, Any]) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(own["seed"]))
    for size, root in enumerate(own["roots"]):
        root64 = base64.b64encode(bytes.fromhex(root)).decode()
        text = f"{own['origin']}\n{size}\n{root64}\n"
        key_id = bytes.fromhex(own["vkey"].split("+")[1])
        signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
        assert own["checkpoints"][size] == f"{text}\n— {own['origin']} {signature}\n"
    hashes = "".join(f"{item}\n" for item in own["inclusion"][-1][3])
    header = "c2sp.org/tlog-proof@v1\nindex 3\n"
    assert own["tlog_proof"] == f"{header}{hashes}\n{own['checkpoints'][-1]}"
