"""Posted metrics are sealed: P6.4."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tallystick.control.commands import CommandHandler
from tallystick.control.sealer import SEAL_BYTES, SEAL_MS, Sealer
from tallystick.domain import commands as cm
from tallystick.domain.ids import RunId
from tallystick.errors import UnavailableError
from tallystick.projections import unsealed
from tallystick.testing.faults import Fault
from tests.unit.control.rig import Rig


class Desk:
    """A sealer, and somebody who posts metrics."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.run, _ = rig.launched()
        self.sealer = self.another()

    def another(self) -> Sealer:
        road = self.rig.road
        return Sealer(road.database, road.handler, self.rig.runs_dir, clock=road.clock)

    @property
    def path(self) -> Path:
        return self.rig.runs_dir / self.run / "metrics" / "posted.jsonl"

    def post(self, content: bytes) -> None:
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("ab") as file:
            file.write(content)
        self.sealer.touch(self.run)

    def seals(self) -> list[dict[str, Any]]:
        return [
            dict(entry.data) for entry in self.rig.road.entries() if entry.type == "output.sealed"
        ]

    def waiting(self) -> int:
        with self.rig.road.database.read() as tx:
            return len(unsealed.waiting(tx))


@pytest.fixture
def desk(rig: Rig) -> Desk:
    return Desk(rig)


def test_rows_are_sealed_a_minute_after_they_began_to_come_and_not_before(desk: Desk) -> None:
    desk.post(b"one\n")
    desk.rig.road.clock.advance(SEAL_MS - 1)
    desk.post(b"two\n")
    desk.sealer.tick()
    assert desk.seals() == []
    desk.rig.road.clock.advance(1)
    desk.sealer.tick()
    desk.sealer.tick()
    (seal,) = desk.seals()
    assert (seal["stream"], seal["bytes"]) == ("posted", 8)
    assert seal["sha256"] == hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert "n" not in seal
    assert desk.waiting() == 0


def test_much_growth_is_sealed_at_once(desk: Desk) -> None:
    desk.post(b"x" * (SEAL_BYTES - 1))
    desk.sealer.tick()
    assert desk.seals() == []
    desk.post(b"x")
    desk.sealer.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [SEAL_BYTES]


def test_the_end_of_the_run_seals_what_is_left(desk: Desk) -> None:
    desk.post(b"last\n")
    desk.rig.end(desk.run)
    desk.sealer.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [5]


def test_rows_after_a_seal_are_sealed_again(desk: Desk) -> None:
    for _ in range(2):
        desk.post(b"more\n")
        desk.rig.road.clock.advance(SEAL_MS)
        desk.sealer.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [5, 10]


def test_what_waits_is_remembered_across_a_restart(desk: Desk) -> None:
    desk.post(b"one\n")
    desk.rig.road.clock.advance(SEAL_MS)
    desk.another().tick()
    assert len(desk.seals()) == 1


def test_a_seal_that_could_not_be_written_is_written_later(desk: Desk) -> None:
    desk.post(b"one\n")
    desk.rig.end(desk.run)
    desk.rig.road.database.plan_writes(Fault.NOT_APPLIED)
    with pytest.raises(UnavailableError):
        desk.sealer.tick()
    assert desk.seals() == []
    desk.another().tick()
    assert [seal["bytes"] for seal in desk.seals()] == [4]


def test_rows_that_come_while_a_seal_is_being_written_are_not_forgotten(desk: Desk) -> None:
    desk.post(b"one\n")

    class Slow(CommandHandler):
        def handle(self, command: cm.Command, **kwargs: Any) -> Any:
            desk.post(b"meanwhile\n")
            return desk.rig.road.handler.handle(command, **kwargs)

    desk.sealer._handler = object.__new__(Slow)
    desk.rig.road.clock.advance(SEAL_MS)
    desk.sealer.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [4]
    assert desk.waiting() == 1
    later = desk.another()
    later.tick()
    assert len(desk.seals()) == 1
    desk.rig.road.clock.advance(SEAL_MS)
    later.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [4, 14]


def test_a_run_that_was_never_executed_does_not_wait_for_ever(desk: Desk) -> None:
    ready = desk.rig.road.run(desk.rig.road.sweep())
    desk.run = RunId(ready)
    desk.rig.runs_dir.joinpath(ready).mkdir()
    desk.post(b"one\n")
    desk.sealer.tick()
    assert desk.waiting() == 1
    desk.rig.road.handle(cm.StopRun(run=ready))
    desk.sealer.tick()
    assert (desk.waiting(), desk.seals()) == (0, [])


def test_a_touch_without_rows_seals_nothing(desk: Desk) -> None:
    desk.sealer.touch(desk.run)
    desk.rig.end(desk.run)
    desk.sealer.tick()
    assert desk.seals() == []


def test_a_later_seal_reads_only_what_came_after_the_one_before(desk: Desk) -> None:
    desk.post(b"one\n")
    desk.rig.road.clock.advance(SEAL_MS)
    desk.sealer.tick()
    desk.path.write_bytes(b"ONE\n")  # would be noticed by whoever read it again
    desk.post(b"two\n")
    desk.rig.road.clock.advance(SEAL_MS)
    desk.sealer.tick()
    assert [seal["bytes"] for seal in desk.seals()] == [4, 8]
    assert desk.seals()[1]["sha256"] == hashlib.sha256(b"one\ntwo\n").hexdigest()
