"""Checks of texts, before they are recorded.

Names of sessions and alerts stand in the ledger as they are, for ever: a secret is kept out here.
"""

import re
from typing import Final

from tallystick.control.redaction import redact
from tallystick.domain.policy import MAX_SESSION_LENGTH
from tallystick.errors import InvalidError

LONGEST_NAME: Final = 500
"""Characters of a name."""


def checked_text(field: str, text: str, *, longest: int | None = None) -> str:
    """A text that can be recorded; raises `InvalidError` when it is blank, too long or has a NUL.

    `longest` is in characters.
    """
    if not text.strip():
        raise InvalidError(f"{field}: expected text; found nothing in it", code="text_empty")
    return checked_characters(field, text, longest=longest)


def checked_characters(field: str, text: str, *, longest: int | None = None) -> str:
    """A text that may be empty."""
    if "\x00" in text:
        raise InvalidError(
            f"{field}: expected text without NUL; found one at character {text.index(chr(0))}",
            code="text_invalid",
        )
    if longest is not None and len(text) > longest:
        raise InvalidError(
            f"{field}: expected at most {longest} characters; found {len(text)}",
            code="text_too_long",
        )
    return text


_ALERT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def checked_alert(alert: str | None) -> str | None:
    """An alert's id, or nothing; raises `InvalidError` for what is no id, or may be a secret."""
    if alert is None or not alert.strip():
        return None
    if _ALERT.fullmatch(alert) is None:
        raise InvalidError(
            "origin_alert_id: expected 1 to 64 letters, digits, '_', '.', ':' and '-'; "
            f"found {alert[:64]!r}",
            code="text_invalid",
        )
    if is_secret(alert):
        raise InvalidError(
            "origin_alert_id: expected the id of an alert; found what looks like a secret",
            code="text_invalid",
        )
    return alert


def checked_session(session: str | None, *, field: str = "chat_session_id") -> str | None:
    """A session's id as it came, or nothing; raises `InvalidError` when it may be a secret.

    Length and characters are checked where the session is attributed.
    """
    if session is not None and len(session) <= MAX_SESSION_LENGTH and is_secret(session):
        raise InvalidError(
            f"{field}: expected the id of a conversation; found what looks like a secret",
            code="session_invalid",
            hint="use the id that your agent gives its conversation, for example a UUID",
        )
    return session


def is_secret(text: str) -> bool:
    """Whether redaction would cut something out of `text`."""
    return bool(redact(text, salt=b"").secrets)
