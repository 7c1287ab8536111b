"""A token that is bound to one session acts on the sweeps of its own (P9.2)."""

from typing import Any

import pytest

from tests.http.door import Door

PUT_BODY = {"name": "mine now"}


@pytest.fixture(scope="module")
def bound(door: Door) -> str:
    """The secret of an agent's token for session `ours`."""
    made = door.post("/tokens", {"role": "agent", "session": "ours"}, token="admin")
    return str(made["token"])


@pytest.mark.parametrize(
    ("method", "verb", "body"),
    [
        *(("POST", f"/{verb}", None) for verb in ("start", "stop", "resume", "archive")),
        ("POST", "/unarchive", None),
        ("PUT", "", PUT_BODY),
    ],
    ids=["start", "stop", "resume", "archive", "unarchive", "put"],
)
def test_a_token_of_one_session_steers_no_sweep_of_another(
    door: Door, bound: str, method: str, verb: str, body: Any
) -> None:
    sweep = door.sweep("theirs")
    size = door.server.ledger.size
    answer = door.call(method, f"/sweeps/{sweep}{verb}", json=body, token=bound)
    assert (answer.status_code, answer.json()["code"]) == (403, "session_scope")
    assert sweep in answer.json()["detail"]
    assert answer.json()["next_actions"][0] == f"GET /sweeps/{sweep}"
    assert door.server.ledger.size == size


def test_a_token_of_one_session_adds_runs_to_a_sweep_of_another_and_reads_it(
    door: Door, bound: str
) -> None:
    """P2.1: a run belongs to the session that registered it, whosoever the sweep is."""
    sweep = door.sweep("theirs")
    body = {"name": "r", "command": "true"}
    run = door.post(f"/sweeps/{sweep}/runs", body, token=bound)
    assert (run["sweep_id"], run["chat_session_id"]) == (sweep, "ours")
    assert door.get(f"/sweeps/{sweep}", token=bound)["run_ids"] == [run["id"]]


def test_a_token_of_one_session_steers_its_own_sweeps_and_those_of_nobody(
    door: Door, bound: str
) -> None:
    nobodys = door.sweep("$CHAT_SESSION_ID")
    for sweep in (door.sweep("ours"), nobodys):
        assert door.post(f"/sweeps/{sweep}/archive", token=bound)["already"] is False


def test_a_sweep_that_is_none_is_not_found_and_not_forbidden(door: Door, bound: str) -> None:
    answer = door.call("POST", "/sweeps/swp_ffffffffffff/stop", token=bound)
    assert (answer.status_code, answer.json()["code"]) == (404, "sweep_not_found")
