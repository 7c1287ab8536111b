"""The one road in: group commit, faults of the commit, repeats, refusals, the end."""

import sqlite3
import threading
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tallystick.control.commands import MAX_GROUP, MAX_WAITING, Accepted
from tallystick.domain import commands as cm
from tallystick.domain.ids import AttemptId, Enforcement, RequestMark, Role, RunId, SweepId, TokenId
from tallystick.errors import (
    ConflictError,
    CorruptLedgerError,
    InvalidError,
    NotFoundError,
    Refusal,
    UnavailableError,
)
from tallystick.ledger.checkpoint import VerifierKey, open_checkpoint
from tallystick.projections.audit import verify_database
from tallystick.testing.faults import Fault
from tallystick.testing.spine import AGENT, PERSON
from tests.unit.control.road import Road, assignment, error_of, open_road

NOWHERE = RunId("run_ffffffffffff")


def submit_sweeps(road: Road, count: int, **changes: Any) -> list[Future[Accepted]]:
    futures = []
    for _ in range(count):
        texts = road.texts()
        command = cm.CreateSweep(
            sweep=SweepId(road.clock.new_id("swp")),
            name=texts.add("s"),
            **{"session": "chat-1", **changes},
        )
        futures.append(road.handler.submit(command, by=AGENT, texts=texts))
    return futures


def covered(road: Road, accepted: Accepted) -> int:
    """The position of a receipt, after checking it against ledger and checkpoint."""
    receipt = accepted.receipt
    assert receipt is not None
    entry = road.entries()[receipt.seq]
    assert entry.leaf_hash.hex() == receipt.leaf_hash
    assert entry.stream == accepted.subject
    checkpoint = open_checkpoint(receipt.checkpoint, VerifierKey.parse(road.ledger.vkey))
    assert checkpoint.size > receipt.seq
    return receipt.seq


def covered_by(accepted: Accepted) -> int:
    assert accepted.receipt is not None
    return accepted.receipt.seq


def sound(road: Road) -> None:
    assert verify_database(road.database).problems == []


def test_commands_that_wait_share_one_commit_and_one_checkpoint(waiting_road: Road) -> None:
    road = waiting_road
    futures = submit_sweeps(road, MAX_GROUP + 3)
    road.handler.start()
    answers = [future.result(30) for future in futures]
    assert road.database.commits == 2
    notes = [answer.receipt.checkpoint for answer in answers if answer.receipt]
    assert len(set(notes[:MAX_GROUP])) == 1
    assert len(set(notes)) == 2
    assert [covered(road, answer) for answer in answers[:2] + answers[-1:]] == [2, 3, 260]
    assert [commit.position for commit in road.commits] == [MAX_GROUP + 1, MAX_GROUP + 4]
    sound(road)


