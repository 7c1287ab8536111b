"""Verify an exported Tallystick ledger with nothing but Python's standard library.

    python3 verify.py DIR [--vkey KEY] [--checkpoint FILE]... [--receipt FILE]...

Checked are the checkpoint's Ed25519 signature (C2SP signed-note, tlog-checkpoint), each entry's
form and position, the tree (RFC 6962, C2SP tlog-tiles) from every entry's bytes through every
tile up to the signed root, and that no file is changed, missing, or of no tree: every file but
this one, and but hidden ones beside `tile`. The first bad entry is named. Without --vkey the key
is read from DIR, which proves only that DIR agrees with itself. With a checkpoint or a receipt
that was kept, the ledger must have grown from it. Exit status: 0 ok, 2 usage, 4 it does not verify.
What is newer than the checkpoint, and the texts behind commitments, cannot be seen from here.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

WIDTH = 256  # hashes in a full tile, entries in a full bundle
EXIT_OK, EXIT_FAILED = 0, 4
PARTS = frozenset({"checkpoint", "tile", "vkey", "verify.py", "README.txt"})
READMES = frozenset({"08b2158a49a4540cfe748b81702efa9464bf0656a6c5d5e1e70ee9e0c0daabb2"})
"""SHA-256 of each text that README.txt has had; it is the same in every export."""


@dataclass(frozen=True)
class Report:
    """What was checked: the signed head, the key, and whether the caller brought the key along."""

    origin: str
    size: int
    root: str
    vkey: str
    pinned: bool
    first_bad: int | None = None


@dataclass(frozen=True)
class Kept:
    """What somebody kept: a signed checkpoint, and of a receipt also one entry's leaf hash."""

    name: str
    note: str
    seq: int | None = None
    leaf: str = ""


class VerificationError(Exception):
    """The export does not verify; `entry` is the first bad entry, where it is known."""

    def __init__(self, detail: str, entry: int | None = None) -> None:
        """`report` is filled in once the checkpoint has been opened."""
        super().__init__(detail)
        self.entry = entry
        self.report: Report | None = None


def verify_export(path: Path | str, vkey: str | None = None, kept: Sequence[Kept] = ()) -> Report:
    """Check the export in directory `path`; `vkey` pins the key, else it is read from there."""
    directory = Path(path)
    own = directory / "vkey"
    text = vkey if vkey is not None else _read_text(own).removesuffix("\n")
    key = parse_vkey(text)
    size, root = open_checkpoint(_read_text(directory / "checkpoint"), *key)
    report = Report(key[0], size, root.hex(), text, pinned=vkey is not None)
    try:
        heads = [_open_kept(item, key) for item in kept]
        tree = Tree(directory / "tile", size, root, sizes=[head[0] for head in heads])
        tree.leaves = {item.seq: b"" for item in kept if item.seq is not None}
        tree.check()
        for item, head in zip(kept, heads):  # noqa: B905 - one for each, and 3.9 reads this too
            tree.compare(item, *head)
        _check_beside(directory, text)
    except VerificationError as error:
        error.report = replace(report, first_bad=error.entry)
        raise
    return report


def read_receipt(text: str, name: str) -> Kept:
    """A receipt as the server answered it: `seq`, `leaf_hash` and `checkpoint`, in JSON."""
    try:
        document = json.loads(text)
        found = document.get("receipt", document)
        seq, leaf, note = found["seq"], found["leaf_hash"], found["checkpoint"]
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        seq, leaf, note = None, None, None
    if type(seq) is not int or seq < 0 or not (type(leaf) is type(note) is str):
        raise VerificationError(f"{name}: expected JSON with seq, leaf_hash and checkpoint")
    return Kept(name, note, seq, leaf)


# ---------------------------------------------------------------- keys, notes and checkpoints


