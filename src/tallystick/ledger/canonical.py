"""One byte string per record: JCS (RFC 8785) under a schema narrow enough to need no JCS library.

Allowed are objects, arrays, text, whole numbers within 2^53-1, true, false and null; keys are
printable ASCII, so that every sorting order is the same. For such documents sorted, compact UTF-8
JSON of the standard library is JCS byte for byte. Numbers with a fraction have no one spelling
across languages: callers pass them as text. Hashing, storing and envelopes are not here.
Imports nothing but Python and our errors.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from tallystick.errors import InvalidError

JSON: TypeAlias = "str | int | bool | Sequence[JSON] | Mapping[str, JSON] | None"

LARGEST_INTEGER = 2**53 - 1  # the last whole number that every JSON reader keeps exact (RFC 7493)
DEEPEST = 16  # levels of nesting; far above need, far below any parser's own limit

_KEY = re.compile(r"[ -~]{1,128}")
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


@dataclass(frozen=True, slots=True)
class Commitment:
    """A salted commitment to a text kept elsewhere (P6.6): hex digest `c`, length in bytes `n`."""

    c: str
    n: int


def commit(salt: bytes, text: bytes) -> Commitment:
    """Commit to `text`: SHA-256(salt || text). Use a fresh salt of 16 bytes for each text."""
    return Commitment(hashlib.sha256(salt + text).hexdigest(), len(text))


def canonical(document: Mapping[str, JSON]) -> bytes:
    """The one byte string of `document` (RFC 8785); `InvalidError` names a bad value's path."""
    plain = dict(document)
    check_plain(plain, "document")
    return _ENCODER.encode(plain).encode()


def check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse, naming the path, whatever has no single byte string; `where` names the value."""
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, int):
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise _refused(where, f"a whole number within {LARGEST_INTEGER}, or text", value)
    elif isinstance(value, dict):
        _check_object(value, where, _deeper(where, depth))
    elif isinstance(value, list) or type(value) is tuple:
        deeper = _deeper(where, depth)
        for position, item in enumerate(value):
            check_plain(item, f"{where}[{position}]", deeper)
    elif value is not None:
        wanted = "an object, an array, text, a whole number, true, false or null"
        if isinstance(value, float):
            wanted = "a whole number, or text for a number with a fraction"
        raise _refused(where, wanted, value)


def check_text(value: Any, where: str) -> None:
    """Refuse what is not text, and text with a lone surrogate, which has no UTF-8 form."""
    if not isinstance(value, str):
        raise _refused(where, "text", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _refused(where, "text that is valid Unicode", value) from error


@lru_cache(maxsize=1024)  # the same few names stand in every entry
def _is_key(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


def _check_object(value: dict[Any, Any], where: str, depth: int) -> None:
    for key, item in value.items():
        if type(key) is not str or not _is_key(key):
            raise _refused(f"a key of {where}", "1 to 128 printable ASCII characters", key)
        kind = type(item)
        if kind is str:
            plain = item.isascii()
        else:
            plain = kind is int and -LARGEST_INTEGER <= item <= LARGEST_INTEGER
        if plain:
            continue  # by far the most values: no path is spelled out for them
        check_plain(item, f"{where}.{key}", depth)


def _deeper(where: str, depth: int) -> int:
    if depth >= DEEPEST:
        raise InvalidError(f"{where}: nested deeper than {DEEPEST} levels", code="entry_invalid")
    return depth + 1


def _refused(where: str, expected: str, found: Any) -> InvalidError:
    shown = ascii(found)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."  # a refusal is read by people
    return InvalidError(
        f"{where}: expected {expected}; found {type(found).__name__} {shown}",
        code="entry_invalid",
        where=where,
    )
