"""A draft becomes bytes that are its canonical form; what does not fit is refused by name."""

from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from tallystick.errors import CorruptLedgerError, InvalidError
from tallystick.ledger.canonical import canonical
from tallystick.ledger.entry import MAX_DATA_BYTES, parse, place
from tallystick.ledger.merkle import leaf_hash
from tests.unit.ledger.kept_ledger import draft


class Word(StrEnum):
    QUEUED = "run.queued"


def test_an_entry_read_back_equals_the_entry_that_was_placed() -> None:
    data: dict[str, Any] = {"pair": (1, 2), "word": Word.QUEUED, "deep": {"a": [None, True]}}
    entry = place(7, replace(draft(1), data=data, session=None))
    assert entry.data == {"pair": [1, 2], "word": "run.queued", "deep": {"a": [None, True]}}
    assert entry.leaf_hash == leaf_hash(entry.raw)
    assert parse(7, entry.raw, entry.leaf_hash) == entry


def test_the_envelope_is_the_frozen_one() -> None:
    entry = place(7, replace(draft(1), type=Word.QUEUED))
    assert entry.raw == (
        b'{"actor":{"role":"agent","token":"tok_0123456789ab"},"data":{"number":1},"seq":7,'
        b'"session":"chat-42","stream":"run_00000000000b","ts":1700000000001,"type":"run.queued",'
        b'"v":1}'
    )


def test_data_of_exactly_the_limit_is_taken_and_one_byte_more_is_refused() -> None:
    room = MAX_DATA_BYTES - len(canonical({"text": ""}))
    assert place(0, replace(draft(0), data={"text": "x" * room})).data["text"] == "x" * room
    for text in ("x" * (room + 1), "ü" * (room // 2 + 1)):
        with pytest.raises(InvalidError, match="expected at most 4096 bytes; found 409") as caught:
            place(0, replace(draft(0), data={"text": text}))
        assert caught.value.code == "entry_too_large"
        assert caught.value.facts["limit_bytes"] == 4096


def test_an_entry_that_its_bundle_could_not_frame_is_refused() -> None:
    with pytest.raises(InvalidError, match="the whole entry: expected at most 65535") as caught:
        place(0, draft(0, session="x" * 65_536))
    assert caught.value.code == "entry_too_large"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": ""}, "type: expected text that is not empty"),
        ({"stream": "a\x00b"}, "stream: .*has no NUL"),
        ({"session": ""}, "session: "),
        ({"session": "\udcff"}, "session: expected text that is valid Unicode"),
        ({"actor_token": None}, "actor_token: expected text; found NoneType None"),
        ({"actor_role": b"agent"}, "actor_role: expected text; found bytes"),
        ({"ts": 1.5}, "ts: expected milliseconds"),
        ({"ts": True}, "ts: expected milliseconds"),
        ({"ts": -1}, "ts: expected milliseconds"),
        ({"data": {"lr": 0.1}}, r"data\.lr: .*float 0\.1"),
    ],
)
def test_a_draft_with_a_wrong_field_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidError, match=named) as caught:
        place(0, replace(draft(0), **change))
    assert caught.value.code == "entry_invalid"


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{}", b"[]", b'"text"', b'{"seq":1,"actor":3}'])
def test_stored_bytes_that_are_no_entry_are_named(raw: bytes) -> None:
    with pytest.raises(CorruptLedgerError, match="entry 7: expected a JSON envelope"):
        parse(7, raw, b"")
