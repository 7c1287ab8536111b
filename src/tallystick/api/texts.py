"""Checks of free text, before it is recorded."""

from typing import Final

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
