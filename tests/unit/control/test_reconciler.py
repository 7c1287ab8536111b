"""What the backend sees against what the ledger says: P3.5 to P3.7."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from tallystick.control import reconciler
from tallystick.control.reports import report_commands
from tallystick.control.texts import Texts
from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import RunId
from tallystick.domain.run import explain
from tallystick.errors import UnavailableError
from tallystick.execution.backend import (
    Exited,
    Gone,
    NotStarted,
    Recorded,
    Sighting,
    Supervised,
    Unsupervised,
)
from tallystick.ledger.tables import payloads
from tallystick.projections.audit import verify_database
from tallystick.testing.faults import Fault
from tallystick.wire import observation as ob
from tests.unit.control.rig import Rig

BEGUN: tuple[ob.Observation, ...] = (
    ob.SupervisorStarted(n=1, at=10, pid=7, start_ticks=8, boot_id="b"),
    ob.CommandStarted(n=2, at=20, pid=9, start_ticks=8, git_head="h"),
)
EXITED = ob.CommandExited(n=3, at=30, exit_code=3)
ENDED = ob.Ended(n=4, at=40, cause="exited", exit_code=3, detail="boom")
WHOLE = (*BEGUN, EXITED, ENDED)


def seen(rig: Rig, *sightings: Sighting, ticks: int = 2) -> RunId:
    """A run after the backend showed this, twice over."""
    run, attempt = rig.launched()
    rig.backend.show(attempt.id, *sightings)
    for _ in range(ticks):
        rig.reconciler.tick()
    return run


def http(rig: Rig, run: RunId, *observations: ob.Observation) -> None:
    """What the supervisor delivers by itself."""
    attempt: Attempt = rig.attempt_of(run)
    texts = rig.road.texts()
    for command in report_commands(attempt, observations, texts):
        rig.road.handle(command, texts=texts)


def ends(rig: Rig) -> list[str]:
    return [kind for kind in rig.road.types() if kind in {"run.started", "run.ended"}]


def test_what_is_supervised_is_left_to_its_supervisor(rig: Rig) -> None:
    before = len(rig.road.types())
    run = seen(rig, Supervised())
    assert rig.statuses([run]) == ["launching"]
    assert rig.road.types()[-1] == "attempt.submitted"
    assert len(rig.road.types()) > before
    assert rig.backend.cancelled == []


def test_a_journal_that_was_never_delivered_is_read_once(rig: Rig) -> None:
    run = seen(rig, Recorded(observations=WHOLE))
    state = rig.road.state(run)
    assert (state.status, state.exit_code, state.started_at, state.ended_at) == (
        "failed",
        3,
        20,
        40,
    )
    assert rig.attempt_of(run).git_head == "h"
    assert ends(rig) == ["run.started", "run.ended"]


@pytest.mark.parametrize("delivered", range(len(WHOLE) + 1))
def test_journal_and_delivery_together_count_once(rig: Rig, delivered: int) -> None:
    run, attempt = rig.launched()
    http(rig, run, *WHOLE[:delivered])
    rig.backend.show(attempt.id, Recorded(observations=WHOLE))
    rig.reconciler.tick()
    http(rig, run, *WHOLE)
    rig.reconciler.tick()
    assert ends(rig) == ["run.started", "run.ended"]
    assert rig.road.state(run).exit_code == 3
    assert verify_database(rig.road.database).problems == []


def test_a_delivery_that_was_read_before_and_arrives_after_the_journal_counts_once(
    rig: Rig,
) -> None:
    run, attempt = rig.launched()
    stale = rig.attempt_of(run)  # as a slow request saw it, before anything was recorded
    rig.backend.show(attempt.id, Recorded(observations=WHOLE))
    rig.reconciler.tick()
    before = rig.road.types()
    texts = rig.road.texts()
    for command in reversed(report_commands(stale, WHOLE, texts)):
        rig.road.handle(command, texts=texts)
    assert rig.road.types() == before


def test_a_lost_supervisor_is_said_at_once_and_the_run_goes_on(rig: Rig) -> None:
    run = seen(rig, Unsupervised(pids=(9,), observations=BEGUN))
    state = rig.road.state(run)
    assert (state.status, explain(state)) == ("running", "supervisor lost, watched by the server")
    assert state.started_at == 20
    assert rig.road.types().count("attempt.unsupervised") == 1


@pytest.mark.parametrize(
    ("word", "status", "reason"),
    [
        (Exited(exit_code=0, observations=BEGUN), "finished", None),
        (Exited(exit_code=7, observations=BEGUN), "failed", "exit code 7"),
        (Exited(signal=9, observations=BEGUN), "failed", "ended by signal 9"),
        (Gone(reason="supervisor killed", observations=BEGUN), "failed", "lost: the supervisor"),
        (Gone(reason="host rebooted", observations=BEGUN), "failed", "lost: the host"),
        (Gone(reason="supervisor killed"), "failed", "lost: the supervisor"),
        (Exited(exit_code=9, observations=WHOLE), "failed", "exit code 3"),
        (Gone(reason="supervisor killed", observations=WHOLE), "failed", "exit code 3"),
    ],
)
def test_the_end_of_an_unsupervised_run_is_the_kernels_word_or_none(
    rig: Rig, word: Exited | Gone, status: str, reason: str | None
) -> None:
    run = seen(rig, Unsupervised(pids=(9,), observations=BEGUN), word, ticks=3)
    state = rig.road.state(run)
    assert state.status == status
    told = explain(state)
    assert (told is None) if reason is None else (told is not None and reason in told)
    assert rig.road.types().count("run.ended") == 1


def test_a_lost_run_is_never_retried(rig: Rig) -> None:
    run = seen(rig, Gone(reason="supervisor killed"))
    rig.scheduler.tick()
    rig.reconciler.tick()
    assert (rig.road.state(run).attempts, rig.backend.submit_count) == (1, 1)


@pytest.mark.parametrize("sighting", [Supervised(), Unsupervised(pids=(9,), observations=BEGUN)])
def test_a_stop_is_passed_on_until_the_end_is_seen(rig: Rig, sighting: Sighting) -> None:
    run, attempt = rig.launched()
    rig.backend.show(attempt.id, sighting)
    rig.reconciler.tick()
    assert rig.backend.cancelled == []
    rig.road.handle(cm.StopRun(run=run))
    rig.reconciler.tick()
    rig.reconciler.tick()
    assert [(asked.attempt, asked.grace_seconds) for asked in rig.backend.cancelled] == [
        (attempt.id, 7.0)
    ] * 2
    assert rig.road.state(run).status in {"launching", "running"}
    stopped = ob.Ended(n=4, at=40, cause="stop", signal=15)
    rig.backend.show(attempt.id, Recorded(observations=(*BEGUN, stopped)))
    rig.reconciler.tick()
    rig.reconciler.tick()
    assert rig.statuses([run]) == ["stopped"]
    assert len(rig.backend.cancelled) == 2


@pytest.mark.parametrize(
    "word", [Exited(signal=15, observations=BEGUN), Gone(reason="supervisor killed")]
)
def test_a_stop_that_was_asked_for_is_true_when_nothing_is_left(
    rig: Rig, word: Exited | Gone
) -> None:
    run, attempt = rig.launched()
    rig.road.handle(cm.StopRun(run=run))
    rig.backend.show(attempt.id, word)
    rig.reconciler.tick()
    assert (rig.road.state(run).status, rig.road.state(run).outcome) == ("stopped", "cancelled")


def test_a_launch_under_way_is_left_alone_for_a_while_and_then_repeated(rig: Rig) -> None:
    run, attempt = rig.launched()
    rig.backend.show(attempt.id, NotStarted())
    rig.reconciler.tick()
    assert rig.backend.submit_count == 1
    rig.road.clock.advance(10_000)
    rig.reconciler.tick()
    assert rig.backend.submit_count == 2
    assert rig.attempt_of(run).number == 1


def test_a_launch_by_an_earlier_server_is_repeated_at_once(rig: Rig) -> None:
    _, attempt = rig.launched()
    rig.backend.show(attempt.id, NotStarted())
    rig.restarted().reconciler.tick()
    assert rig.backend.submit_count == 2


def test_a_stop_while_the_launch_is_under_way_does_not_wait(rig: Rig) -> None:
    run, attempt = rig.launched()
    rig.backend.show(attempt.id, NotStarted())
    rig.road.handle(cm.StopRun(run=run))
    rig.reconciler.tick()
    assert [asked.attempt for asked in rig.backend.cancelled] == [attempt.id]
    assert rig.backend.submit_count == 2


def test_what_fails_for_one_attempt_holds_up_no_other_and_is_told(rig: Rig) -> None:
    runs = rig.queue(2)
    rig.scheduler.tick()
    for run in runs:
        rig.backend.show(rig.attempt_of(run).id, Recorded(observations=WHOLE))
    rig.road.database.plan_writes(Fault.NOT_APPLIED)
    with pytest.raises(UnavailableError):
        rig.reconciler.tick()
    assert sorted(rig.statuses(runs)) == ["failed", "launching"]
    rig.reconciler.tick()
    assert rig.statuses(runs) == ["failed", "failed"]
    assert rig.attempt_of(runs[0]).git_head == rig.attempt_of(runs[1]).git_head == "h"


def test_what_has_ended_is_not_looked_at_any_more(rig: Rig) -> None:
    run = seen(rig, Recorded(observations=WHOLE))
    rig.backend.show(rig.attempt_of(run).id, Gone(reason="supervisor killed"))
    before = rig.road.types()
    rig.reconciler.tick()
    assert rig.road.types() == before


@pytest.mark.parametrize(
    "word", [Exited(exit_code=0, observations=BEGUN), Gone(reason="supervisor killed")]
)
def test_a_run_without_supervisor_keeps_no_secrets_after_its_end(
    rig: Rig, word: Exited | Gone
) -> None:
    run, attempt = rig.launched()
    assert rig.backend.bundle(attempt.id).command
    rig.backend.show(attempt.id, word)
    rig.reconciler.tick()
    assert rig.road.state(run).status.value in {"finished", "failed"}
    spent = rig.backend.bundle(attempt.id)
    assert (spent.command, spent.environment) == ("", {})


def test_a_record_that_was_delivered_meanwhile_leaves_no_text_behind(rig: Rig) -> None:
    """The journal is read while the last delivery is under way: each text has its one entry."""
    _run, attempt = rig.launched()
    described = ob.Described(n=3, at=25, interpreter="/usr/bin/python3", host="h")
    journal = (*BEGUN, described, replace(EXITED, n=4), replace(ENDED, n=5))
    under_way = list(journal[:3])

    def deliver_first(
        of: Attempt, seen: Sequence[ob.Observation], texts: Texts
    ) -> list[cm.Command]:
        mine = rig.road.texts()
        for command in report_commands(of, under_way, mine):
            rig.road.handle(command, texts=mine)
        under_way.clear()
        return report_commands(of, seen, texts)

    patch = pytest.MonkeyPatch()
    patch.setattr(reconciler, "report_commands", deliver_first)
    rig.backend.show(attempt.id, Recorded(observations=journal))
    rig.reconciler.tick()
    patch.undo()
    with rig.road.database.read() as tx:
        kept = [row["bytes"] for row in tx.fetch(select(payloads.c.bytes))]
    assert len([text for text in kept if b"interpreter_version" in text]) == 1
    assert verify_database(rig.road.database).ok