def parse_vkey(vkey: str) -> tuple[str, bytes]:
    """The name and the 32 bytes of a verifier key `name+hex8+base64`, its id checked."""
    name, _, rest = vkey.partition("+")
    digits, _, encoded = rest.partition("+")
    material = _decode64(encoded, "the verifier key")
    if not _is_name(name) or len(material) != 33 or material[0] != 1:
        raise VerificationError("the verifier key is not an Ed25519 key: name+8 hex digits+base64")
    found = _key_id(name, material[1:]).hex()
    if found != digits:
        raise VerificationError(f"the verifier key says its id is {digits!r}, but it is {found}")
    return name, material[1:]


def open_checkpoint(note: str, name: str, public: bytes) -> tuple[int, bytes]:
    """The size and root in a signed checkpoint; signatures by other keys are passed over."""
    head, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note) or lines.pop() or not lines:
        raise VerificationError("checkpoint: not a signed note")
    text, signed = head + "\n", False
    for line in lines:
        signer, _, encoded = line.removeprefix("\u2014 ").partition(" ")
        if not line.startswith("\u2014 ") or not _is_name(signer):
            raise VerificationError("checkpoint: a signature line that is none")
        value = _decode64(encoded, "checkpoint: a signature")
        if signer == name and value[:4] == _key_id(name, public):
            if not ed25519_verify(public, text.encode(), value[4:]):
                raise VerificationError(f"checkpoint: the signature of {name} does not hold")
            signed = True
    if not signed:
        raise VerificationError(f"checkpoint: no signature by {name}, the key to verify with")
    fields = text.split("\n")
    if len(fields) != 4 or fields[0] != name or not re.fullmatch("0|[1-9][0-9]{0,18}", fields[1]):
        raise VerificationError(f"checkpoint: expected three lines: {name}, the size, the root")
    root = _decode64(fields[2], "checkpoint: the root")
    if len(root) != 32:
        raise VerificationError("checkpoint: the root is not 32 bytes long")
    return int(fields[1]), root


def _open_kept(item: Kept, key: tuple[str, bytes]) -> tuple[int, bytes]:
    try:
        size, root = open_checkpoint(item.note, *key)
    except VerificationError as error:
        raise VerificationError(f"{item.name}: {error}") from error
    if item.seq is not None and item.seq >= size:
        raise VerificationError(f"{item.name}: its checkpoint does not cover entry {item.seq}")
    return size, root


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[^\s+\x00-\x1f\x7f]+", name) is not None


def _decode64(text: str, what: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or base64.b64encode(value).decode() != text:  # one spelling only
        raise VerificationError(f"{what} is not canonical base64")
    return value


# ---------------------------------------------------------------- Ed25519 (RFC 8032 section 5.1)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
BASE_Y = 4 * pow(5, -1, P) % P
Point = tuple[int, int, int, int]  # extended coordinates: x = X/Z, y = Y/Z, xy = T/Z


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is by `public`: S < L, canonical points, no key of small order."""
    key, base = _point(public), _point(BASE_Y.to_bytes(32, "little"))
    commitment = _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or key is None or commitment is None or base is None or scalar >= L:
        return False
    if _equal(_multiply(8, key), (0, 1, 1, 0)):
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % L
    return _equal(_multiply(scalar, base), _add(commitment, _multiply(challenge, key)))


def _point(data: bytes) -> Point | None:
    """Decode a point; None unless it is the one encoding of a point on the curve."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if len(data) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(scalar: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _equal(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


# ---------------------------------------------------------------- entries


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a whole number")


_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
)
_FIELDS = {"v": int, "seq": int, "ts": int, "type": str, "stream": str, "session": str}
_FIELDS.update({"actor": dict, "data": dict})
_SHAPES = (_FIELDS, {**_FIELDS, "session": type(None)})
_ACTOR = {"token": str, "role": str}
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def malformed(raw: bytes, position: int) -> str | None:
    """What is wrong with an entry's form or place, in words; None when nothing is."""
    try:
        text = raw.decode()
        document, end = _DECODER.raw_decode(text)
        same = end == len(text) and _ENCODER.encode(document).encode() == raw
    except (ValueError, RecursionError) as error:
        return f"expected JSON in UTF-8 without fractions; found other bytes ({error})"
    if type(document) is not dict or document.get("v") != 1:
        return "expected an envelope of version 1; found something else"
    kinds = {name: type(value) for name, value in document.items()}
    if kinds not in _SHAPES:
        return f"expected the fields {', '.join(_FIELDS)}; found others, or of another type"
    if {name: type(value) for name, value in document["actor"].items()} != _ACTOR:
        return "expected an actor with token and role; found another"
    if document["seq"] != position:
        return f"expected seq {position}; found seq {document['seq']}"
    # JCS sorts keys by UTF-16 and bounds numbers; only such entries need the longer look
    if not raw.isascii() or b"0" * 16 in raw.translate(_DIGITS):
        same = same and _is_plain(document)
    return None if same else "expected canonical JSON (RFC 8785); found another spelling"


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return not isinstance(value, int) or abs(value) <= 2**53 - 1


