"""Refusals arrive as the server's own classes, whole; keys and tokens travel where they belong."""

import json
from typing import Any

import pytest

from tallystick.client.caller import Caller, path_of
from tallystick.client.transport import Request, Response
from tallystick.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PolicyError,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
)
from tallystick.testing.clock import ManualClock
from tallystick.wire import problem


class Answering:
    """A transport that answers one thing and keeps what it was asked."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        self.asked: list[Request] = []

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        return Response(status=self.status, headers=self.headers, chunks=iter((self.body,)))


def caller(transport: Answering, token: str | None = "secret") -> Caller:
    return Caller(transport, lambda: token, ManualClock())


def refused(error: TallystickError, **headers: str) -> Answering:
    document = problem.document(error)
    return Answering(document["status"], json.dumps(document).encode(), headers)


@pytest.mark.parametrize(
    "error",
    [
        InvalidError("bad", code="text_empty"),
        UnauthenticatedError("who?"),
        ForbiddenError("not you", code="session_mismatch"),
        NotFoundError("no run", code="run_not_found"),
        ConflictError("too late", code="run_started", status_now="running"),
        PolicyError("sweep_id is required", code="sweep_required", violations=["sweep_missing"]),
        UnavailableError("busy", code="database_busy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_makes_the_round_trip(error: TallystickError) -> None:
    error.hint, error.next_actions = "do this", ("POST /x",)
    with pytest.raises(type(error)) as caught:
        caller(refused(error)).get("/runs")
    found = caught.value
    assert type(found) is type(error)
    assert (found.detail, found.code, found.hint) == (error.detail, error.code, error.hint)
    assert found.next_actions == error.next_actions
    assert {name: found.facts[name] for name in error.facts} == error.facts


def test_a_busy_server_says_when_to_come_back() -> None:
    with pytest.raises(UnavailableError) as caught:
        caller(refused(UnavailableError("busy"), **{"retry-after": "7"})).get("/")
    assert caught.value.retry_after_seconds == 7.0


def test_a_missing_token_is_explained_by_where_it_is_looked_for() -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        caller(refused(UnauthenticatedError()), token=None).get("/runs")
    assert "TALLY_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'"x"', b"\xff"])
def test_an_answer_of_something_else_is_an_error_of_ours_not_a_traceback(body: bytes) -> None:
    with pytest.raises(TallystickError, match="the server answered 502"):
        caller(Answering(502, body)).get("/")


def test_a_page_where_json_was_expected_is_said() -> None:
    with pytest.raises(UnavailableError, match="is this a Tallystick server"):
        caller(Answering(200, b"<html>")).get("/")


def test_the_token_stands_in_a_header_and_nowhere_else() -> None:
    transport = Answering(200, b"{}")
    caller(transport).create("/runs", {"name": "x"})
    [request] = transport.asked
    assert request.headers["Authorization"] == "Bearer secret"
    assert "secret" not in request.target
    assert b"secret" not in (request.body or b"")


def test_every_create_has_a_key_of_its_own_and_may_be_sent_again() -> None:
    transport = Answering(200, b"{}")
    speaking = caller(transport)
    speaking.create("/runs", {})
    speaking.create("/runs", {})
    speaking.create("/runs", {}, key="mine")
    keys = [request.headers["Idempotency-Key"] for request in transport.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"
    assert all(request.repeatable for request in transport.asked)


def test_measurements_are_not_sent_twice() -> None:
    transport = Answering(200, b"{}")
    caller(transport).post("/runs/r/metrics", {"rows": []}, repeatable=False)
    assert not transport.asked[0].repeatable


def test_a_wait_is_whole_seconds_and_outlasted_by_the_time_limit() -> None:
    transport = Answering(200, b"{}")
    caller(transport).get("/runs/r", wait_seconds=30)
    [request] = transport.asked
    assert request.target == "/runs/r?wait=30"
    assert request.timeout_seconds > 30


def test_segments_are_quoted_whole() -> None:
    assert path_of("sessions", "shell:ana@host/1?x#y z") == (
        "/sessions/shell%3Aana%40host%2F1%3Fx%23y%20z"
    )


def test_text_that_came_from_bytes_which_are_no_utf_8_is_refused_with_its_place() -> None:
    transport = Answering(200, b"{}")
    with pytest.raises(InvalidError, match="cat data-") as caught:
        caller(transport).create("/runs", {"name": "n", "command": "cat data-\udcff.csv"})
    assert caught.value.code == "text_not_unicode"
    assert transport.asked == []


def test_ids_and_parameters_of_any_bytes_make_a_request_that_can_be_sent() -> None:
    transport = Answering(200, b"{}")
    caller(transport).get(path_of("runs", "\udcff\ud800"), {"status": "\udcff"})
    assert transport.asked[0].target.isascii()


@pytest.mark.parametrize("token", ["ä", "a\nb", "\udcff", "a\x00"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        caller(Answering(200, b"{}"), token=token).get("/runs")
    assert caught.value.code == "token_malformed"
    assert token not in caught.value.detail


def test_absent_parameters_are_left_out_and_truth_is_spelled_as_in_json() -> None:
    transport = Answering(200, b"{}")
    query: dict[str, Any] = {"archived": False, "sweep_id": None, "limit": 3}
    caller(transport).get("/runs", query)
    assert transport.asked[0].target == "/runs?archived=false&limit=3"
