"""The free text of one request: redacted, salted, committed (P6.6), and kept beside the command."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from tallystick.clock import Clock
from tallystick.control.redaction import redact, redact_environment
from tallystick.domain.ids import Text
from tallystick.ledger.ledger import Payload

SALT_BYTES: Final = 16


class Texts:
    """Collects the payloads of one command, and the secrets that were cut out of them.

    Not shared between threads: one request fills it, then the writer reads it.
    """

    def __init__(self, clock: Clock) -> None:
        """Salts come from `clock`."""
        self._clock = clock
        self._salt = clock.token_bytes(SALT_BYTES)
        self.payloads: list[Payload] = []
        self.secrets: dict[str, str] = {}
        """Values by mark; written to the run's own 0600 file, and nowhere else."""
        self.known: dict[str, str] = {}
        """Redacted texts by commitment, so that an answer needs no second read."""

    def add(self, text: str) -> Text:
        """Redact, commit and keep `text`."""
        result = redact(text, salt=self._salt)
        if result.secrets:
            self.secrets.update(result.secrets)
        return self.keep(result.text)

    def add_environment(self, environment: Mapping[str, str]) -> Text:
        """Keep environment variables as one JSON text; values of secret names become marks."""
        shown, secrets = redact_environment(environment, salt=self._salt)
        self.secrets.update(secrets)
        return self.keep(json.dumps(shown, sort_keys=True, ensure_ascii=False))

    def add_document(self, document: Mapping[str, object]) -> Text:
        """Keep a JSON document as one text."""
        return self.add(json.dumps(document, sort_keys=True, ensure_ascii=False))

    def keep(self, text: str) -> Text:
        """Commit to a text that is safe to store: it was redacted before."""
        content = text.encode("utf-8", "replace")  # a lone surrogate has no bytes
        salt = self._clock.token_bytes(SALT_BYTES)
        c = hashlib.sha256(salt + content).hexdigest()
        self.payloads.append(Payload(c=c, salt=salt, bytes=content))
        self.known[c] = text if text.isascii() else content.decode()
        return Text(c, len(content))