def test_submitters_on_many_threads_each_hear_of_their_own_command(road: Road) -> None:
    subjects: dict[str, str] = {}

    def work(number: int) -> None:
        texts = road.texts()
        name = SweepId(f"swp_{number:012x}")
        command = cm.CreateSweep(sweep=name, name=texts.add("s"), session=f"chat-{number}")
        subjects[name] = road.handle(command, texts=texts).subject

    threads = [threading.Thread(target=work, args=(0xABC000 + n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(subjects) == 24
    assert all(asked == answered for asked, answered in subjects.items())
    assert road.types().count("sweep.created") == 24
    sound(road)


def test_a_refused_command_touches_nothing_and_takes_nobody_with_it(waiting_road: Road) -> None:
    road = waiting_road
    good = submit_sweeps(road, 2)
    bad = submit_sweeps(road, 1, session=None)[0]
    unknown = road.handler.submit(cm.StopRun(run=NOWHERE), by=AGENT)
    later = submit_sweeps(road, 1)[0]
    road.handler.start()
    assert [covered(road, future.result(30)) for future in [*good, later]] == [2, 3, 4]
    assert error_of(bad).code == "session_required"
    assert error_of(unknown).code == "run_not_found"
    assert road.database.commits == 1
    assert road.types() == ["ledger.opened", "session.opened", *["sweep.created"] * 3]
    sound(road)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({f"axis{n}": "x" * 50 for n in range(100)}, "entry_too_large"),
        ({"big": 2**60}, "entry_invalid"),
    ],
)
def test_an_entry_that_cannot_stand_in_the_ledger_is_refused_alone(
    waiting_road: Road, params: dict[str, Any], code: str
) -> None:
    road = waiting_road
    first = submit_sweeps(road, 1)[0]
    texts = road.texts()
    huge = road.registration(texts, sweep=None, params=params)
    road.handler.submit(cm.SetPolicy(sweep=Enforcement.WARN), by=PERSON)
    bad = road.handler.submit(huge, by=AGENT, texts=texts)
    last = submit_sweeps(road, 1)[0]
    road.handler.start()
    assert [covered(road, future.result(30)) for future in (first, last)] == [2, 4]
    error = error_of(bad)
    assert isinstance(error, InvalidError)
    assert error.code == code
    assert "run.registered" not in road.types()
    sound(road)


def test_a_bug_in_one_command_is_its_callers_alone(waiting_road: Road) -> None:
    road = waiting_road
    with open_road(road.directory, clock=road.clock) as other:
        run = other.run(other.sweep(), start=True)
        attempt = other.assign(run)
    before = submit_sweeps(road, 1)[0]
    seal = cm.ReportSealed(
        run=run, attempt=attempt, stream="posted", bytes=cast("int", None), sha256=""
    )
    broken = road.handler.submit(seal, by=AGENT)
    after = submit_sweeps(road, 1)[0]
    road.handler.start()
    assert isinstance(broken.exception(30), TypeError)
    assert before.result(30).receipt
    assert after.result(30).receipt
    assert road.sweep().startswith("swp_")
    sound(road)


def mixed(road: Road) -> list[tuple[cm.Command, Any]]:
    """A group in which commands build on one another, of every kind that must not be doubled."""
    sweep, run = SweepId(road.clock.new_id("swp")), RunId(road.clock.new_id("run"))
    token = TokenId(road.clock.new_id("tok"))
    texts, edit_texts, sweep_texts = road.texts(), road.texts(), road.texts()
    attempt = AttemptId(road.clock.new_id("att"))
    native_texts = road.texts()
    return [
        (cm.CreateSweep(sweep=sweep, name=sweep_texts.add("s"), session="c"), sweep_texts),
        (replace(road.registration(texts, sweep=sweep), run=run), texts),
        (cm.EditRun(run=run, command=edit_texts.add("false")), edit_texts),
        (cm.ArchiveRun(run=run), None),
        (cm.UnarchiveRun(run=run), None),
        (cm.QueueRun(run=run), None),
        (assignment(run, attempt), None),
        (cm.RecordSubmission(run=run, attempt=attempt, native=native_texts.add("x")), native_texts),
        (cm.ReportStarted(run=run, attempt=attempt, n=2, at=1), None),
        (cm.StopRun(run=run), None),
        (cm.SetPolicy(session=Enforcement.WARN), None),
        (cm.PublishProtocol(skill="p", sha256="00"), None),
        (cm.CreateToken(token=token, role=Role.AGENT, sha256="11"), None),
        (cm.RevokeToken(token=token), None),
    ]


MIXED_TYPES = [
    "session.opened",
    "sweep.created",
    "session.opened",
    "run.registered",
    "run.edited",
    "run.archived",
    "run.unarchived",
    "run.queued",
    "attempt.assigned",
    "attempt.submitted",
    "run.started",
    "run.stop_requested",
    "policy.set",
    "protocol.published",
    "token.created",
    "token.revoked",
]


def test_a_group_whose_commit_was_applied_but_seemed_to_fail_is_answered_once_and_not_doubled(
    waiting_road: Road,
) -> None:
    road = waiting_road
    road.database.plan_writes(Fault.APPLIED)
    group = [
        (command, texts)
        for command, texts in mixed(road)
        # Decided anew after what followed them, these are refused: the run has started by then.
        if not isinstance(command, cm.EditRun | cm.ArchiveRun | cm.UnarchiveRun)
    ]
    futures = [road.handler.submit(command, by=PERSON, texts=texts) for command, texts in group]
    road.handler.start()
    answers = [future.result(30) for future in futures]
    missing = ("run.edited", "run.archived", "run.unarchived")
    assert road.types()[1:] == [kind for kind in MIXED_TYPES if kind not in missing]
    created = [answer for answer in answers if answer.replayed]
    assert [answer.subject[:4] for answer in created] == ["swp_", "run_", "tok_"]
    for answer in created:
        assert road.entries()[covered(road, answer)].type.endswith(("created", "registered"))
    assert answers[1].run is not None
    sound(road)


def all_before(road: Road, number: int) -> tuple[cm.Command, Any]:
    """Commit everything before one of the mixed commands, at once; and that command."""
    commands = mixed(road)
    futures = [road.handler.submit(c, by=PERSON, texts=texts) for c, texts in commands[:number]]
    road.handler.start()
    for future in futures:
        future.result(30)
    return commands[number]


@pytest.mark.parametrize("number", range(14))
def test_each_command_alone_survives_a_commit_that_only_seemed_to_fail(
    waiting_road: Road, number: int
) -> None:
    road = waiting_road
    command, texts = all_before(road, number)
    before = len(road.types())
    road.database.plan_writes(Fault.APPLIED)
    accepted = road.handle(command, by=PERSON, texts=texts)
    after = road.types()
    road.handle(cm.PublishProtocol(skill="q", sha256="22"), by=PERSON)
    assert road.types() == [*after, "protocol.published"]
    assert 1 <= len(after) - before <= 2
    if accepted.replayed:
        covered(road, accepted)
    sound(road)


@pytest.mark.parametrize("number", range(14))
def test_each_command_alone_leaves_nothing_when_its_commit_failed(
    waiting_road: Road, number: int
) -> None:
    road = waiting_road
    command, texts = all_before(road, number)
    before = road.entries()
    road.database.plan_writes(Fault.NOT_APPLIED)
    with pytest.raises(UnavailableError):
        road.handle(command, by=PERSON, texts=texts)
    assert road.entries() == before
    accepted = road.handle(command, by=PERSON, texts=texts)
    assert not accepted.replayed
    assert covered_by(accepted) >= len(before)
    assert road.entries()[: len(before)] == before


def test_a_group_that_cannot_be_committed_is_refused_as_a_whole_and_can_be_sent_again(
    waiting_road: Road,
) -> None:
    road = waiting_road
    road.database.plan_writes(Fault.NOT_APPLIED)
    futures = submit_sweeps(road, 5)
    road.handler.start()
    assert {error_of(future).code for future in futures} == {"storage_failed"}
    assert road.types() == ["ledger.opened"]
    assert road.commits == []
    assert [future.result(30).receipt for future in submit_sweeps(road, 1)] != [None]
    sound(road)


def test_a_key_finds_the_original_whose_answer_was_lost(road: Road) -> None:
    texts = road.texts()
    mark = RequestMark("k1", "body")
    first = cm.CreateSweep(
        sweep=SweepId("swp_0000000000f1"), name=texts.add("s"), session="c", request=mark
    )
    road.database.plan_writes(Fault.APPLIED)
    road.database.plan_reads(Fault.NOT_APPLIED)  # nor can the head be looked at afterwards
    with pytest.raises(UnavailableError):
        road.handle(first, texts=texts)
    again = replace(first, sweep=SweepId("swp_0000000000f2"))
    accepted = road.handle(again, texts=texts)
    assert (accepted.subject, accepted.replayed) == ("swp_0000000000f1", True)
    assert covered(road, accepted) == 2
    assert road.sweep()
    assert road.types().count("sweep.created") == 2
    sound(road)


def marked(road: Road, sweep: str, mark: RequestMark) -> tuple[cm.Command, Any]:
    texts = road.texts()
    return cm.CreateSweep(
        sweep=SweepId(sweep), name=texts.add("s"), session="c", request=mark
    ), texts


def test_the_same_key_and_body_is_answered_with_the_original(road: Road) -> None:
    first, texts = marked(road, "swp_0000000000f1", RequestMark("k1", "b"))
    original = road.handle(first, texts=texts)
    second, texts = marked(road, "swp_0000000000f2", RequestMark("k1", "b"))
    repeat = road.handle(second, texts=texts)
    assert (repeat.subject, repeat.replayed, original.replayed) == (original.subject, True, False)
    assert repeat.sweep == original.sweep
    assert covered(road, repeat) == covered(road, original)
    assert repeat.records == ()


def test_a_repeat_in_the_very_same_group_is_a_repeat(waiting_road: Road) -> None:
    road = waiting_road
    pairs = [marked(road, f"swp_0000000000f{n}", RequestMark("k1", "b")) for n in range(3)]
    futures = [road.handler.submit(command, by=AGENT, texts=texts) for command, texts in pairs]
    road.handler.start()
    answers = [future.result(30) for future in futures]
    assert {answer.subject for answer in answers} == {"swp_0000000000f0"}
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert {covered(road, answer) for answer in answers} == {2}
    assert road.types().count("sweep.created") == 1


def test_the_same_key_with_another_body_is_a_conflict(road: Road) -> None:
    first, texts = marked(road, "swp_0000000000f1", RequestMark("k1", "b"))
    road.handle(first, texts=texts)
    second, texts = marked(road, "swp_0000000000f2", RequestMark("k1", "other"))
    with pytest.raises(ConflictError) as refusal:
        road.handle(second, texts=texts)
    assert refusal.value.code == "idempotency_key_reused"
    assert refusal.value.facts["subject"] == "swp_0000000000f1"


def test_keys_are_remembered_across_a_restart(tmp_path: Path) -> None:
    with open_road(tmp_path) as road:
        first, texts = marked(road, "swp_0000000000f1", RequestMark("k1", "b"))
        road.handle(first, texts=texts)
    with open_road(tmp_path, clock=road.clock) as later:
        second, texts = marked(later, "swp_0000000000f2", RequestMark("k1", "b"))
        assert later.handle(second, texts=texts).subject == "swp_0000000000f1"


def test_another_server_on_the_same_database_is_noticed_and_its_states_are_seen(
    tmp_path: Path,
) -> None:
    with open_road(tmp_path) as here:
        run = here.run(here.sweep())
        with open_road(tmp_path, clock=here.clock) as there:
            there.handle(cm.StopRun(run=run))
        with pytest.raises(ConflictError) as refusal:
            here.handle(cm.QueueRun(run=run))
        assert refusal.value.code == "run_ended"
        assert here.sweep()
        sound(here)


def tamper(road: Road, statement: str) -> None:
    with sqlite3.connect(road.directory / "tally.db") as connection:
        connection.execute(statement)
    connection.close()


def test_a_ledger_that_does_not_verify_is_readable_and_never_written_to(tmp_path: Path) -> None:
    with open_road(tmp_path) as road:
        run = road.run(road.sweep())
        tamper(road, "UPDATE checkpoints SET note = replace(note, 'tally', 'tolly')")
    with open_road(tmp_path, clock=road.clock) as broken:
        assert isinstance(broken.handler.broken, CorruptLedgerError)
        before = broken.entries()
        with pytest.raises(CorruptLedgerError):
            broken.handle(cm.StopRun(run=run))
        assert broken.entries() == before
        assert broken.state(run).id == run


def test_damage_that_is_noticed_while_writing_stops_everybody(waiting_road: Road) -> None:
    road = waiting_road
    road.database.plan_writes(Fault.DAMAGED)
    futures = submit_sweeps(road, MAX_GROUP + 2)  # the last two wait behind the failing group
    road.handler.start()
    assert {error_of(future).code for future in futures} == {"database_corrupt"}
    assert road.handler.broken is not None
    with pytest.raises(CorruptLedgerError):
        road.handle(cm.StopRun(run=NOWHERE))
    assert road.types() == ["ledger.opened"]


def test_closing_commits_what_waits_and_refuses_what_comes_later(waiting_road: Road) -> None:
    road = waiting_road
    futures = submit_sweeps(road, MAX_GROUP + 5)
    road.handler.start()
    road.handler.close()
    assert all(future.result(0).receipt for future in futures)
    late = submit_sweeps(road, 1)[0]
    assert error_of(late).code == "closing"
    road.handler.close()
    sound(road)


def test_closing_what_was_never_started_leaves_nobody_waiting(waiting_road: Road) -> None:
    futures = submit_sweeps(waiting_road, 2)
    waiting_road.handler.close()
    assert [error_of(future).code for future in futures] == ["closing"] * 2


def test_a_caller_that_went_away_takes_nobody_with_it(waiting_road: Road) -> None:
    road = waiting_road
    futures = submit_sweeps(road, 3)
    assert futures[1].cancel()
    road.handler.start()
    assert [covered(road, future.result(30)) for future in (futures[0], futures[2])] == [2, 3]
    with pytest.raises(CancelledError):
        futures[1].result(30)
    assert road.types().count("sweep.created") == 2


def test_too_many_waiting_commands_are_told_to_come_back(waiting_road: Road) -> None:
    road = waiting_road
    command = cm.StopRun(run=NOWHERE)
    futures = [road.handler.submit(command, by=AGENT) for _ in range(MAX_WAITING + 1)]
    assert isinstance(error_of(futures[-1]), UnavailableError)
    assert error_of(futures[-1]).code == "overloaded"
    assert not futures[-2].done()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (cm.StopRun(run=NOWHERE), "run_not_found"),
        (cm.QueueRun(run=NOWHERE), "run_not_found"),
        (cm.EditRun(run=NOWHERE), "run_not_found"),
        (cm.RevokeToken(token=TokenId("tok_ffffffffffff")), "token_not_found"),
        (cm.RecordSupervisorLost(run=NOWHERE, attempt=AttemptId("att_0")), "run_not_found"),
    ],
)
def test_what_does_not_exist_is_said_so(road: Road, command: cm.Command, code: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        road.handle(command, by=PERSON)
    assert refusal.value.code == code
    if code == "run_not_found":
        assert refusal.value.next_actions == ("GET /runs lists the runs there are",)


def test_an_attempt_of_no_run_is_said_so(road: Road) -> None:
    run = road.run(road.sweep())
    with pytest.raises(NotFoundError) as refusal:
        road.handle(cm.RecordLost(run=run, attempt=AttemptId("att_0"), reason_code="x"))
    assert refusal.value.code == "attempt_not_found"


def test_a_missing_sweep_names_the_calls_that_find_or_make_one(road: Road) -> None:
    with pytest.raises(NotFoundError) as refusal:
        road.run(SweepId("swp_ffffffffffff"))
    assert refusal.value.code == "sweep_not_found"
    assert [action.split()[0] for action in refusal.value.next_actions] == ["GET", "POST"]


def test_nothing_new_is_answered_without_a_receipt_and_without_an_entry(road: Road) -> None:
    run = road.run(road.sweep(), start=True)
    before = road.types()
    accepted = road.handle(cm.QueueRun(run=run))
    assert (accepted.receipt, accepted.records, accepted.replayed) == (None, (), False)
    assert accepted.run is not None
    assert accepted.run.status == "queued"
    assert road.types() == before


def test_the_receipt_is_that_of_the_subject_even_when_the_session_came_first(road: Road) -> None:
    texts = road.texts()
    sweep = road.sweep()
    command = road.registration(texts, sweep=sweep, session="chat-new", start=True)
    accepted = road.handle(command, texts=texts)
    kinds = [record.event.type for record in accepted.records]
    assert kinds == ["session.opened", "run.registered", "run.queued"]
    assert road.entries()[covered(road, accepted)].type == "run.registered"


def test_those_who_wait_hear_of_the_run_and_of_its_sweep(road: Road) -> None:
    sweep = road.sweep()
    run = road.run(sweep, start=True)
    committed = road.commits[-1]
    newest = len(road.entries()) - 1
    assert committed.position == newest
    assert dict(committed.touched) == {run: newest, sweep: newest}
    assert committed.types == {"run.registered", "run.queued"}


def test_secrets_are_on_disk_before_the_entry_and_never_in_the_database(road: Road) -> None:
    run = road.run(road.sweep(), command="train --api-key hunter2hunter2")
    assert list(road.vault.load(run).values()) == ["hunter2hunter2"]
    assert not any(b"hunter2" in path.read_bytes() for path in road.directory.glob("tally.db*"))


def test_a_run_whose_secrets_cannot_be_stored_is_not_registered(road: Road) -> None:
    sweep = road.sweep()
    (road.directory / "runs").write_text("in the way")
    with pytest.raises(UnavailableError) as error:
        road.run(sweep, command="train --api-key hunter2hunter2")
    assert error.value.code == "storage_failed"
    assert "run.registered" not in road.types()
    assert road.run(sweep, command="no secret here")


def test_a_rerun_inherits_the_secrets_of_the_texts_that_it_takes_over(road: Road) -> None:
    sweep = road.sweep()
    parent = road.run(sweep, command="train --api-key hunter2hunter2")
    texts = road.texts()
    again = road.registration(texts, sweep=sweep, parent=parent)
    unchanged = replace(again, command=road.state(parent).command)
    child = RunId(road.handle(unchanged, texts=texts).subject)
    assert list(road.vault.load(child).values()) == ["hunter2hunter2"]


def test_a_rerun_with_another_command_cannot_read_its_parents_secrets(road: Road) -> None:
    sweep = road.sweep()
    parent = road.run(sweep, command="train --api-key hunter2hunter2")
    child = road.run(sweep, parent=parent, command="x --password other")
    assert list(road.vault.load(child).values()) == ["other"]
    (mark,) = road.vault.load(parent)
    with pytest.raises(InvalidError) as error:
        road.run(sweep, parent=parent, command=f"echo '{mark}'")
    assert error.value.code == "secret_mark"
    with pytest.raises(Refusal):
        road.run(sweep, parent=NOWHERE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_died_is_said_to_everybody_who_waits_and_who_comes(
    waiting_road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    def die(*_: object) -> None:
        raise Death

    road = waiting_road
    waiting = submit_sweeps(road, 2)
    monkeypatch.setattr(road.clock, "now", die)
    road.handler.start()
    assert [error_of(future).code for future in waiting] == ["writer_dead"] * 2
    assert road.handler.broken is not None
    assert road.handler.broken.code == "writer_dead"
    assert error_of(submit_sweeps(road, 1)[0]).code == "writer_dead"
