"""From an assigned attempt to a submitted one: P5.1, P6.6, P9.2."""

import json

import pytest

from tallystick.control.credentials import hash_of
from tallystick.domain import commands as cm
from tallystick.domain.ids import Role
from tallystick.errors import UnavailableError
from tallystick.ledger.tables import payloads
from tests.unit.control.rig import MINT, CrashError, Rig

SECRET = "hunter2-hunter2"


def with_environment(rig: Rig, environment: dict[str, str], **words: str) -> str:
    texts = rig.road.texts()
    command = rig.road.registration(
        texts,
        sweep=rig.road.sweep(),
        start=True,
        environment=texts.add_environment(environment),
        **words,
    )
    rig.road.handle(command, texts=texts)
    rig.scheduler.tick()
    return command.run


def test_command_directory_and_variables_reach_the_supervisor_with_their_secrets(rig: Rig) -> None:
    (rig.road.directory / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    line = f"train --api-key {SECRET} --name 'ä ☂'\n# $HOME"
    environment = {"A": "1", "LANG": "de", "X_TOKEN": SECRET, "TALLY_TOKEN": "forged"}
    run = rig.road.state(with_environment(rig, environment, command=line, workdir="/tmp/a b"))
    attempt = rig.attempt_of(run.id)
    bundle = rig.backend.bundle(attempt.id)
    assert (bundle.run, bundle.attempt) == (run.id, attempt.id)
    assert (bundle.command, bundle.workdir) == (line, "/tmp/a b")
    assert (bundle.grace_seconds, bundle.record_tree) == (7.0, False)
    own = {
        "PYTHONUNBUFFERED": "1",
        "TALLY_RUN_ID": run.id,
        "TALLY_ATTEMPT_ID": attempt.id,
        "TALLY_CHAT_SESSION_ID": "chat-1",
        "TALLY_SWEEP_ID": run.sweep,
        "TALLY_SERVER_URL": "http://127.0.0.1:1",
        "TALLY_TOKEN": MINT.secret(attempt.id, Role.RUN),
    }
    plain = {"PATH": "/bin", "LANG": "de", "A": "1", "X_TOKEN": SECRET}
    assert bundle.environment == {**plain, **own}


def test_the_supervisors_token_is_handed_over_in_memory_only(rig: Rig) -> None:
    run, attempt = rig.launched()
    submission = rig.backend.submissions[attempt.id]
    assert submission.supervisor_token == MINT.secret(attempt.id, Role.SUPERVISOR)
    written = b"".join(path.read_bytes() for path in rig.runs_dir.rglob("*") if path.is_file())
    assert submission.supervisor_token.encode() not in written
    minted = [entry.data for entry in rig.road.entries() if entry.type == "attempt.assigned"]
    assert minted[0]["supervisor_token"]["sha256"] == hash_of(submission.supervisor_token)
    assert rig.launcher.directory_of(run, attempt.id) == submission.directory


def test_the_backends_name_for_it_is_recorded_after_the_effect(rig: Rig) -> None:
    _, attempt = rig.launched()
    assert attempt.native is not None
    assert rig.road.types()[-1] == "attempt.submitted"


def test_launching_again_is_harmless(rig: Rig) -> None:
    run, attempt = rig.launched()
    before = rig.road.types()
    rig.launcher.launch(rig.road.state(run), attempt.id)
    assert rig.road.types() == before
    assert len(rig.backend.submissions) == 1


def test_a_lost_secret_fails_the_launch_and_is_never_guessed(rig: Rig) -> None:
    (run,) = rig.queue(command=f"train --api-key {SECRET}")
    (rig.runs_dir / run / "secrets.json").unlink()
    rig.scheduler.tick()
    state = rig.road.state(run)
    assert (state.status, state.reason_code) == ("failed", "launch_failed")
    assert rig.backend.submissions == {}


def test_an_erased_command_fails_the_launch(rig: Rig) -> None:
    (run,) = rig.queue(command="erased")
    with rig.road.database.write() as tx:
        tx.execute(payloads.delete().where(payloads.c.c == rig.road.state(run).command.c))
    rig.scheduler.tick()
    assert rig.road.state(run).reason_code == "launch_failed"


def test_a_command_that_no_program_can_be_given_fails_the_launch(rig: Rig) -> None:
    (run,) = rig.queue(command="a\0b")
    rig.scheduler.tick()
    assert rig.road.state(run).reason_code == "launch_failed"


def test_a_stop_before_the_launch_is_there_before_the_supervisor_is(rig: Rig) -> None:
    (run,) = rig.queue()
    assigned = rig.scheduler._assign(rig.road.state(run))
    assert assigned is not None
    rig.road.handle(cm.StopRun(run=run))
    rig.backend.dying.at = "bundle written"
    with pytest.raises(CrashError):
        rig.launcher.launch(rig.road.state(run), rig.attempt_of(run).id)
    assert rig.backend.submissions == {}
    assert [asked.grace_seconds for asked in rig.backend.cancelled] == [7.0]


def test_a_backend_that_cannot_now_is_told_of_and_nothing_is_recorded(rig: Rig) -> None:
    (run,) = rig.queue()
    assert rig.scheduler._assign(rig.road.state(run)) is not None
    rig.backend.refuse(1)
    with pytest.raises(UnavailableError):
        rig.launcher.launch(rig.road.state(run), rig.attempt_of(run).id)
    assert rig.attempt_of(run).native is None


def test_without_an_address_the_job_gets_none(rig: Rig) -> None:
    (rig.road.directory / "server.json").write_text("{")
    _, attempt = rig.launched()
    assert "TALLY_SERVER_URL" not in rig.backend.bundle(attempt.id).environment
