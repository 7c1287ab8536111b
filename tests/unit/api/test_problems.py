import json
import logging

import pytest

from tallystick.api import problems
from tallystick.errors import (
    ConflictError,
    CorruptLedgerError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PolicyError,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
)
from tallystick.testing.clock import ManualClock
from tallystick.wire.problem import error_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnauthenticatedError(), 401),
        (ForbiddenError(), 403),
        (NotFoundError(), 404),
        (problems.MethodError(allowed=["GET"]), 405),
        (ConflictError(), 409),
        (problems.TooLargeError(), 413),
        (InvalidError(), 422),
        (PolicyError(), 422),
        (UnavailableError(), 503),
        (CorruptLedgerError(), 500),
        (TallystickError(), 500),
    ],
)
def test_every_error_is_a_problem_document(error: TallystickError, status: int) -> None:
    answer = problems.answer(error)
    document = json.loads(bytes(answer.body))
    assert answer.status_code == document["status"] == status
    assert answer.media_type == "application/problem+json"
    assert document["code"] == error.code
    assert document["detail"] == error.detail
    assert document["type"] == f"urn:tallystick:problem:{error.code}"
    assert isinstance(document["next_actions"], list)


def test_a_client_raises_what_the_server_meant() -> None:
    error = ConflictError("no", code="run_ended", next_actions=("POST /x",), status="finished")
    answer = problems.answer(error)
    back = error_of(answer.status_code, json.loads(bytes(answer.body)))
    assert type(back) is ConflictError
    assert (back.detail, back.code, back.next_actions) == ("no", "run_ended", ("POST /x",))


def test_a_missing_token_says_which_scheme_is_spoken() -> None:
    assert "Bearer" in problems.answer(UnauthenticatedError()).headers["www-authenticate"]


def test_a_passing_trouble_says_when_to_come_back() -> None:
    assert problems.answer(UnavailableError()).headers["retry-after"] == "1"


def test_a_fault_of_ours_reveals_nothing_but_its_number(caplog: pytest.LogCaptureFixture) -> None:
    secret = "the secret of the fault"
    with caplog.at_level(logging.ERROR):
        fault = problems.incident(ValueError(secret), clock=ManualClock(), call="GET /x")
    answer = problems.answer(fault)
    document = json.loads(bytes(answer.body))
    assert answer.status_code == 500
    assert secret not in bytes(answer.body).decode()
    assert document["incident"] in caplog.text
    assert secret in caplog.text
