"""Builds the document in ledger.json with our own code: `python -m tests.vectors.ledger_fixture`.

The fixture was written once and is frozen with the format; tests compare both ways.
"""

import json
import sys
from typing import Any

from tallystick.ledger.canonical import commit
from tallystick.ledger.checkpoint import Checkpoint, encode64
from tallystick.ledger.entry import Draft, place
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import consistency_proof, inclusion_proof, root_of
from tallystick.ledger.proof_file import ProofFile

ORIGIN = "tally.local/00112233445566ff"
SEED = bytes(range(64, 96))
COMMITTED = commit(b"\x0f" * 16, "größer als 5 €".encode())


def drafts() -> list[Draft]:
    data: list[dict[str, Any]] = [
        {"goal": {"c": COMMITTED.c, "n": COMMITTED.n}, "wild": True},
        {"params": {"lr": "0.01", "seed": 1}, "list": [1, "two", None, False, {"a.b": []}]},
        {},
        {"text": 'quote " backslash \\ slash / newline \n tab \t bell \u0007 del \u007f'},
        {"text": "umlaut ü, snow \u2603, astral \U0001f9ee, separator \u2028"},
        {"largest": 2**53 - 1, "smallest": -(2**53 - 1), "zero": 0},
        {"z": 1, "a": 2, "_": 3, "0": 4, "a.": 5, "a_": 6},
    ]
    sessions = ["chat-42", None, "überall", "chat-42", None, "chat-42", "chat-42"]
    return [
        Draft(
            ts=1_700_000_000_000 + number,
            type="run.registered",
            stream=f"run_{number:012x}",
            actor_token="tok_0123456789ab",
            actor_role="agent",
            session=session,
            data=item,
        )
        for number, (item, session) in enumerate(zip(data, sessions, strict=True))
    ]


def build() -> dict[str, Any]:
    signer = Signer(ORIGIN, SEED)
    entries = [place(seq, draft) for seq, draft in enumerate(drafts())]
    leaves = [entry.leaf_hash for entry in entries]
    size = len(leaves)

    def subtree(level: int, index: int) -> bytes:
        return root_of(leaves[index << level : (index + 1) << level])

    checkpoints = [
        signer.sign(Checkpoint(ORIGIN, count, root_of(leaves[:count])).text())
        for count in range(size + 1)
    ]
    proofs = [[inclusion_proof(subtree, i, n) for i in range(n)] for n in range(1, size + 1)]
    links = [
        [consistency_proof(subtree, m, n) for m in range(1, n + 1)] for n in range(1, size + 1)
    ]
    return {
        "origin": ORIGIN,
        "seed": SEED.hex(),
        "vkey": signer.vkey,
        "entries": [entry.raw.decode() for entry in entries],
        "leaf_hashes": [leaf.hex() for leaf in leaves],
        "roots": [root_of(leaves[:count]).hex() for count in range(size + 1)],
        "inclusion": [[[encode64(h) for h in proof] for proof in row] for row in proofs],
        "consistency": [[[encode64(h) for h in proof] for proof in row] for row in links],
        "checkpoints": checkpoints,
        "tlog_proof": ProofFile(
            index=3, hashes=tuple(proofs[size - 1][3]), checkpoint=checkpoints[size]
        ).text(),
    }


if __name__ == "__main__":
    json.dump(build(), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
