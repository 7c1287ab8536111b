"""Canonical bytes are JCS, and whatever has no single spelling is refused by its path."""

from collections import OrderedDict
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from tallystick.errors import InvalidError
from tallystick.ledger.canonical import DEEPEST, canonical, commit


class Word(StrEnum):
    READY = "ready"


class Number(IntEnum):
    NINE = 9


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


def test_keys_are_sorted_and_nothing_is_escaped_that_need_not_be() -> None:
    document = {"b": "ü/\u007f\u2028", "a": [True, None, -1], "a.b": "\u001f\n"}
    assert canonical(document) == (
        b'{"a":[true,null,-1],"a.b":"\\u001f\\n","b":"' + "ü/\u007f\u2028".encode() + b'"}'
    )


def test_enumerations_tuples_and_mappings_are_written_as_their_plain_values() -> None:
    document: Any = MappingProxyType({"word": Word.READY, "number": Number.NINE, "pair": (1, 2)})
    assert canonical(document) == b'{"number":9,"pair":[1,2],"word":"ready"}'
    assert canonical(OrderedDict(b=1, a=OrderedDict(d=1, c=2))) == b'{"a":{"c":2,"d":1},"b":1}'


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"params": {"lr": 0.1}}, r"document\.params\.lr: expected .*text.*; found float 0\.1"),
        ({"a": [1, float("nan")]}, r"document\.a\[1\]: .*found float nan"),
        ({"a": 2**53}, r"document\.a: .*within 9007199254740991.*found int 9007199254740992"),
        ({"a": -(2**53)}, r"document\.a: .*found int -9007199254740992"),
        ({"a": {"Größe": 1}}, r"a key of document\.a: .*found str 'Gr\\xf6\\xdfe'"),
        ({"x" * 129: 1}, "a key of document: expected 1 to 128 printable ASCII characters"),
        ({"": 1}, "a key of document"),
        ({"a\n": 1}, "a key of document"),
        ({1: "x"}, "a key of document: .*found int 1"),
        ({Word.READY: 1}, "a key of document: .*found Word"),
        ({"a": "\ud800"}, r"document\.a: expected text that is valid Unicode"),
        ({"a": b"bytes"}, r"document\.a: .*found bytes"),
        ({"a": {1, 2}}, r"document\.a: .*found set"),
        ({"a": MappingProxyType({})}, r"document\.a: .*found mappingproxy"),
    ],
)
def test_what_has_no_single_spelling_is_refused_by_path(document: Any, named: str) -> None:
    with pytest.raises(InvalidError, match=named) as caught:
        canonical(document)
    assert caught.value.code == "entry_invalid"


def test_a_refusal_stays_short_however_long_the_value() -> None:
    with pytest.raises(InvalidError) as caught:
        canonical({"a": b"x" * 10_000})
    assert len(caught.value.detail) < 250


def test_nesting_is_bounded() -> None:
    assert canonical(nested(DEEPEST)).startswith(b'{"a":')
    with pytest.raises(InvalidError, match="nested deeper than 16 levels"):
        canonical(nested(DEEPEST + 1))
    with pytest.raises(InvalidError, match="nested deeper"):
        canonical(nested(100_000))


def test_a_commitment_is_the_digest_of_salt_and_text_and_the_length_of_the_text() -> None:
    made = commit(bytes(16), b"mnist-mlp-cpu-grid")
    assert made.c == "4ad904013032063f2232718f2151b9993098a46f679940c529c6f33df4326e8a"
    assert made.n == 18
