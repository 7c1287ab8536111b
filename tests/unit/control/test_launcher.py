"""From an assigned attempt to a submitted one: P5.1, P6.6, P9.2."""

import json

import pytest

from tallystick.control.credentials import hash_of
from tallystick.domain import commands as cm
from tallystick.domain.capacity import Capacity
from tallystick.domain.demands import Demands
from tallystick.domain.ids import AttemptId, Role
from tallystick.errors import UnavailableError
from tallystick.ledger.tables import payloads
from tallystick.testing.backend import gpus
from tests.unit.control.rig import MINT, CrashError, Rig
from tests.unit.control.road import Road

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
        "TALLY_OUTPUT_DIR": str(rig.runs_dir / run.id / attempt.id / "artifacts"),
        "WANDB_DIR": str(rig.runs_dir / run.id / attempt.id / "wandb_data"),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
        "MLFLOW_TRACKING_TOKEN": MINT.secret(attempt.id, Role.RUN),
        "MLFLOW_RUN_ID": run.id,
        "MLFLOW_RUN_CONTEXT": json.dumps({"tally.run": run.id}),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    plain = {"PATH": "/bin", "LANG": "de", "A": "1", "X_TOKEN": SECRET}
    assert bundle.environment == {**plain, **own}


def launched_with(rig: Rig, *leased: str, **environment: str) -> dict[str, str]:
    """The environment of a run that was assigned these devices."""
    texts = rig.road.texts()
    command = rig.road.registration(
        texts,
        sweep=rig.road.sweep(),
        start=True,
        environment=texts.add_environment(environment),
    )
    rig.road.handle(command, texts=texts)
    attempt = AttemptId("att_0123456789ab")
    rig.road.handle(
        cm.AssignAttempt(
            run=command.run,
            attempt=attempt,
            backend="fake",
            run_token=MINT.minted(attempt, Role.RUN),
            supervisor_token=MINT.minted(attempt, Role.SUPERVISOR),
            gpus=leased,
        )
    )
    rig.launcher.launch(rig.road.state(command.run), attempt)
    return dict(rig.backend.bundle(attempt).environment)


def test_a_run_sees_the_gpus_that_it_leases_by_id_and_index(rig: Rig) -> None:
    rig.backend.room = Capacity(slots=4, devices=gpus(4))
    leased = [rig.backend.room.devices[index].id for index in (3, 1)]
    environment = launched_with(rig, *leased)
    assert environment["CUDA_VISIBLE_DEVICES"] == ",".join(leased)
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["TALLY_GPU_INDEXES"] == "3,1"


def test_a_lease_outranks_what_the_run_was_given_by_hand(rig: Rig) -> None:
    rig.backend.room = Capacity(slots=4, devices=gpus(1))
    environment = launched_with(
        rig, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="FASTEST_FIRST", TALLY_GPU_INDEXES="0"
    )
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["TALLY_GPU_INDEXES"] == ""


def test_a_device_that_has_gone_meanwhile_is_named_all_the_same(rig: Rig) -> None:
    """The attempt fails on it; it must not fall back on somebody else's."""
    environment = launched_with(rig, "GPU-gone")
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-gone"
    assert "TALLY_GPU_INDEXES" not in environment


def test_on_a_host_without_gpus_nothing_is_said_of_them(rig: Rig) -> None:
    environment = launched_with(rig, CUDA_VISIBLE_DEVICES="7")
    assert environment["CUDA_VISIBLE_DEVICES"] == "7"
    assert "CUDA_DEVICE_ORDER" not in environment


def test_where_the_administrator_hands_out_none_no_run_sees_any(road: Road) -> None:
    environment = launched_with(Rig(road, gpus="none"), CUDA_VISIBLE_DEVICES="7")
    assert environment["CUDA_VISIBLE_DEVICES"] == ""


def test_limits_of_time_and_memory_reach_the_supervisor(rig: Rig) -> None:
    _, attempt = rig.launched(demands=Demands(timeout_ms=1_500, memory_mb=64))
    bundle = rig.backend.bundle(attempt.id)
    assert (bundle.timeout_seconds, bundle.memory_bytes) == (1.5, 64 * 1024**2)


def test_without_limits_the_supervisor_sets_none(rig: Rig) -> None:
    _, attempt = rig.launched()
    bundle = rig.backend.bundle(attempt.id)
    assert (bundle.timeout_seconds, bundle.memory_bytes) == (None, None)


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
    attempt = rig.road.assign(run)
    rig.road.handle(cm.StopRun(run=run))
    rig.backend.dying.at = "bundle written"
    with pytest.raises(CrashError):
        rig.launcher.launch(rig.road.state(run), attempt)
    assert rig.backend.submissions == {}
    assert [asked.grace_seconds for asked in rig.backend.cancelled] == [7.0]


def test_a_backend_that_cannot_now_is_told_of_and_nothing_is_recorded(rig: Rig) -> None:
    (run,) = rig.queue()
    attempt = rig.road.assign(run)
    rig.backend.refuse(1)
    with pytest.raises(UnavailableError):
        rig.launcher.launch(rig.road.state(run), attempt)
    assert rig.attempt_of(run).native is None


def test_without_an_address_the_job_gets_none(rig: Rig) -> None:
    (rig.road.directory / "server.json").write_text("{")
    _, attempt = rig.launched()
    assert "TALLY_SERVER_URL" not in rig.backend.bundle(attempt.id).environment


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"MLFLOW_TRACKING_URI": "file:///mine"}, "true"),
        ({"MLFLOW_RUN_ID": "abc"}, "true"),
        ({}, "MLFLOW_TRACKING_URI=sqlite:///mine.db python train.py"),
    ],
)
def test_a_tracker_that_the_run_names_itself_is_left_to_it(
    rig: Rig, environment: dict[str, str], command: str
) -> None:
    (rig.road.directory / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    run = rig.road.state(with_environment(rig, environment, command=command))
    bundle = rig.backend.bundle(rig.attempt_of(run.id).id)
    named = {key: held for key, held in bundle.environment.items() if key.startswith("MLFLOW")}
    assert named == environment
