"""Event files of a job become streams of its run, whole, once, and never by a link."""

from pathlib import Path

import pytest

from tallystick.control import tailer as tailer_module
from tallystick.control.places import Place, places_of
from tallystick.control.tailer import Tailer
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import RunId
from tallystick.projections import attempts, runs
from tallystick.store.series import Series
from tests.unit.control.rig import Rig

CONTENT = b"events" * 1_000


class Desk:
    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.told: list[str] = []
        self.tailer = self.another()
        self.run, self.attempt = rig.launched(command="python t.py --logdir logs", workdir="/w")
        self.wandb = rig.runs_dir / self.run / self.attempt.id / "wandb_data"

    def another(self) -> Tailer:
        series = Series(self.rig.runs_dir)
        touches = (self.told.append,)
        return Tailer(self.rig.road.database, series, self.rig.runs_dir, touches=touches)

    def write(self, name: str, content: bytes) -> Path:
        path = self.rig.runs_dir / self.run / self.attempt.id / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
        return path

    def streams(self) -> dict[str, bytes]:
        """Prefix and suffix of each stream, with its bytes."""
        directory = self.rig.runs_dir / self.run / "metrics"
        return {
            path.name.split("-", 2)[2]: path.read_bytes()
            for path in sorted(directory.glob("att_*-*"))
        }


@pytest.fixture
def desk(rig: Rig) -> Desk:
    return Desk(rig)


def test_a_file_is_copied_as_it_grows(desk: Desk) -> None:
    for _ in range(3):
        desk.write("test/events.out.tfevents.1.host", CONTENT)
        desk.tailer.tick()
    assert desk.streams() == {"test.tfevents": CONTENT * 3}
    assert set(desk.told) == {desk.run}


def test_the_next_server_goes_on_where_this_one_stopped(desk: Desk) -> None:
    desk.write("events.out.tfevents.1.host", CONTENT)
    desk.tailer.tick()
    desk.write("events.out.tfevents.1.host", b"more")
    desk.another().tick()
    assert desk.streams() == {".tfevents": CONTENT + b"more"}


def test_what_has_not_grown_is_not_told_again(desk: Desk) -> None:
    desk.write("events.out.tfevents.1.host", CONTENT)
    desk.tailer.tick()
    desk.told.clear()
    desk.tailer.tick()
    assert desk.told == []


def test_places_that_are_not_there_are_nothing_to_warn_of(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (desk.wandb.parent / "artifacts", desk.wandb):
        path.rmdir()
    desk.tailer.follow(desk.attempt)
    assert caplog.messages == []


def test_links_and_other_files_are_left_alone(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "events.out.tfevents.secret"
    secret.write_bytes(b"secret")
    path = desk.write("model.bin", b"x")
    path.with_name("events.out.tfevents.link").symlink_to(secret)
    path.with_name("around").symlink_to(tmp_path, target_is_directory=True)
    desk.tailer.tick()
    assert desk.streams() == {}


def test_a_second_wandb_run_of_a_job_is_set_apart(desk: Desk) -> None:
    for name in ("offline-run-1-abc/run-abc.wandb", "offline-run-2-def/run-def.wandb"):
        path = desk.wandb / "wandb" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        desk.tailer.tick()
    desk.another().tick()
    assert desk.streams() == {".wandb": CONTENT, "run-def.wandb": CONTENT}


def test_an_ended_attempt_is_followed_when_asked_and_not_by_ticks(desk: Desk) -> None:
    desk.rig.start(desk.run, desk.attempt)
    desk.rig.end(desk.run)
    desk.write("events.out.tfevents.1.host", CONTENT)
    desk.tailer.tick()
    assert desk.streams() == {}
    desk.tailer.follow(ended(desk))
    assert desk.streams() == {".tfevents": CONTENT}


def ended(desk: Desk) -> Attempt:
    with desk.rig.road.database.read() as tx:
        found = attempts.get(tx, desk.attempt.id)
    assert found is not None
    return found


def test_a_directory_of_many_names_is_looked_at_less_often(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailer_module, "NAMES_PER_TICK", 2)
    for number in range(6):
        desk.write(f"{number}.txt", b"")
    desk.tailer.tick()
    desk.write("events.out.tfevents.1.host", CONTENT)
    for _ in range(3):
        desk.tailer.tick()
        assert desk.streams() == {}
    desk.tailer.tick()
    assert desk.streams() == {".tfevents": CONTENT}


def test_places_are_the_attempts_own_and_those_that_the_command_names(desk: Desk) -> None:
    with desk.rig.road.database.read() as tx:
        run = runs.get(tx, RunId(desk.run))
        assert run is not None
        found = places_of(tx, run, desk.attempt, Path("/d"))
    since = desk.attempt.assigned_at * 1_000_000
    assert found == [
        Place(Path("/d/artifacts"), ""),
        Place(Path("/d/wandb_data"), "", collected=False),
        Place(Path("/d/system.jsonl"), "", collected=False, stream=".jsonl"),
        Place(Path("/w/logs"), "logs/", since),
    ]
