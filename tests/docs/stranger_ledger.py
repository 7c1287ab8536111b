"""A ledger by a stranger: written from docs/spec/ledger-format.md, and from nothing else.

Imports nothing of ours; Ed25519 is somebody else's. The tree is the naive one of tests/vectors.
Numbers in comments are the steps of section 10.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.vectors import naive_tree

MEMBERS = {"v", "seq", "ts", "type", "stream", "actor", "session", "data"}


class BadLedgerError(Exception):
    """What is wrong; the second argument is the first bad entry, or None."""


def require(truth: object, what: str, entry: int | None = None) -> None:
    if not truth:
        raise BadLedgerError(what, entry)


def key_id(origin: str, public: bytes) -> bytes:
    return hashlib.sha256(origin.encode() + b"\x0a\x01" + public).digest()[:4]


def read_vkey(vkey: str) -> tuple[str, bytes]:
    origin, digits, encoded = vkey.split("+", 2)
    material = base64.b64decode(encoded)
    require(len(material) == 33 and material[0] == 1, "no Ed25519 key")
    require(key_id(origin, material[1:]).hex() == digits, "not the key's id")
    return origin, material[1:]


def open_checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    origin, public = read_vkey(vkey)
    text, blank, lines = note.rpartition("\n\n")
    require(blank and lines.endswith("\n"), "no signed note")
    signed = False
    for line in lines.splitlines():
        mark, name, encoded = line.split(" ")
        require(mark == "\u2014", "no signature line")
        value = base64.b64decode(encoded)
        if name == origin and value[:4] == key_id(origin, public):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(value[4:], f"{text}\n".encode())
            except InvalidSignature:
                raise BadLedgerError("a signature that does not hold", None) from None
            signed = True
    require(signed, "not signed by the ledger's key")
    found, size, root = text.split("\n")
    require(found == origin, "another origin")
    require(re.fullmatch("0|[1-9][0-9]*", size), "no size")
    return int(size), base64.b64decode(root)


def path_of(index: int, width: int) -> str:
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == 256 else f"{path}.p/{width}"


def verify(directory: Path, vkey: str) -> list[Any]:
    """The entries of an export, or BadLedgerError."""
    size, root = open_checkpoint((directory / "checkpoint").read_text(), vkey)  # 1, 2
    leaves: list[bytes] = []
    entries: list[Any] = []
    wanted: set[Path] = set()
    for index in range(-(-size // 256)):  # 3
        width = min(256, size - index * 256)
        file = directory / "tile" / "entries" / path_of(index, width)
        wanted.add(file)
        require(file.is_file(), "no bundle", index * 256)
        rest = file.read_bytes()
        for _ in range(width):
            length = int.from_bytes(rest[:2], "big")
            raw, rest = rest[2 : 2 + length], rest[2 + length :]
            entries.append(read_entry(raw, len(entries)))  # 4
            leaves.append(naive_tree.leaf(raw))  # 5
        require(not rest, "more than the entries", len(entries))
    for (level, index), tile in naive_tree.tiles(leaves).items():  # 5, 6
        file = directory / "tile" / str(level) / path_of(index, len(tile) // 32)
        wanted.add(file)
        require(file.is_file() and file.read_bytes() == tile, f"{file} is another tile")
    require(naive_tree.root(leaves) == root, "another root")  # 7
    found = {file for file in (directory / "tile").rglob("*") if file.is_file()}
    require(found == wanted, "files that no such tree has")  # 8
    return entries


def read_entry(raw: bytes, position: int) -> Any:
    try:
        entry = json.loads(raw)
    except ValueError:
        raise BadLedgerError("no JSON", position) from None
    require(isinstance(entry, dict) and set(entry) == MEMBERS, "other members", position)
    require(entry["v"] == 1 and entry["seq"] == position, "another version or place", position)
    require(set(entry["actor"]) == {"role", "token"}, "another actor", position)
    require(naive_tree.jcs(entry) == raw, "another spelling", position)
    return entry


def check_receipt(receipt: Any, vkey: str, proof: Sequence[bytes], size: int, root: bytes) -> bool:
    """Whether the proof leads from the receipt's leaf to the root of `size` entries."""
    covered, _ = open_checkpoint(receipt["checkpoint"], vkey)
    require(receipt["seq"] < covered <= size, "a checkpoint that does not cover it")
    return climb(receipt["seq"], size, bytes.fromhex(receipt["leaf_hash"]), list(proof)) == root


def climb(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 6962, section 2.1.1), from the top down."""
    if size == 1:
        require(not proof, "a proof that is too long")
        return leaf
    require(proof, "a proof that is too short")
    require(len(proof[-1]) == 32, "a hash of another length")
    k = naive_tree.split(size)
    if index < k:
        pair = climb(index, k, leaf, proof[:-1]) + proof[-1]
    else:
        pair = proof[-1] + climb(index - k, size - k, leaf, proof[:-1])
    return hashlib.sha256(b"\x01" + pair).digest()


def produce(directory: Path, entries: Sequence[Any], *, origin: str, seed: bytes) -> str:
    """Write an export; the verifier key."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    raws = [naive_tree.jcs(entry) for entry in entries]
    for index in range(-(-len(raws) // 256)):
        bundle = raws[index * 256 : index * 256 + 256]
        content = b"".join(len(raw).to_bytes(2, "big") + raw for raw in bundle)
        write(directory / "tile" / "entries" / path_of(index, len(bundle)), content)
    leaves = [naive_tree.leaf(raw) for raw in raws]
    for (level, index), tile in naive_tree.tiles(leaves).items():
        write(directory / "tile" / str(level) / path_of(index, len(tile) // 32), tile)
    root = naive_tree.base64_of(naive_tree.root(leaves))
    text = f"{origin}\n{len(raws)}\n{root}\n"
    signature = naive_tree.base64_of(key_id(origin, public) + key.sign(text.encode()))
    write(directory / "checkpoint", f"{text}\n\u2014 {origin} {signature}\n".encode())
    material = naive_tree.base64_of(b"\x01" + public)
    return f"{origin}+{key_id(origin, public).hex()}+{material}"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
