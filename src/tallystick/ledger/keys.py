"""The ledger's signing key: Ed25519, in one file of mode 0600, in Go's note signer format.

The file reads `PRIVATE+KEY+<origin>+<8 hex digits>+<base64 of 0x01 and the 32-byte seed>`. The seed
never appears in a representation, an error or a log. Rotation and witnesses are not here.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick import durable
from tallystick.errors import ConflictError, InvalidError, NotFoundError, VerificationError
from tallystick.ledger.checkpoint import (
    ED25519,
    MARK,
    VerifierKey,
    decode64,
    encode64,
    is_key_name,
)

_PREFIX = "PRIVATE+KEY+"


class Signer:
    """Signs tree heads under one origin, which is also the key's name."""

    def __init__(self, origin: str, seed: bytes) -> None:
        """Derive the key from a 32-byte `seed`; `InvalidError` when origin or seed cannot be."""
        if not is_key_name(origin):
            raise InvalidError(f"origin: expected text without spaces and '+'; found {origin!r}")
        if len(seed) != 32:
            raise InvalidError(f"seed: expected 32 bytes; found {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(origin, ED25519, self._private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Signer({self.vkey})"

    @property
    def origin(self) -> str:
        """The name of the log, the first line of every checkpoint."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """The public key as others pin it: `name+hex8+base64`."""
        return str(self.key)

    @classmethod
    def create(cls, path: Path, origin: str) -> "Signer":
        """Make a key and write its file, durable, mode 0600; `ConflictError` when there is one."""
        if path.exists():
            raise ConflictError(
                f"{path}: a ledger key is here already, and a ledger keeps its key",
                code="key_exists",
            )
        private = Ed25519PrivateKey.generate()
        signer = cls(origin, private.private_bytes_raw())
        durable.write(path, signer._file_text().encode())
        return signer

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read a key file; `InvalidError` when it is malformed or readable by others."""
        try:
            text = durable.read_private(path).decode()
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{path}: the ledger's key is missing; restore it from a backup",
                code="key_missing",
            ) from error
        except UnicodeDecodeError as error:
            raise _malformed(path) from error
        return cls._parse(path, text)

    @classmethod
    def _parse(cls, path: Path, text: str) -> "Signer":
        name, _, rest = text.removesuffix("\n").removeprefix(_PREFIX).partition("+")
        digits, _, encoded = rest.partition("+")
        try:
            material = decode64(encoded, "a key file's base64")
        except VerificationError as error:
            raise _malformed(path) from error
        if not text.startswith(_PREFIX) or material[0] != ED25519 or len(material) != 33:
            raise _malformed(path)
        signer = cls(name, material[1:])
        if signer.key.key_id.hex() != digits:
            raise InvalidError(
                f"{path}: expected the key id {signer.key.key_id.hex()}; found {digits}",
                code="key_malformed",
            )
        return signer

    def _file_text(self) -> str:
        material = encode64(bytes([ED25519]) + self._private.private_bytes_raw())
        return f"{_PREFIX}{self.origin}+{self.key.key_id.hex()}+{material}\n"

    def sign(self, text: str) -> str:
        """The signed note of `text`, which ends in a newline."""
        value = encode64(self.key.key_id + self._private.sign(text.encode()))
        return f"{text}\n{MARK}{self.origin} {value}\n"


def _malformed(path: Path) -> InvalidError:
    return InvalidError(
        f"{path}: expected PRIVATE+KEY+<origin>+<8 hex digits>+<base64>; found something else",
        code="key_malformed",
        hint="restore the key file from a backup",
    )
