"""What a notice says, in words for people and in facts for programs."""

import json
from typing import Any

import pytest
from sqlalchemy import delete

from tallystick.control.messages import (
    LONGEST_DETAIL,
    LONGEST_NAME,
    Message,
    choices_of,
    compose,
)
from tallystick.domain import commands as cm
from tallystick.domain.budget import scope_of
from tallystick.domain.ids import SYSTEM, AlertId, RunId, SessionId
from tallystick.ledger.tables import payloads
from tallystick.projections import notices
from tallystick.testing.spine import PERSON
from tests.unit.control.executing import end, executing
from tests.unit.control.road import Road


def told(road: Road) -> list[Message]:
    """Everything that there is to hear of, by type."""
    with road.database.read() as tx:
        found = notices.unacknowledged(tx, "chat-1", limit=1_000)
        return compose(tx, found)


def last(road: Road, kind: str) -> Message:
    return [message for message in told(road) if message.type == kind][-1]


def test_a_failed_run_is_told_with_its_name_its_sweep_and_its_exit_code(road: Road) -> None:
    sweep = road.sweep()
    run = executing(road, sweep, name="lr-1e-2")
    end(road, run, exit_code=3)
    message = last(road, "run.failed")
    assert message.title == "Run lr-1e-2 failed"
    assert message.detail is not None
    assert message.detail.startswith("exit code 3")
    assert {key: message.data[key] for key in message.data if key not in {"id", "reason"}} == {
        "chat_session_id": "chat-1",
        "run_id": run,
        "run_name": "lr-1e-2",
        "sweep_id": sweep,
        "sweep_name": "s",
        "status": "failed",
        "outcome": "failed",
        "exit_code": 3,
    }
    assert "signal" not in message.data, "what is absent is left out"


def test_a_sweep_that_is_done_is_told_with_its_counts(road: Road) -> None:
    sweep = road.sweep()
    for code in (0, 0, 1):
        end(road, executing(road, sweep), exit_code=code)
    done = last(road, "sweep.done")
    assert (done.title, done.detail) == ("Sweep s is done", "2 completed, 1 failed")
    assert done.data["counts"]["completed"] == 2
    assert "run_id" not in done.data or done.data["sweep_id"] == sweep


def test_a_run_that_was_stopped_has_not_failed(road: Road) -> None:
    run = road.run(road.sweep())
    road.handle(cm.StopRun(run=run))
    assert next(message.type for message in told(road)) == "run.ended"
    with road.database.read() as tx:
        calling = notices.calling(tx, ["run_complete"], after=-1, limit=10)
    assert calling == []


def test_an_end_is_told_as_it_was_even_when_the_run_goes_on_since(road: Road) -> None:
    sweep = road.sweep()
    run = executing(road, sweep)
    end(road, run, exit_code=9)
    road.handle(cm.ResumeSweep(sweep=sweep), by=PERSON)
    road.handle(cm.RequeueRun(run=run), by=SYSTEM)
    message = last(road, "run.failed")
    assert message.title == "Run n failed"
    assert message.data["outcome"] == "failed"
    assert {"status", "exit_code", "reason"} & set(message.data) == set()


def test_an_alert_is_told_with_its_words_and_choices(road: Road) -> None:
    run, texts = road.run(road.sweep()), road.texts()
    choices = [{"label": "go on", "action": "continue"}, {"label": "stop", "action": "stop"}]
    command = cm.RaiseAlert(
        alert=AlertId("alr_000000000001"),
        run=run,
        severity="critical",
        message=texts.add("loss is NaN"),
        choices=texts.add(json.dumps(choices)),
        source="job",
    )
    road.handle(command, texts=texts)
    message = last(road, "alert.raised")
    assert (message.title, message.detail) == ("Alert (critical) about run n", "loss is NaN")
    assert message.data["alert_id"] == "alr_000000000001"
    assert message.data["choices"] == ["go on", "stop"]


@pytest.mark.parametrize("of_session", [False, True])
def test_a_budget_is_told_with_whose_it_is_and_how_much(road: Road, of_session: bool) -> None:
    sweep = road.sweep()
    scope: str = scope_of(SessionId("chat-1")) if of_session else sweep
    road.handle(cm.SetBudget(scope=scope, gpu_ms=5_400_000, action="stop"), by=PERSON)
    for reached in (False, True):
        road.handle(cm.ReportBudget(scope=scope, kind="gpu", reached=reached), by=SYSTEM)
    whose = "session chat-1" if of_session else f"sweep {sweep}"
    warned, spent = last(road, "budget.warned"), last(road, "budget.reached")
    assert warned.title == f"80 % of the GPU time of {whose} is used"
    assert warned.detail == "the budget is 1.5 hours"
    assert spent.title == f"All of the GPU time of {whose} is used"
    assert spent.data["limit"] == 1.5
    assert (spent.data["scope"], spent.data["kind"], spent.data["action"]) == (scope, "gpu", "stop")


def test_long_texts_are_cut(road: Road) -> None:
    run, texts = road.run(road.sweep(), name="n" * 400), road.texts()
    command = cm.RaiseAlert(
        alert=AlertId("alr_000000000001"),
        run=run,
        severity="info",
        message=texts.add("m" * 9_000),
        choices=texts.add("[]"),
        source="job",
    )
    road.handle(command, texts=texts)
    message = last(road, "alert.raised")
    assert message.detail is not None
    assert (len(message.detail), message.detail[-1]) == (LONGEST_DETAIL, "…")
    assert len(message.data["run_name"]) == LONGEST_NAME


def test_an_erased_text_leaves_ids_and_counts(road: Road) -> None:
    sweep = road.sweep()
    end(road, executing(road, sweep), exit_code=1)
    with road.database.write() as tx:
        tx.execute(delete(payloads))
    failed, done = last(road, "run.failed"), last(road, "sweep.done")
    assert failed.data["exit_code"] == 1
    assert failed.title == f"Run {failed.data['run_id']} failed"
    assert "run_name" not in failed.data
    assert done.data["counts"]["failed"] == 1


def test_the_number_of_questions_does_not_grow_with_the_page(road: Road) -> None:
    def questions(count: int) -> int:
        with road.database.read() as tx:
            found = notices.unacknowledged(tx, "chat-1", limit=count)
            asked: list[Any] = []
            original = tx.fetch

            class Counting:
                def fetch(self, statement: Any, parameters: Any = None) -> Any:
                    asked.append(statement)
                    return original(statement, parameters)

            compose(Counting(), found)  # type: ignore[arg-type]
            return len(asked)

    sweep = road.sweep()
    for _ in range(20):
        road.handle(cm.StopRun(run=RunId(road.run(sweep))))
    assert questions(20) == questions(1) > 0


@pytest.mark.parametrize("text", [None, "", "[redacted", "{}", "[1]", '[{"label": "x"}]', "[]"])
def test_choices_that_cannot_be_read_are_none(text: str | None) -> None:
    assert choices_of(text) == []
