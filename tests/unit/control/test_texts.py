"""The free text of one request: P6.6."""

import hashlib
import json

from tallystick.control.texts import Texts
from tallystick.testing.clock import ManualClock

SECRET = "hunter2-hunter2"


def test_a_text_becomes_a_salted_commitment_to_its_bytes() -> None:
    texts = Texts(ManualClock())
    kept = texts.add("Größe ☂")
    (payload,) = texts.payloads
    assert payload.bytes == "Größe ☂".encode()
    assert (kept.c, kept.n) == (payload.c, len(payload.bytes))
    assert hashlib.sha256(payload.salt + payload.bytes).hexdigest() == kept.c
    assert texts.known == {kept.c: "Größe ☂"}
    assert len(payload.salt) == 16


def test_equal_texts_have_different_commitments_and_equal_secrets_equal_marks() -> None:
    texts = Texts(ManualClock())
    one, two = texts.add(f"--token {SECRET}"), texts.add(f"--token {SECRET}")
    assert one.c != two.c
    assert texts.known[one.c] == texts.known[two.c]
    assert list(texts.secrets.values()) == [SECRET]
    assert all(SECRET.encode() not in payload.bytes for payload in texts.payloads)


def test_another_request_has_other_marks() -> None:
    clock = ManualClock()
    one, two = Texts(clock), Texts(clock)
    one.add(f"--token {SECRET}")
    two.add(f"--token {SECRET}")
    assert not one.secrets.keys() & two.secrets.keys()


def test_an_environment_is_one_json_text_without_its_secrets() -> None:
    texts = Texts(ManualClock())
    kept = texts.add_environment({"B": "2", "A_TOKEN": SECRET, "Ä": "☂"})
    shown = json.loads(texts.known[kept.c])
    assert list(shown) == ["A_TOKEN", "B", "Ä"]
    assert shown["A_TOKEN"] in texts.secrets
    assert SECRET not in texts.known[kept.c]


def test_a_document_stays_json_when_secrets_are_cut_out_of_it() -> None:
    texts = Texts(ManualClock())
    kept = texts.add_document({"token": SECRET, "path": "/usr/bin", "none": None})
    shown = json.loads(texts.known[kept.c])
    assert (shown["path"], shown["none"]) == ("/usr/bin", None)
    assert SECRET not in texts.known[kept.c]


def test_half_a_character_is_shown_as_it_is_stored() -> None:
    texts = Texts(ManualClock())
    kept = texts.add("a\ud800b")
    assert texts.known[kept.c].encode() == texts.payloads[0].bytes == b"a?b"
