"""Requests that carry an Idempotency-Key."""

import pytest

from tallystick.domain import request as requests
from tallystick.domain.ids import RequestMark
from tallystick.errors import ConflictError
from tests.unit.domain.states import MARK, REGISTERED, RUN, record

SEEN = requests.seen(record(REGISTERED, seq=11), MARK)


def test_the_original_is_remembered_with_its_subject_and_position() -> None:
    expected = requests.SeenRequest(id=MARK.k, body=MARK.b, subject=RUN, seq=11)
    assert expected == SEEN


def test_the_same_key_and_body_is_the_same_request() -> None:
    assert requests.check_repeat(SEEN, MARK) is SEEN


def test_the_same_key_with_another_body_is_refused_and_told_what_it_made() -> None:
    with pytest.raises(ConflictError) as refusal:
        requests.check_repeat(SEEN, RequestMark(MARK.k, "cc" * 32))
    assert refusal.value.code == "idempotency_key_reused"
    assert refusal.value.hint is not None
    assert "new key" in refusal.value.hint
    assert refusal.value.facts == {"subject": RUN}
