"""Knowing without polling: each session has its own events, told until they were heard."""

import time
from collections.abc import Callable
from typing import Any

from tallystick.projections.operations import acknowledged as table
from tallystick.testing.server import eventually
from tests.http.door import Door
from tests.http.executing import end, executing
from tests.http.test_alerts import raised

FIELDS = {"id", "type", "title", "detail", "run_id", "created_at"}
"""What agents that know older servers read."""


def events(door: Door, session: str, **more: Any) -> list[Any]:
    found = door.get(f"/wild/v2/events/{session}", **more)
    return list(found)


def resolve(door: Door, session: str, ids: list[str], **more: Any) -> int:
    body = {"event_ids": ids}
    return int(door.post(f"/wild/v2/events/{session}/resolve", body, **more)["resolved"])


def stopped(door: Door, session: str, count: int = 1) -> list[str]:
    """So many runs of a session that have ended; their ids."""
    sweep = door.sweep(session)
    runs = [door.run(sweep, chat_session_id=session)["id"] for _ in range(count)]
    for run in runs:
        door.post(f"/runs/{run}/stop")
    return runs


def test_an_ended_run_and_a_finished_sweep_are_told_with_words(door: Door) -> None:
    sweep = door.sweep("words")
    run = str(door.run(sweep, chat_session_id="words", auto_start=True, name="lr-1e-2")["id"])
    attempt = eventually(lambda: door.get(f"/runs/{run}")["attempt"])
    end(door, attempt, exit_code=3)
    ended, done = events(door, "words")
    assert set(ended) >= FIELDS
    assert (ended["type"], ended["run_id"], ended["title"]) == (
        "run_complete", run, "Run lr-1e-2 failed",
    )  # fmt: skip
    assert "exit code 3" in ended["detail"]
    assert (done["type"], done["sweep_id"]) == ("sweep_complete", sweep)
    assert done["detail"] == "1 failed"


def test_created_at_is_when_it_happened_and_stays_so(door: Door) -> None:
    """X14: not the time of asking."""
    before = time.time() - 1
    (run,) = stopped(door, "when")
    ended_at = door.get(f"/runs/{run}")["ended_at"]
    for _ in range(2):
        first = events(door, "when")[0]
        assert first["created_at"] == ended_at >= before


def test_an_acknowledged_event_is_never_told_again_restart_or_not(
    open_door: Callable[[], Door],
) -> None:
    """X14: an acknowledgement sticks."""
    door = open_door()
    stopped(door, "acks", 3)
    ids = [one["id"] for one in events(door, "acks")]
    assert resolve(door, "acks", ids[1:2]) == 1
    assert resolve(door, "acks", ids[1:2]) == 0
    again = open_door()
    left = [one for one in ids if one != ids[1]]
    assert [one["id"] for one in events(again, "acks")] == left
    assert resolve(again, "acks", left) == len(left)
    assert events(open_door(), "acks") == []


def test_every_session_has_a_cursor_of_its_own(door: Door) -> None:
    """X14: the feed is not global."""
    (mine,), (theirs,) = stopped(door, "mine"), stopped(door, "theirs")
    assert {one["run_id"] for one in events(door, "mine")} == {mine, None}
    ids = [one["id"] for one in events(door, "theirs")]
    assert resolve(door, "mine", ids) == 0, "what is another session's is not acknowledged here"
    assert events(door, "theirs")[0]["run_id"] == theirs


def test_an_agent_that_is_bound_to_a_session_reads_and_resolves_its_own_only(door: Door) -> None:
    stopped(door, "bound")
    made = door.post("/tokens", {"role": "agent", "session": "bound"}, token="admin")
    assert events(door, "bound", token=made["token"])
    for method, path in (("GET", "other"), ("POST", "other/resolve")):
        answer = door.call(
            method, f"/wild/v2/events/{path}", json={"event_ids": []}, token=made["token"]
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "session_scope")
    assert events(door, "other", token="admin") == []


def test_an_alert_and_a_paused_sweep_are_events(door: Door) -> None:
    run = door.run(door.sweep("asked"), chat_session_id="asked")["id"]
    made = raised(door, run, severity="critical", message="NaN")
    (event,) = events(door, "asked")
    assert (event["type"], event["detail"], event["alert_id"]) == ("alert", "NaN", made["alert_id"])
    assert event["title"].startswith("Alert (critical) about run")
    door.post(f"/alerts/{made['alert_id']}/respond", {"choice": "continue"})
    assert events(door, "asked") == [event], "answering is another call than having heard"
    assert resolve(door, "asked", [event["id"], "nonsense", "\x00"]) == 1


def test_events_come_oldest_first_and_in_pages(door: Door) -> None:
    runs = stopped(door, "pages", 7)
    whole = events(door, "pages")
    assert [one["run_id"] for one in whole if one["type"] == "run_complete"] == runs
    assert events(door, "pages?limit=3")[:3] == whole[:3]
    paged: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = door.get(f"/wild/v2/events/pages?limit=3&cursor={cursor}")
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == whole


def test_what_was_heard_leaves_nothing_behind(door: Door) -> None:
    def rows() -> int:
        with door.server.database.read() as tx:
            return len(tx.fetch(table.select().where(table.c.session == "compact")))

    stopped(door, "compact", 40)
    ids = [one["id"] for one in events(door, "compact")]
    assert resolve(door, "compact", ids[20:]) == len(ids) - 20
    assert rows() == len(ids) - 20 + 1, "those behind the cursor, and the cursor"
    assert resolve(door, "compact", ids[:20]) == 20
    assert rows() == 1


def test_too_many_ids_at_a_time_are_refused(door: Door) -> None:
    body = {"event_ids": [str(n) for n in range(1001)]}
    answer = door.call("POST", "/wild/v2/events/x/resolve", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


def test_a_session_that_nobody_knows_has_no_events(door: Door) -> None:
    assert events(door, "nobody") == []
    assert resolve(door, "nobody", ["1"]) == 0


def test_hearing_of_something_is_no_fact(door: Door) -> None:
    stopped(door, "nofact")
    ids = [one["id"] for one in events(door, "nofact")]
    size = door.server.ledger.size
    resolve(door, "nofact", ids)
    assert door.server.ledger.size == size
    assert door.problems() == []


def test_a_run_that_ends_well_is_an_event_too(door: Door) -> None:
    sweep = door.sweep("conversation-1")
    run, attempt = executing(door, sweep)
    end(door, attempt)
    (event,) = [one for one in events(door, "conversation-1?limit=1000") if one["run_id"] == run]
    assert (event["type"], event["title"]) == ("run_complete", "Run r finished")
