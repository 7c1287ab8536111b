"""The index follows the streams: through a death of its process, and of the server."""

import os
import signal
from collections.abc import Iterator

import pytest

from tallystick.control.indexer import Indexer
from tallystick.domain.ids import RunId
from tallystick.projections import measured
from tallystick.store.indexing import Indexed, Job
from tallystick.store.indexing_process import IndexingProcess
from tallystick.store.series import POSTED, Series
from tests.unit.control.rig import Rig


class Process(IndexingProcess):
    """Fails where a test says so."""

    failing: str = ""

    def ask(self, job: Job) -> Indexed:
        if self.failing == job.run:
            return Indexed(job.run, job.final, caught_up=False, error="a test said so")
        return super().ask(job)


class Desk:
    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.series = Series(rig.runs_dir)
        self.process = Process(rig.runs_dir)
        self.indexer = Indexer(rig.road.database, self.process)

    def write(self, run: str, *lines: bytes, touch: bool = True) -> None:
        self.series.append(run, POSTED, b"".join(line + b"\n" for line in lines))
        if touch:
            self.indexer.touch(run)

    def behind(self) -> set[str]:
        with self.rig.road.database.read() as tx:
            return measured.behind(tx)

    def metrics(self, run: str) -> str | None:
        with self.rig.road.database.read() as tx:
            found = measured.of_runs(tx, [run]).get(run)
        return None if found is None else found.metrics


@pytest.fixture
def desk(rig: Rig) -> Iterator[Desk]:
    desk = Desk(rig)
    yield desk
    desk.indexer.stop()


@pytest.fixture
def run(desk: Desk) -> RunId:
    return desk.rig.launched()[0]


def test_what_was_touched_is_in_lists_after_a_tick(desk: Desk, run: RunId) -> None:
    desk.write(run, b'{"a":1}')
    assert desk.metrics(run) is None
    desk.indexer.tick()
    assert desk.metrics(run) == '{"a":1}'


def test_a_run_is_remembered_as_behind_until_it_has_ended_and_caught_up(
    desk: Desk, run: RunId
) -> None:
    desk.write(run, b'{"a":1}')
    desk.indexer.tick()
    assert desk.behind() == {run}
    desk.rig.end(run)
    desk.indexer.ended()
    desk.indexer.tick()
    assert desk.behind() == set()


def test_rows_that_come_after_the_end_are_indexed_too(desk: Desk, run: RunId) -> None:
    desk.rig.end(run)
    desk.write(run, b'{"a":1}')
    desk.indexer.tick()
    desk.write(run, b'{"a":2}')
    assert desk.behind() == {run}
    desk.indexer.tick()
    assert (desk.metrics(run), desk.behind()) == ('{"a":2}', set())


def test_the_next_server_goes_on_with_what_this_one_left_behind(desk: Desk, run: RunId) -> None:
    desk.write(run, b'{"a":1}')
    after = Indexer(desk.rig.road.database, IndexingProcess(desk.rig.runs_dir))
    after.start()
    try:
        after.catch_up(run).result(30)
    finally:
        after.stop()
    assert desk.metrics(run) == '{"a":1}'


def test_a_process_that_was_killed_is_started_again_and_nothing_is_lost(
    desk: Desk, run: RunId
) -> None:
    desk.write(run, b'{"a":1}')
    desk.indexer.tick()
    assert desk.process.pid is not None
    os.kill(desk.process.pid, signal.SIGKILL)
    desk.write(run, b'{"a":2}')
    waiter = desk.indexer.catch_up(run)
    for _ in range(2):
        desk.indexer.tick()
    assert waiter.done()
    assert desk.metrics(run) == '{"a":2}'


def test_a_run_that_cannot_be_indexed_holds_up_no_other_and_is_left_alone(
    desk: Desk, run: RunId
) -> None:
    other = desk.rig.launched()[0]
    desk.process.failing = run
    desk.write(run, b'{"a":1}')
    desk.write(other, b'{"a":7}')
    waiter = desk.indexer.catch_up(run)
    desk.indexer.tick()
    assert desk.metrics(other) == '{"a":7}'
    assert not waiter.done()
    for _ in range(2):
        desk.indexer.tick()
    assert waiter.done()
    desk.process.failing = ""
    desk.write(run, b'{"a":2}')
    desk.indexer.tick()
    assert desk.metrics(run) == '{"a":2}'


def test_who_waits_when_the_server_ends_is_told(desk: Desk, run: RunId) -> None:
    waiter = desk.indexer.catch_up(run)
    desk.indexer.stop()
    assert waiter.done()
    assert desk.indexer.catch_up(run).done()
