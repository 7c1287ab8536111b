"""A run's parameters as they stand in the ledger, and back: nothing is lost on the way.

Entries hold no floating-point numbers and only plain keys. A number with a fraction becomes the
text that Python writes for it; text that would read as a number is marked by a leading apostrophe,
as in a spreadsheet. Names stand as they are: printable ASCII (RFC 8785 sorts those the same way
everywhere). What is in the ledger can always be shown: a number too large for JSON stays text.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from tallystick.errors import InvalidError

LARGEST_INTEGER: Final = 2**53 - 1
"""The last whole number that every JSON reader keeps exact; larger ones stand as text."""

MAX_PARAMS_BYTES: Final = 3_000
"""Of an entry's 4,096: the rest is for commitments and ids."""

LARGEST_WHOLE: Final = 2**63 - 1
"""Beyond this a whole number does not fit into every JSON reader and writer."""

_NAME = re.compile(r"[ -~]{1,128}")
_NUMBER = re.compile(r"-?[0-9]+(?P<fraction>\.[0-9]+)?(?P<exponent>e[+-]?[0-9]+)?")

_MOST_DIGITS: Final = 32

Value = str | int | float | bool


def encode(params: Mapping[str, Value]) -> dict[str, str | int | bool]:
    """Parameters for the entry; raises `InvalidError` for what cannot be one, or is too much."""
    encoded = {checked_name(key): encode_value(key, value) for key, value in params.items()}
    size = len(json.dumps(encoded, ensure_ascii=False).encode())
    if size > MAX_PARAMS_BYTES:
        raise InvalidError(
            f"params: expected at most {MAX_PARAMS_BYTES} bytes of keys and values; found {size}",
            code="params_too_large",
            hint="params are the few numbers and words that tell this trial from its siblings; "
            "put longer configuration into a file that the command reads",
        )
    return encoded


def decode(params: Mapping[str, Any]) -> dict[str, Value]:
    """Parameters as they were sent."""
    return {key: decode_value(value) for key, value in params.items()}


def checked_name(name: str) -> str:
    """A name that can stand in an entry; raises `InvalidError` (params_invalid)."""
    if _NAME.fullmatch(name) is None:
        raise InvalidError(
            f"params: expected names of 1 to 128 printable ASCII characters; found {name[:40]!r}",
            code="params_invalid",
        )
    return name


def encode_value(key: str, value: Value) -> str | int | bool:
    """One value for the entry; `key` is only for the refusal (not_finite, params_invalid)."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidError(
                f"params.{key[:40]}: expected a finite number; found {value!r}",
                code="not_finite",
            )
        return repr(value)
    if isinstance(value, str):
        return f"'{value}" if value.startswith("'") or _NUMBER.fullmatch(value) else value
    if isinstance(value, bool) or abs(value) <= LARGEST_INTEGER:
        return value
    if abs(value) > LARGEST_WHOLE:
        raise InvalidError(
            f"params.{key[:40]}: expected a whole number within 64 bits (at most {LARGEST_WHOLE}); "
            "found a larger one",
            code="params_invalid",
            hint="send it as text, in double quotes",
        )
    return str(value)


def decode_value(value: Any) -> Value:
    """The value that was sent; total, and never a number that JSON cannot carry."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return value if isinstance(value, int) and abs(value) <= LARGEST_WHOLE else str(value)
    if value.startswith("'"):
        return value[1:]
    match = _NUMBER.fullmatch(value)
    if match is None:
        return value
    if match["fraction"] or match["exponent"]:
        number = float(value)
        return number if math.isfinite(number) else value
    if len(value) > _MOST_DIGITS:  # reading thousands of digits is refused by Python itself
        return value
    whole = int(value)
    return whole if abs(whole) <= LARGEST_WHOLE else value
