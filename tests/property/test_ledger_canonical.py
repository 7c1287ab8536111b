"""Canonical bytes equal those of a JCS library, by both roads on which we write them."""

import json
from typing import Any

import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.ledger.canonical import LARGEST_INTEGER, canonical
from tallystick.ledger.entry import Draft, parse, place
from tallystick.ledger.verify import malformed

KEYS = st.text([chr(code) for code in range(0x20, 0x7F)], min_size=1, max_size=6)
TEXTS = st.text(max_size=12)
WHOLE = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)
LABELS = TEXTS.filter(lambda text: bool(text) and "\x00" not in text)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@given(DOCUMENTS)
def test_canonical_bytes_are_those_of_the_jcs_library(document: dict[str, Any]) -> None:
    assert canonical(document) == rfc8785.dumps(document)
    assert json.loads(canonical(document)) == document


@UNHURRIED
@given(
    st.builds(
        Draft,
        ts=st.integers(0, LARGEST_INTEGER),
        type=LABELS,
        stream=LABELS,
        actor_token=LABELS,
        actor_role=LABELS,
        session=st.none() | LABELS,
        data=DOCUMENTS,
    ),
    st.integers(0, LARGEST_INTEGER),
)
def test_an_entry_is_written_as_the_jcs_library_would_write_it(draft: Draft, seq: int) -> None:
    entry = place(seq, draft)
    envelope: dict[str, Any] = {
        "v": 1,
        "seq": seq,
        "ts": draft.ts,
        "type": draft.type,
        "stream": draft.stream,
        "actor": {"token": draft.actor_token, "role": draft.actor_role},
        "session": draft.session,
        "data": draft.data,
    }
    assert entry.raw == rfc8785.dumps(envelope)
    assert entry.raw == canonical(envelope)
    assert parse(seq, entry.raw, entry.leaf_hash) == entry
    assert malformed(entry.raw, seq) is None


@UNHURRIED
@given(st.binary(max_size=60) | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_the_verifier_names_a_fault_in_whatever_is_no_entry(raw: bytes) -> None:
    assert isinstance(malformed(raw, 0), str)
