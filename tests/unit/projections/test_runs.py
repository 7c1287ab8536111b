"""Questions about runs, sweeps, sessions, tokens, attempts and totals."""

from typing import Any

import pytest

from tallystick.domain import commands as cm
from tallystick.domain.ids import SYSTEM, AttemptId, Role, SessionId, SweepId, TokenId
from tallystick.domain.status import Status, Tally
from tallystick.projections import attempts, runs, sessions, sweeps, tokens, totals
from tallystick.projections.runs import RunFilter
from tallystick.testing.spine import PERSON, Spine
from tests.unit.projections.history import History


def ids(found: list[Any]) -> list[str]:
    return [state.id.lstrip("runswptok_").lstrip("0") for state in found]


@pytest.fixture
def history(fresh: Spine) -> History:
    """Six runs in two sweeps and two sessions; one archived, one queued, one running."""
    history = History(fresh)
    one, two = history.sweep("1"), history.sweep("2", session="chat-2")
    for number in range(1, 7):
        odd = number % 2
        sweep, session = (one, "chat-1") if odd else (two, "chat-2")
        history.run(str(number), sweep=sweep, session=session)
    history.ask(cm.ArchiveRun(run=run("1")))
    history.execute(run("2"), until="queued")
    history.execute(run("3"), until="started")
    return history


def run(key: str) -> Any:
    return f"run_{key:0>12}"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RunFilter(), "6 5 4 3 2"),
        (RunFilter(archived=None), "6 5 4 3 2 1"),
        (RunFilter(archived=True), "1"),
        (RunFilter(sweep=SweepId("swp_000000000001")), "5 3"),
        (RunFilter(session=SessionId("chat-2")), "6 4 2"),
        (RunFilter(status=Status.READY), "6 5 4"),
        (RunFilter(status=Status.READY, archived=None), "6 5 4 1"),
        (RunFilter(status=Status.RUNNING), "3"),
        (RunFilter(session=SessionId("chat-2"), status=Status.QUEUED), "2"),
        (RunFilter(sweep=SweepId("swp_ffffffffffff")), ""),
    ],
)
def test_a_page_holds_what_was_asked_for_newest_first(
    history: History, wanted: RunFilter, expected: str
) -> None:
    with history.spine.database.read() as tx:
        assert ids(runs.page(tx, wanted, limit=100)) == expected.split()
        collected: list[Any] = []
        while page := runs.page(
            tx, wanted, limit=2, before=collected[-1].created_seq if collected else None
        ):
            assert len(page) <= 2
            collected += page
        assert ids(collected) == expected.split()


def test_runs_are_found_by_id_and_by_sweep(history: History) -> None:
    with history.spine.database.read() as tx:
        found = runs.get(tx, run("3"))
        assert found is not None
        assert found.status is Status.RUNNING
        assert runs.get(tx, run("9")) is None
        assert sorted(ids(runs.many(tx, [run("1"), run("2"), run("9")]))) == ["1", "2"]
        assert runs.many(tx, []) == []
        assert runs.ids_of_sweep(tx, "swp_000000000001", limit=9) == [run("1"), run("3"), run("5")]
        assert runs.ids_of_sweep(tx, "swp_000000000001", limit=2) == [run("1"), run("3")]


def test_the_queue_is_in_the_order_of_queueing(history: History) -> None:
    for key in ("6", "4", "5"):
        history.execute(run(key), until="queued")
    with history.spine.database.read() as tx:
        assert ids(runs.queued(tx, limit=9)) == ["2", "6", "4", "5"]
        assert ids(runs.queued(tx, limit=2)) == ["2", "6"]
        assert ids(runs.active(tx)) == ["3"]
        places = {key: runs.queue_position(tx, runs.many(tx, [run(key)])[0]) for key in "123456"}
    assert places == {"1": None, "2": 1, "3": None, "4": 3, "5": 4, "6": 2}


def test_totals_leave_archived_runs_out_and_follow_them_back(history: History) -> None:
    with history.spine.database.read() as tx:
        assert totals.get(tx) == Tally(ready=3, queued=1, running=1)
    history.ask(cm.UnarchiveRun(run=run("1")))
    with history.spine.database.read() as tx:
        assert totals.get(tx) == Tally(ready=4, queued=1, running=1)


def test_before_anything_has_happened_the_answers_are_empty(fresh: Spine) -> None:
    with fresh.database.read() as tx:
        assert totals.get(tx) == Tally()
        assert totals.policy(tx).session == "enforce"
        assert runs.page(tx, RunFilter(), limit=9) == []
        assert sessions.get(tx, "chat-1") is None


def test_sweeps_and_sessions_page_newest_first(history: History) -> None:
    with history.spine.database.read() as tx:
        assert ids(sweeps.page(tx, limit=9)) == ["2", "1"]
        newest = sweeps.page(tx, limit=1)
        assert ids(sweeps.page(tx, limit=9, before=newest[0].created_seq)) == ["1"]
        assert ids(sweeps.page(tx, limit=9, session="chat-2")) == ["2"]
        assert len(sweeps.many(tx, ["swp_000000000001", "swp_000000000009"])) == 1
        found = sweeps.get(tx, "swp_000000000001")
        assert found is not None
        assert found.runs == Tally(ready=2, running=1)
        assert [state.id for state in sessions.page(tx, limit=9)] == ["chat-2", "chat-1"]
        newest_session = sessions.page(tx, limit=1)[0]
        older = sessions.page(tx, limit=9, before=newest_session.opened_seq)
        assert [state.id for state in older] == ["chat-1"]


def test_attempts_that_go_on_are_told_from_those_that_ended(history: History) -> None:
    done = history.execute(run("5"))
    with history.spine.database.read() as tx:
        assert [state.run for state in attempts.active(tx)] == [run("3")]
        found = attempts.get(tx, done)
        assert found is not None
        assert (found.run, found.active, found.exit_code) == (run("5"), False, 3)
        assert attempts.get(tx, "att_ffffffffffff") is None
        assert [state.id for state in attempts.many(tx, [done])] == [done]


def test_tokens_are_found_by_hash_and_only_those_handed_out_are_listed(history: History) -> None:
    for number in (1, 2):
        command = cm.CreateToken(
            token=TokenId(f"tok_00000000000{number}"), role=Role.AGENT, sha256=f"hash{number}"
        )
        history.ask(command, by=PERSON)
    history.execute(run("5"), until="assigned")
    with history.spine.database.read() as tx:
        found = tokens.by_hash(tx, "hash2")
        assert found is not None
        assert found.id == "tok_000000000002"
        assert tokens.by_hash(tx, "none") is None
        page = tokens.page(tx, limit=9)
        assert [state.id[-1] for state in page] == ["2", "1"]
        assert [s.id[-1] for s in tokens.page(tx, limit=9, before=page[0].created_seq)] == ["1"]
        minted = tokens.get(tx, "tok_b00000000005")
        assert minted is not None
        assert minted.revoked_at is None
    lost = cm.RecordLost(
        run=run("5"), attempt=AttemptId("att_a00000000005"), reason_code="supervisor_killed"
    )
    history.ask(lost, by=SYSTEM)
    with history.spine.database.read() as tx:
        ended, supervisor = tokens.get(tx, "tok_b00000000005"), tokens.get(tx, "tok_c00000000005")
    assert ended is not None
    assert ended.revoked_at is not None
    assert supervisor is not None
    assert supervisor.revoked_at is None
