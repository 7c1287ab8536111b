"""The tables can be built again from nothing but the ledger: P6.2."""

from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from tallystick.db.database import Database
from tallystick.domain.codec import decode
from tallystick.projections import replay as replaying
from tallystick.projections import tables
from tallystick.projections.audit import verify_database
from tallystick.projections.replay import bring_up_to_date, entries_of, record_of
from tallystick.testing.spine import Spine, spine
from tests.unit.projections.history import History


def contents(database: Database) -> dict[str, Any]:
    with database.read() as tx:
        return {
            table.name: {tuple(row.items()) for row in tx.fetch(select(table))}
            for table in tables.metadata.sorted_tables
        }


def set_version(opened: Spine, version: int) -> None:
    with opened.database.write() as tx:
        tx.upsert(tables.positions, [{"name": "projections", "version": version}])


def test_tables_of_another_version_are_built_again_as_they_were(opened: Spine) -> None:
    before = contents(opened.database)
    with opened.database.write() as tx:
        tx.execute(text("UPDATE runs SET status = 'nonsense'"))
        tx.execute(text("DELETE FROM sweeps"))
    set_version(opened, tables.VERSION - 1)
    assert bring_up_to_date(opened.database)
    assert contents(opened.database) == before
    assert not bring_up_to_date(opened.database)
    assert verify_database(opened.database).ok


def test_tables_of_this_version_are_left_alone(opened: Spine) -> None:
    with opened.database.write() as tx:
        tx.execute(text("DELETE FROM sweeps"))
    assert not bring_up_to_date(opened.database)
    assert contents(opened.database)["sweeps"] == set()


def test_columns_that_an_older_version_did_not_have_are_there_afterwards(opened: Spine) -> None:
    before = contents(opened.database)
    with opened.database.write() as tx:
        for index in ("phase_queued_seq", "lane_queued_seq_not_before", "held_queued_seq"):
            tx.execute(text(f"DROP INDEX ix_runs_{index}"))
        tx.execute(text("ALTER TABLE runs DROP COLUMN queued_seq"))
        tx.execute(text("ALTER TABLE sessions ADD COLUMN of_old TEXT NOT NULL DEFAULT 'x'"))
    set_version(opened, tables.VERSION - 1)
    assert bring_up_to_date(opened.database)
    assert contents(opened.database) == before
    with opened.database.read() as tx:
        found = tx.fetch(text("SELECT name FROM sqlite_master WHERE type = 'index'"))
    names = {row["name"] for row in found}
    assert {index.name for table in tables.metadata.sorted_tables for index in table.indexes} <= (
        names
    )


def test_what_is_no_fact_survives_a_rebuild(opened: Spine) -> None:
    with opened.database.write() as tx:
        tx.upsert(tables.unsealed, [{"run": "run_1", "since": 5}])
    set_version(opened, tables.VERSION - 1)
    bring_up_to_date(opened.database)
    assert len(contents(opened.database)["op_unsealed"]) == 1


def test_a_rebuild_that_takes_several_pages_is_the_same(opened: Spine, monkeypatch: Any) -> None:
    before = contents(opened.database)
    monkeypatch.setattr(replaying, "PAGE", 3)
    set_version(opened, tables.VERSION - 1)
    assert bring_up_to_date(opened.database)
    assert contents(opened.database) == before


def test_the_server_goes_on_after_a_rebuild(copied: Path) -> None:
    with spine(copied) as opened:
        set_version(opened, tables.VERSION - 1)
    with spine(copied) as opened:
        history = History(opened)
        history.run("9", sweep=history.sweep("9"))
        assert verify_database(opened.database).problems == []


def test_records_say_what_their_entries_say(opened: Spine) -> None:
    with opened.database.read() as tx:
        entries = list(entries_of(tx))
    assert [entry.seq for entry in entries] == list(range(len(entries)))
    for entry in entries:
        record = record_of(entry)
        assert (record.seq, record.ts, record.stream) == (entry.seq, entry.ts, entry.stream)
        assert (record.session, record.actor) == (entry.session, entry.actor_token)
        assert record.role == entry.actor_role
        assert record.event == decode(entry.type, entry.data)
