"""Go's sumdb/note and sumdb/tlog agree with us about our checkpoints and proofs, good and bad."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.merkle import Edge
from tallystick.ledger.proof_file import ProofFile
from tests.foreign.conftest import Judge
from tests.unit.api.in_process import build_api
from tests.unit.ledger.kept_ledger import Kept, open_kept
from tests.vectors.proof_probes import as_json, consistency_probes, flipped, inclusion_probes

SIZES = [1, 2, 3, 24, 255, 256, 257, 300, 512, 1000]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, dict[int, str]]]:
    """A ledger of 1000 entries, and the checkpoint that it signed at each of the sizes."""
    kept = open_kept(tmp_path_factory.mktemp("grown") / "tally.db")
    notes = {}
    for size in SIZES:
        kept.grow(size)
        notes[size] = kept.ledger.note
    yield kept, notes
    kept.db.close()


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def root_in(note: str) -> str:
    return note.split("\n")[2]


def refused(verdicts: list[str]) -> list[bool]:
    return [bool(verdict) for verdict in verdicts]


def test_go_opens_our_checkpoints_and_no_bent_one(
    judge: Judge, grown: tuple[Kept, dict[int, str]]
) -> None:
    kept, notes = grown
    vkey = kept.ledger.vkey
    good = [{"kind": "checkpoint", "note": note} for note in notes.values()]
    assert judge(vkey, good) == [""] * len(SIZES)
    note = notes[300]
    text, signature = note.rstrip("\n").rsplit(" ", 1)
    value = base64.b64decode(signature)
    bent = [
        *(f"{text} {encoded(flipped(value, bit=bit))}\n" for bit in range(8 * len(value))),
        note.replace("\n300\n", "\n301\n"),
        note.replace("\n300\n", "\n0300\n"),
        note.replace("\n\n", "\nextension\n\n"),
        note.replace("\n\n", "\n"),
        note[:-1],
        notes[257].split("\n\n")[0] + "\n\n" + note.split("\n\n")[1],
    ]
    verdicts = judge(vkey, [{"kind": "checkpoint", "note": item} for item in bent])
    assert all(refused(verdicts))


def test_go_accepts_the_inclusion_proofs_of_a_real_ledger(
    judge: Judge, grown: tuple[Kept, dict[int, str]]
) -> None:
    kept, notes = grown
    probes = []
    with kept.db.read() as tx:
        leaves = [entry.leaf_hash for entry in Ledger.read(tx, limit=1000)]
        for size, note in notes.items():
            assert root_in(note) == encoded(Edge().extend(leaves[:size]).root())
            for index in {0, 1, size // 2, size - 2, size - 1, 255, 256} & set(range(size)):
                hashes = Ledger.inclusion(tx, index, size)
                probe = inclusion(leaves[index], hashes, note, index=index, size=size)
                probes.append(probe)
    assert judge(kept.ledger.vkey, probes) == [""] * len(probes)
    bent = [{**probe, "leaf": encoded(flipped(leaves[0], bit=9))} for probe in probes]
    assert all(refused(judge(kept.ledger.vkey, bent)))


def inclusion(
    leaf: bytes, hashes: list[bytes], note: str, *, index: int, size: int
) -> dict[str, Any]:
    return {
        "kind": "inclusion",
        "index": index,
        "new": size,
        "leaf": encoded(leaf),
        "hashes": [encoded(item) for item in hashes],
        "new_root": root_in(note),
    }


def test_go_accepts_the_consistency_proofs_of_a_real_ledger(
    judge: Judge, grown: tuple[Kept, dict[int, str]]
) -> None:
    kept, notes = grown
    probes: list[dict[str, Any]] = []
    with kept.db.read() as tx:
        probes += [
            {
                "kind": "consistency",
                "old": old,
                "new": new,
                "hashes": [encoded(item) for item in Ledger.consistency(tx, old, new)],
                "old_root": root_in(notes[old]),
                "new_root": root_in(notes[new]),
            }
            for new in SIZES
            for old in SIZES
            if old <= new
        ]
    assert judge(kept.ledger.vkey, probes) == [""] * len(probes)
    bent = [{**probe, "old_root": encoded(bytes(32))} for probe in probes]
    assert all(refused(judge(kept.ledger.vkey, bent)))


def test_go_gives_our_verdict_on_every_probe(judge: Judge) -> None:
    probes = [*inclusion_probes(), *consistency_probes()]
    verdicts = judge("unused", [as_json(probe) for probe in probes])
    wrong = [
        (probe["kind"], probe["how"], probe.get("index", probe.get("old")), probe["new"], verdict)
        for probe, verdict in zip(probes, verdicts, strict=True)
        if (verdict == "") is not probe["good"]
    ]
    assert wrong == []


def test_go_verifies_a_proof_file_and_no_edited_one(
    judge: Judge, grown: tuple[Kept, dict[int, str]]
) -> None:
    kept, notes = grown
    files = []
    with kept.db.read() as tx:
        for size in SIZES:
            index = size // 2
            entry = Ledger.read(tx, after=index - 1, limit=1)[0]
            hashes = tuple(Ledger.inclusion(tx, index, size))
            proof = ProofFile(index=index, hashes=hashes, checkpoint=notes[size], extra=entry.raw)
            files.append(proof.text())
    probes = [{"kind": "file", "note": text} for text in files]
    assert judge(kept.ledger.vkey, probes) == [""] * len(files)
    bent = [
        *(text.replace("\nindex ", "\nindex 1") for text in files),
        *(text.replace("extra ", "extra AAAA") for text in files),
        *(text.replace("@v1", "@v2") for text in files),
        *(files[5].replace(line, line[::-1]) for line in files[5].split("\n")[3:-7]),
    ]
    assert all(refused(judge(kept.ledger.vkey, [{"kind": "file", "note": t} for t in bent])))


def test_go_accepts_what_a_server_answers_over_http(judge: Judge, tmp_path: Path) -> None:
    api = build_api(tmp_path)
    try:
        sweep = api.sweep()["id"]
        receipts = [api.register(sweep_id=sweep, name=f"r{n}")["receipt"] for n in range(3)]
        vkey = api.call("GET", "/ledger/vkey").text.strip()
        probes: list[dict[str, Any]] = []
        heads = []
        for receipt in receipts:
            note = receipt["checkpoint"]
            heads.append(note)
            size = int(note.split("\n")[1])
            answer = api.get(f"/ledger/proof/{receipt['seq']}?size={size}")
            probes.append({"kind": "checkpoint", "note": note})
            probes.append(
                {
                    "kind": "inclusion",
                    "index": receipt["seq"],
                    "new": size,
                    "leaf": encoded(bytes.fromhex(receipt["leaf_hash"])),
                    "hashes": answer["hashes"],
                    "new_root": root_in(note),
                }
            )
        sizes = [int(note.split("\n")[1]) for note in heads]
        answer = api.get(f"/ledger/consistency?old={sizes[0]}&new={sizes[2]}")
        probes.append(
            {
                "kind": "consistency",
                "old": sizes[0],
                "new": sizes[2],
                "hashes": answer["hashes"],
                "old_root": root_in(heads[0]),
                "new_root": root_in(heads[2]),
            }
        )
    finally:
        api.close()
    assert judge(vkey, probes) == [""] * len(probes)
    probes[-1]["old_root"] = root_in(heads[1])
    assert refused(judge(vkey, probes)) == [False] * 6 + [True]
