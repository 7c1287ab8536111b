"""Tokens: how they look, how they are hashed, and where those of attempts come from.

The secrets of an attempt are derived from the server's own key and the attempt's id, so a launch
that was interrupted can be repeated with the same ones, and none is stored anywhere.
"""

import base64
import hashlib
import hmac
from pathlib import Path

from tallystick import durable
from tallystick.clock import Clock
from tallystick.domain.events import MintedToken
from tallystick.domain.ids import AttemptId, Role, TokenId
from tallystick.errors import InvalidError

KEY_BYTES = 32


def secret_text(role: Role, material: bytes) -> str:
    """A token as it is sent: `tally_<role>_` and 256 bits in URL-safe base64."""
    return f"tally_{role.value}_{base64.urlsafe_b64encode(material).decode().rstrip('=')}"


def hash_of(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Mint:
    """Makes the two tokens of an attempt, the same ones every time."""

    def __init__(self, key: bytes) -> None:
        """`key` is the server's own secret."""
        self._key = key

    def secret(self, attempt: AttemptId, role: Role) -> str:
        """The token of the job (`run`) or of its supervisor."""
        return secret_text(role, self._derive(f"secret:{role.value}:{attempt}"))

    def minted(self, attempt: AttemptId, role: Role) -> MintedToken:
        """Id and hash of that token, for the ledger."""
        token = self._derive(f"id:{role.value}:{attempt}")[:6].hex()
        return MintedToken(
            token=TokenId(f"tok_{token}"), sha256=hash_of(self.secret(attempt, role))
        )

    def _derive(self, purpose: str) -> bytes:
        return hmac.digest(self._key, purpose.encode(), "sha256")


def load_key(path: Path, clock: Clock) -> bytes:
    """The server's key for attempt tokens, made on first use; mode 0600.

    Raises `InvalidError` when it is cut short: with another key the journals of runs that go on
    could not be read.
    """
    try:
        key = durable.read_private(path)
    except FileNotFoundError:
        key = clock.token_bytes(KEY_BYTES)
        durable.write(path, key)
    if len(key) != KEY_BYTES:
        raise InvalidError(
            f"{path}: expected {KEY_BYTES} bytes; found {len(key)}",
            code="key_malformed",
            hint=f"put it back from a backup; where there is none, `rm {path}`: a new one is made, "
            "and runs whose supervisor died meanwhile will be told as lost",
        )
    return key
