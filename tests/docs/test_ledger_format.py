"""docs/spec/ledger-format.md is enough: what was written from it reads ours, and we read it."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tallystick.ledger import verify
from tallystick.ledger.entry import MAX_DATA_BYTES, MAX_ENTRY_BYTES
from tallystick.testing.server import ServerProcess, running_server
from tests.docs import stranger_ledger as stranger
from tests.docs.page import REPOSITORY, page
from tests.vectors import naive_tree

PAGE = page("docs/spec/ledger-format.md")
VECTORS = json.loads((REPOSITORY / "tests" / "vectors" / "ledger.json").read_text())
ORIGIN = "tally.local/0123456789abcdef"


def worked() -> list[str]:
    """The blocks of section 12, in order."""
    section = PAGE.partition("## 12. ")[2]
    return [block.rstrip("\n") for block in re.findall(r"```text\n(.*?)```", section, re.DOTALL)]


def test_the_worked_ledger_of_the_page_is_that_of_the_vectors() -> None:
    seed, vkey, first, others, leaves, roots, inclusion, consistency, checkpoint = worked()
    assert (seed, vkey) == (VECTORS["seed"], VECTORS["vkey"])
    assert first == VECTORS["entries"][0]
    assert others.splitlines() == [VECTORS["entries"][2], VECTORS["entries"][6]]
    assert leaves.splitlines() == VECTORS["leaf_hashes"]
    assert roots.splitlines() == [VECTORS["roots"][3], VECTORS["roots"][7]]
    assert inclusion.splitlines() == VECTORS["inclusion"][6][3]
    assert consistency.splitlines() == VECTORS["consistency"][6][2]
    assert checkpoint == VECTORS["checkpoints"][7].rstrip("\n")


def test_the_worked_values_follow_from_the_words_of_the_page() -> None:
    _, vkey, first, _, leaves, roots, inclusion, consistency, checkpoint = worked()
    digest = hashlib.sha256(b"\x0f" * 16 + "größer als 5 €".encode()).hexdigest()
    assert json.loads(first)["data"]["goal"] == {"c": digest, "n": 18}
    hashes = [naive_tree.leaf(entry.encode()) for entry in VECTORS["entries"]]
    assert leaves.splitlines() == [each.hex() for each in hashes]
    assert roots.splitlines() == [naive_tree.root(hashes[:n]).hex() for n in (3, 7)]
    proof = [base64.b64decode(line) for line in inclusion.splitlines()]
    assert proof == naive_tree.inclusion(3, hashes)
    assert stranger.climb(3, 7, hashes[3], proof) == naive_tree.root(hashes)
    found = [base64.b64decode(line) for line in consistency.splitlines()]
    assert found == naive_tree.consistency(3, hashes)
    assert stranger.open_checkpoint(f"{checkpoint}\n", vkey) == (7, naive_tree.root(hashes))


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    assert f"{MAX_DATA_BYTES:,} bytes" in PAGE
    assert f"{MAX_ENTRY_BYTES:,} bytes" in PAGE
    assert f"±{2**53 - 1:,} |" in PAGE


# ---------------------------------------------------------------- a stranger's verifier


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_server(tmp_path_factory.mktemp("format")) as running:
        yield running


def exported(server: ServerProcess, directory: Path) -> tuple[Path, str]:
    """What an export is, fetched piece by piece over HTTP, as section 9 says."""
    note = server.get("/ledger/checkpoint")
    size = int(note.splitlines()[1])
    stranger.write(directory / "checkpoint", note.encode())
    for level in ("entries", "0"):
        for index in range(-(-size // 256)):
            path = f"{level}/{stranger.path_of(index, min(256, size - index * 256))}"
            stranger.write(directory / "tile" / path, server.get(f"/ledger/tile/{path}"))
    if size >= 256:
        path = f"1/{stranger.path_of(0, size // 256)}"
        stranger.write(directory / "tile" / path, server.get(f"/ledger/tile/{path}"))
    return directory, server.get("/ledger/vkey").strip()


def test_a_strangers_verifier_accepts_a_real_ledger_and_its_receipts(
    server: ServerProcess, tmp_path: Path
) -> None:
    sweep = server.sweep()
    receipts = [server.run(sweep, "true", auto_start=False)["receipt"] for _ in range(130)]
    for made in range(130):
        server.run(sweep, "true", auto_start=False, name=f"later {made}")
    directory, vkey = exported(server, tmp_path)
    entries = stranger.verify(directory, vkey)
    assert len(entries) > 256
    assert entries[0]["type"] == "ledger.opened"
    assert entries[0]["data"] == {"origin": vkey.split("+")[0], "vkey": vkey}
    note = (directory / "checkpoint").read_text()
    size, root = stranger.open_checkpoint(note, vkey)
    for receipt in receipts[:: len(receipts) // 10]:
        answer = server.get(f"/ledger/proof/{receipt['seq']}?size={size}")
        proof = [base64.b64decode(each) for each in answer["hashes"]]
        assert stranger.check_receipt(receipt, vkey, proof, size, root)
        assert not stranger.check_receipt(
            {**receipt, "leaf_hash": "0" * 64}, vkey, proof, size, root
        )


def test_a_strangers_verifier_names_a_changed_entry(server: ServerProcess, tmp_path: Path) -> None:
    server.sweep()
    directory, vkey = exported(server, tmp_path)
    bundle = min((directory / "tile" / "entries").rglob("*[0-9]"), key=lambda path: len(str(path)))
    if bundle.is_dir():
        (bundle,) = bundle.iterdir()
    content = bytearray(bundle.read_bytes())
    content[content.index(b'"seq":1') + 6] = ord("7")
    bundle.write_bytes(content)
    with pytest.raises(stranger.BadLedgerError) as caught:
        stranger.verify(directory, vkey)
    assert caught.value.args[1] == 1


# ---------------------------------------------------------------- a stranger's ledger


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_our_verifier_accepts_a_strangers_ledger(tmp_path: Path, size: int) -> None:
    entries = [
        {
            "v": 1,
            "seq": seq,
            "ts": 1_700_000_000_000 + seq,
            "type": "note.written",
            "stream": "ledger",
            "actor": {"role": "system", "token": "tok_000000000000"},
            "session": None if seq % 2 else "Gespräch",
            "data": {"text": f'"{seq}"\n\u2028', "list": [True, None, -seq]},
        }
        for seq in range(size)
    ]
    vkey = stranger.produce(tmp_path, entries, origin=ORIGIN, seed=bytes(range(32)))
    report = verify.verify_export(tmp_path, vkey)
    assert (report.size, report.origin) == (size, ORIGIN)
    assert stranger.verify(tmp_path, vkey) == entries