def _split(bundle: bytes, first: int, width: int) -> Iterator[bytes]:
    """The entries of a bundle, each after its length in two bytes, big-endian."""
    at = 0
    for position in range(first, first + width):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if len(bundle) < at + 2 or len(bundle) < end:
            raise VerificationError(f"entry {position} is missing or cut off", position)
        yield bundle[at + 2 : end]
        at = end
    if at != len(bundle):
        raise VerificationError(f"bytes after entry {first + width - 1}", first + width)


# ---------------------------------------------------------------- the tree


class Tree:
    """The tiles and entry bundles of one export, checked against its signed size and root."""

    def __init__(self, directory: Path, size: int, root: bytes, sizes: Sequence[int] = ()) -> None:
        """`directory` is the export's `tile`; the roots at `sizes` are found on the way."""
        self._directory = directory
        self._size = size
        self._root = root
        self._sizes = frozenset(sizes)
        self.roots: dict[int, bytes] = {}  # by size
        self.leaves: dict[int, bytes] = {}  # by position; whoever wants one names it before
        self._misshapen: VerificationError | None = None  # the first entry with a wrong form
        self._differing: VerificationError | None = None  # the first hash that is not its tile's

    def check(self) -> None:
        """Raise `VerificationError` unless entries, tiles and signed root are all one tree."""
        root, broken = b"", None
        try:
            root = self._rebuild()
        except VerificationError as error:
            broken = error
        if root == self._root and self._differing and not self._misshapen:
            raise VerificationError(
                f"{self._differing}; the entries are as signed, the tile is not"
            )
        found = [item for item in (broken, self._misshapen, self._differing) if item is not None]
        if found:  # what names no entry comes last
            raise min(found, key=lambda item: self._size if item.entry is None else item.entry)
        if root != self._root:
            raise VerificationError(
                f"expected root {self._root.hex()}, as signed; found {root.hex()} from the entries."
                " Entries and tiles agree: both were rewritten, from where on cannot be told"
            )
        self._check_others()

    def compare(self, item: Kept, size: int, root: bytes) -> None:
        """Refuse, after `check`, a tree that did not grow from a head somebody kept."""
        if size > self._size:
            raise VerificationError(
                f"{item.name}: expected at least the {size} entries that it covers; found"
                f" {self._size}: newer ones were cut off, or an old copy was put back",
                self._size,
            )
        if item.seq is not None and self.leaves[item.seq].hex() != item.leaf:
            raise VerificationError(
                f"{item.name}: expected entry {item.seq} with leaf hash {item.leaf}; found"
                f" {self.leaves[item.seq].hex()}: another history",
                item.seq,
            )
        if self.roots[size] != root:
            raise VerificationError(
                f"{item.name}: expected root {root.hex()} over the first {size} entries; found"
                f" {self.roots[size].hex()}: another history, from where on cannot be told"
            )

    def _rebuild(self) -> bytes:
        """The root over all entries; compares every tile on the way."""
        hashes: list[bytes] = []
        rest: list[bytes] = []
        ends: dict[int, list[bytes]] = {}
        for index in range(-(-self._size // WIDTH)):
            rest = self._leaves(index)
            self.leaves.update(
                {seq: rest[seq % WIDTH] for seq in self.leaves if seq // WIDTH == index}
            )
            for size in self._sizes:
                if size // WIDTH == index:
                    ends[size] = _peaks(rest[: size % WIDTH])
            if len(rest) == WIDTH:
                hashes.append(_root(_peaks(rest)))
                rest = []
        for size in self._sizes:
            self.roots[size] = _root(_peaks(hashes[: size // WIDTH]) + ends.get(size, []))
        peaks, level = _peaks(rest), 1
        while hashes:
            above = []
            for index in range(-(-len(hashes) // WIDTH)):
                rest = hashes[index * WIDTH : (index + 1) * WIDTH]
                self._compare(level, index, (rest, len(rest)))
                if len(rest) == WIDTH:
                    above.append(_root(_peaks(rest)))
            peaks = _peaks(hashes[len(above) * WIDTH :]) + peaks
            hashes, level = above, level + 1
        return _root(peaks)

    def _leaves(self, index: int) -> list[bytes]:
        """Leaf hashes of one bundle's entries, the form and place of each checked."""
        first, width = index * WIDTH, min(WIDTH, self._size - index * WIDTH)
        path = self._directory / "entries" / tile_path(index, width)
        leaves: list[bytes] = []
        try:
            for position, raw in enumerate(_split(_read(path, first), first, width), first):
                problem = malformed(raw, position) if self._misshapen is None else None
                if problem is not None:
                    detail = f"entry {position}: {problem}"
                    self._misshapen = VerificationError(detail, position)
                leaves.append(_leaf_hash(raw))
        finally:  # a broken bundle too is compared, as far as it goes
            self._compare(0, index, (leaves, width))
        return leaves

    def _compare(self, level: int, index: int, rebuilt: tuple[list[bytes], int]) -> None:
        """Note the first of the rebuilt hashes that is not in the tile file, `width` wide."""
        hashes, width = rebuilt
        path = self._directory / str(level) / tile_path(index, width)
        try:
            tile = b"" if self._differing else _read(path)
        except VerificationError as error:
            self._differing = error
        if self._differing or tile == b"".join(hashes):
            return
        held = [tile[at : at + 32] for at in range(0, len(tile), 32)]
        pairs = list(zip(hashes, held))  # noqa: B905 - a wrong length is told below
        number = next((at for at, (a, b) in enumerate(pairs) if a != b), len(pairs))
        first, span = (index * WIDTH + number) * WIDTH**level, WIDTH**level
        if number == len(pairs):
            detail = f"{path}: expected {width} hashes; found {len(tile)} bytes"
        else:
            what = f"entry {first}" if level == 0 else f"entries {first} to {first + span - 1}"
            detail = f"{what}: hash {hashes[number].hex()}; found {held[number].hex()} in {path}"
        self._differing = VerificationError(detail, first if level == 0 else None)

    def _check_others(self) -> None:
        """Refuse files that no tree of this size has; narrower partial tiles must be beginnings."""
        for parent, folders, files in os.walk(self._directory):
            for name in sorted(folders + files):
                path = Path(parent, name)
                if path.is_symlink():
                    raise VerificationError(f"{path}: a symbolic link; its content is elsewhere")
                if name in files:
                    self._check_other(path)

    def _check_other(self, path: Path) -> None:
        name = path.relative_to(self._directory).as_posix()
        match = re.fullmatch(
            r"(entries|[0-7])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?", name
        )
        if match is None:
            raise VerificationError(f"tile/{name!a}: not a tile")
        index, width = int(re.sub("[x/]", "", match[2])), int(match[3] or WIDTH)
        held = self._size >> (0 if match[1] == "entries" else 8 * int(match[1]))
        whole = min(WIDTH, held - index * WIDTH)
        if match[0] != f"{match[1]}/{tile_path(index, width)}" or not 1 <= width <= whole:
            raise VerificationError(f"tile/{name}: no tree of {self._size} has this")
        if width == whole:
            return  # compared already
        part = _read(path)
        wider = _read(self._directory / match[1] / tile_path(index, whole))
        if match[1] == "entries":
            ends = sum(2 + len(raw) for raw in _split(part, index * WIDTH, width))
        else:
            ends = 32 * width
        if len(part) != ends or not wider.startswith(part):
            raise VerificationError(f"tile/{name}: not the beginning of the wider one")


def tile_path(index: int, width: int) -> str:
    """1234067 is x001/x234/067; a partial tile adds .p/ and its width (C2SP tlog-tiles)."""
    text, rest = f"{index % 1000:03d}", index // 1000
    while rest:
        text, rest = f"x{rest % 1000:03d}/{text}", rest // 1000
    return text if width == WIDTH else f"{text}.p/{width}"


def _peaks(hashes: list[bytes]) -> list[bytes]:
    """The roots of complete subtrees over `hashes`, widest first."""
    peaks: list[bytes] = []
    for count, leaf in enumerate(hashes):
        node, carry = leaf, count
        while carry & 1:
            node, carry = _node_hash(peaks.pop(), node), carry >> 1
        peaks.append(node)
    return peaks


def _root(peaks: list[bytes]) -> bytes:
    if not peaks:
        return hashlib.sha256(b"").digest()
    node = peaks[-1]
    for peak in peaks[-2::-1]:
        node = _node_hash(peak, node)
    return node


def _leaf_hash(raw: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + raw).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


# ---------------------------------------------------------------- files and the command line


def _check_beside(directory: Path, vkey: str) -> None:
    """Refuse, beside `tile`, what no export has; hidden files are others' and passed over."""
    for path in sorted(directory.iterdir()):
        if path.name not in PARTS and not path.name.startswith("."):
            raise VerificationError(f"{path}: not a part of an export; keep it elsewhere")
        if path.name in PARTS and path.is_symlink():
            raise VerificationError(f"{path}: a symbolic link; its content is elsewhere")
    own, readme = directory / "vkey", directory / "README.txt"
    if own.exists() and _read_text(own).removesuffix("\n") != vkey:
        raise VerificationError(f"{own}: expected {vkey}, the key to verify with; found another")
    if readme.exists() and not _is_readme(_read(readme)):
        raise VerificationError(f"{readme}: not a text that exports come with")


def _is_readme(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() in READMES


def _read(path: Path, entry: int | None = None) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise VerificationError(f"{path}: expected a file; found something else", entry)
        return path.read_bytes()
    except OSError as error:
        raise VerificationError(f"{path}: {error.strerror}", entry) from error


def _read_text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise VerificationError(f"{path}: expected UTF-8; found other bytes") from error


def main(arguments: list[str] | None = None) -> int:
    """Verify the directory that the command line names, say the result, return the exit status."""
    parser = argparse.ArgumentParser(description="Verify an exported Tallystick ledger.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--vkey", help="the log's verifier key, from someone you trust")
    for name, what in (("--checkpoint", "a checkpoint"), ("--receipt", "a receipt, in JSON,")):
        words = f"{what} that was kept; may be repeated"
        parser.add_argument(
            name, type=Path, action="append", default=[], metavar="FILE", help=words
        )
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is not a directory")
    for path in [*options.checkpoint, *options.receipt]:
        if not path.is_file():
            parser.error(f"{path} is not a file")
    try:
        kept = [Kept(str(path), _read_text(path)) for path in options.checkpoint]
        kept += [read_receipt(_read_text(path), str(path)) for path in options.receipt]
        report = verify_export(options.directory, options.vkey, kept)
    except VerificationError as error:
        sys.stdout.write(f"FAILED: {error}\n")
        if error.entry is not None:
            sys.stdout.write(f"first bad entry: {error.entry}\n")
        return EXIT_FAILED
    source = "as given" if report.pinned else "read from the export itself, not from you"
    sys.stdout.write(
        f"ok: {report.size} entries of {report.origin}\nroot: {report.root}\n"
        f"key: {report.vkey} ({source})\n"
    )
    sys.stdout.writelines(f"grew from: {item.name}\n" for item in kept)
    sys.stdout.write(
        f"not shown: whether there are more than these {report.size} entries. An old copy verifies"
        " too: compare size and root with a checkpoint kept elsewhere (--checkpoint FILE)\n"
    )
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
