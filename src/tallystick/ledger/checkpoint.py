"""Signed tree heads: C2SP tlog-checkpoint inside C2SP signed-note, and tlog-proof texts.

Strict on the way in: one spelling of every number and of every base64 text, no control characters.
A signature by an unknown key is passed over; a bad one by a known key fails the whole note.
Signing is in keys.py; nothing here knows where notes are kept.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick.errors import VerificationError
from tallystick.ledger.merkle import HASH_BYTES

ED25519: Final = 1  # the log's own signature (signed-note)
COSIGNATURE: Final = 4  # a witness's timestamped one (tlog-cosignature v1)
MARK: Final = "\N{EM DASH} "  # opens every signature line

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_HEX8 = re.compile(r"[0-9a-f]{8}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NAME = re.compile(r"[^\s+]+")
_MOST_SIGNATURES = 100  # signed-note asks for at least 16; a limit keeps a hostile note cheap


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's `origin`, the number of entries, the 32-byte root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed (tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the three lines; extension lines, which this ledger never writes, are refused."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise VerificationError("a checkpoint is three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not is_key_name(origin):
            raise VerificationError(f"a checkpoint's origin has no space and no '+': {origin!r}")
        if _SIZE.fullmatch(size) is None:
            raise VerificationError(f"a checkpoint's size is a plain decimal number: {size!r}")
        decoded = decode64(root, "a checkpoint's root")
        if len(decoded) != HASH_BYTES:
            raise VerificationError(f"a checkpoint's root is {HASH_BYTES} bytes long")
        return cls(origin, int(size), decoded)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note: the key's name and 4-byte id, and the bytes it signed with."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A signed text, and its signatures, not yet verified."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str) -> "Note":
        """Split a signed note at its last blank line; raises `VerificationError`."""
        if _CONTROL.search(note) or not _is_unicode(note):
            raise VerificationError("a signed note is valid Unicode without control characters")
        head, blank, tail = note.rpartition("\n\n")
        lines = tail.split("\n")
        if not blank or len(lines) < 2 or lines.pop():
            raise VerificationError("a signed note is a text, a blank line, and signature lines")
        if len(lines) > _MOST_SIGNATURES:
            raise VerificationError(f"a note with more than {_MOST_SIGNATURES} signatures")
        return cls(head + "\n", tuple(_signature(line) for line in lines))


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that notes are checked with: its name, algorithm and 32 bytes."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, algorithm, key) (signed-note)."""
        return key_id(self.name, self.algorithm, self.public)

    @classmethod
    def parse(cls, vkey: str) -> "VerifierKey":
        """Read `name+hex8+base64`; or `VerificationError`, also when the id is not the key's."""
        parts = vkey.split("+", 2)
        if len(parts) != 3 or not is_key_name(parts[0]) or _HEX8.fullmatch(parts[1]) is None:
            raise VerificationError("a verifier key reads name+8 hex digits+base64")
        material = decode64(parts[2], "a verifier key's base64")
        if len(material) != 1 + 32 or material[0] not in {ED25519, COSIGNATURE}:
            raise VerificationError("a verifier key is Ed25519 (1) or a cosignature key (4)")
        key = cls(parts[0], material[0], material[1:])
        if key.key_id.hex() != parts[1]:
            raise VerificationError(
                f"the verifier key's id: expected {key.key_id.hex()}; found {parts[1]}"
            )
        return key

    def __str__(self) -> str:
        material = bytes([self.algorithm]) + self.public
        return f"{self.name}+{self.key_id.hex()}+{encode64(material)}"

    def verify(self, text: str, value: bytes) -> bool:
        """Whether `value`, the bytes after the key id, is this key's signature of `text`."""
        message = text.encode()
        if self.algorithm == COSIGNATURE:
            if len(value) != 8 + 64:
                return False
            seconds = int.from_bytes(value[:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n".encode() + message
            value = value[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except InvalidSignature:
            return False
        return True


def open_note(note: str, keys: Sequence[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """The text of a note and the `keys` that signed it, at least one; or `VerificationError`."""
    parsed = Note.parse(note)
    good = []
    for signature in parsed.signatures:
        for key in keys:
            if (signature.name, signature.key_id) != (key.name, key.key_id) or key in good:
                continue
            if not key.verify(parsed.text, signature.value):
                raise VerificationError(f"the signature of {key.name} does not hold")
            good.append(key)
    if not good:
        wanted = ", ".join(str(key) for key in keys)
        found = ", ".join(f"{item.name}+{item.key_id.hex()}" for item in parsed.signatures)
        raise VerificationError(f"no signature by a known key: expected {wanted}; found {found}")
    return parsed.text, tuple(good)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that the log's own `key` signed; or `VerificationError`."""
    text, _ = open_note(note, (key,))
    head = Checkpoint.parse(text)
    if head.origin != key.name:
        raise VerificationError(f"the origin: expected {key.name}; found {head.origin}")
    return head


def key_id(name: str, algorithm: int, public: bytes) -> bytes:
    """The 4-byte id that ties a signature line to a key (signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]


def is_key_name(name: str) -> bool:
    """Whether `name` may name a key or a log: not empty, printable, no space, no '+'."""
    return _NAME.fullmatch(name) is not None and _CONTROL.search(name) is None


def encode64(value: bytes) -> str:
    """Standard base64, padded."""
    return base64.b64encode(value).decode()


def decode64(text: str, what: str) -> bytes:
    """The bytes of standard base64 in its one canonical spelling; or `VerificationError`."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or encode64(value) != text:
        raise VerificationError(f"{what} is not canonical base64")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _signature(line: str) -> Signature:
    name, space, value = line.removeprefix(MARK).partition(" ")
    if not line.startswith(MARK) or not space or not is_key_name(name):
        raise VerificationError("a signature line reads: em dash, name, base64")
    material = decode64(value, "a signature")
    if len(material) < 5:
        raise VerificationError("a signature holds a 4-byte key id and the signature itself")
    return Signature(name, material[:4], material[4:])
