"""The states that commands are decided against."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tallystick.db.database import Database
from tallystick.db.sqlite import SqliteDatabase
from tallystick.domain.ids import RunId
from tallystick.projections import tables
from tallystick.projections.replay import entries_of, record_of
from tallystick.projections.rows import Shape
from tallystick.projections.shelf import Shelf
from tallystick.projections.world import World
from tallystick.testing.spine import Spine


def contents(database: Database) -> dict[str, Any]:
    with database.read() as tx:
        return {
            table.name: {tuple(row.items()) for row in tx.fetch(select(table))}
            for table in tables.metadata.sorted_tables
            if not table.name.startswith("op_")
        }


@pytest.mark.parametrize("capacity", [0, 1, 3, 4096])
@pytest.mark.parametrize("group", [1, 4, 1000])
def test_what_is_kept_in_memory_changes_nothing_in_the_tables(
    opened: Spine, tmp_path: Path, capacity: int, group: int
) -> None:
    scratch = SqliteDatabase(tmp_path / "scratch.db")
    scratch.create(tables.metadata)
    world = World(capacity=capacity)
    with opened.database.read() as source, scratch.write() as target:
        world.tx = target
        for number, entry in enumerate(entries_of(source), 1):
            world.apply(record_of(entry))
            if number % group == 0:
                world.flush(target)
                world.settle()
                assert all(len(shelf._clean) <= capacity for shelf in world._shelves)
        world.flush(target)
    assert contents(scratch) == contents(opened.database)
    scratch.close()


def test_forgetting_after_a_failed_commit_brings_back_what_is_stored(opened: Spine) -> None:
    run = RunId("run_000000000003")
    world = World()
    with opened.database.read() as tx:
        world.tx = tx
        stored = world.run(run)
        assert stored is not None
        newest = next(
            record
            for record in map(record_of, entries_of(tx))
            if record.stream == run and record.event.type == "run.queued"
        )
        world.apply(replace(newest, seq=10_000))
        moved = world.run(run)
        assert moved is not None
        assert moved.changed_seq == 10_000
        world.forget()
        assert world.run(run) == stored


def test_what_was_never_written_is_what_it_counts_as(fresh: Spine) -> None:
    world = World()
    with fresh.database.read() as tx:
        world.tx = tx
        assert world.policy().session == "enforce"
        assert world.totals().runs.total == 0
        assert world.run("run_1") is None
        assert world.session("chat-1") is None
        assert world.request("k") is None
        assert world.publication("p") is None


def test_reading_a_state_marks_nothing_as_changed(opened: Spine) -> None:
    with opened.database.read() as tx:
        world = World()
        world.tx = tx
        assert world.run("run_000000000001") is not None
        assert world.policy().session == "warn"
        assert world.totals().runs.total > 0
        world.flush(tx)  # would be refused in a read block if there were anything to write


def test_the_states_that_were_changed_last_are_the_ones_that_are_kept() -> None:
    shape: Shape[Any] = tables.totals
    shelf = Shelf(shape, 2)
    for key in ("a", "b", "c"):
        shelf.put(key, key)
        shelf.settle()
    assert [shelf.get(None, key) for key in ("a", "b", "c")] == [None, "b", "c"]


def test_entries_about_nothing_that_is_known_are_harmless(opened: Spine) -> None:
    """A fold is total: it never fails on a stream whose beginning it has not seen."""
    with opened.database.read() as tx:
        records = [record_of(entry) for entry in entries_of(tx)]
    for record in records:
        World().apply(record)
    world = World()
    for record in reversed(records):
        world.apply(record)
