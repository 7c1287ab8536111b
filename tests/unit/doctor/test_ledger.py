"""The checks of what the database says, each both ways."""

import fcntl
import os
import sqlite3
from pathlib import Path

from tallystick.doctor import ledger
from tallystick.doctor.finding import Finding, Verdict
from tallystick.doctor.place import Place
from tallystick.ledger.keys import Signer
from tallystick.ledger.ledger import Ledger
from tests.fault.damage import other_key, sql
from tests.unit.doctor.conftest import MakePlace

HOUR_MS = 3_600_000


def finding(place: Place, name: str) -> Finding:
    return next(item for item in ledger.examine(place) if item.check == name)


def test_a_ledger_as_a_server_left_it_is_well_and_looking_leaves_no_trace(place: Place) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in place.data_dir.iterdir())
    found = ledger.examine(place)
    assert [item.verdict for item in found] == [Verdict.OK] * 5
    assert found[0].found.startswith("40 entries of tally.local/")
    after = sorted((path.name, path.stat().st_mtime_ns) for path in place.data_dir.iterdir())
    assert after == before


def test_beside_a_writer_the_newest_commit_is_seen(place: Place) -> None:
    writer = sqlite3.connect(place.data_dir / "tally.db")
    with writer:
        writer.execute("UPDATE op_positions SET version = 999")
    assert finding(place, "tables").verdict is Verdict.WARN
    writer.close()


def test_a_ledger_that_does_not_verify_names_the_entry(place: Place) -> None:
    sql("UPDATE entries SET leaf_hash = zeroblob(32) WHERE seq = 7")(place.data_dir)
    found = finding(place, "ledger")
    assert found.verdict is Verdict.FAIL
    assert "entry 7" in found.found
    assert found.mend


def test_another_key_is_told(place: Place) -> None:
    other_key(place.data_dir)
    found = finding(place, "ledger")
    assert found.verdict is Verdict.FAIL
    assert "no signature by a known key" in found.found


def test_without_a_key_the_rest_is_looked_at_all_the_same(place: Place) -> None:
    (place.data_dir / "ledger.key").unlink()
    assert finding(place, "ledger").verdict is Verdict.WARN
    assert finding(place, "tables").verdict is Verdict.OK
    assert not (place.data_dir / "ledger.key").exists()
    Signer.create(place.data_dir / "ledger.key", "tally.local/0123456789abcdef")


def test_a_file_that_is_no_database_is_one_finding(place: Place) -> None:
    (place.data_dir / "tally.db").write_bytes(b"hello " * 4000)
    found = ledger.examine(place)
    assert [item.verdict for item in found] == [Verdict.FAIL]


def test_tables_of_another_version_are_told(place: Place) -> None:
    sql("UPDATE op_positions SET version = 999")(place.data_dir)
    found = finding(place, "tables")
    assert found.verdict is Verdict.WARN
    assert "version 999" in found.found


def test_a_row_that_does_not_follow_the_ledger_is_named(place: Place) -> None:
    sql("UPDATE runs SET changed_seq = 1")(place.data_dir)
    found = finding(place, "tables")
    assert found.verdict is Verdict.FAIL
    assert "run_0123456789ab" in found.found


def test_an_entry_from_the_future_is_told(place_of: MakePlace) -> None:
    found = finding(place_of(ahead_ms=-3 * HOUR_MS), "clock")
    assert found.verdict is Verdict.WARN
    assert "from the future" in found.found
    assert "2 hours" in found.found or "3 hours" in found.found or "179" in found.found


def test_a_clock_that_went_back_lately_is_told(place: Place) -> None:
    sql(
        "UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"ts\":', '\"ts\":1') "
        "AS BLOB) WHERE seq = 20"
    )(place.data_dir)
    with ledger.reading(place) as tx:
        entries = Ledger.read(tx, limit=40)
    far = Place(settings=place.settings, now_ms=entries[20].ts + HOUR_MS)
    found = ledger.clock(far, entries)
    assert found.verdict is Verdict.WARN
    assert "before entry 21" in found.found


def test_a_run_that_counts_as_active_without_a_supervisor_is_named(place: Place) -> None:
    sql("UPDATE attempts SET active = 1")(place.data_dir)
    found = finding(place, "supervisors")
    assert found.verdict is Verdict.WARN
    assert "1 active, 0 with a supervisor" in found.found
    assert "run_0123456789ab" in found.found


def test_one_that_holds_its_lock_is_well(place: Place) -> None:
    sql("UPDATE attempts SET active = 1")(place.data_dir)
    (directory,) = place.runs_dir.glob("run_0123456789ab/att_*")
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert finding(place, "supervisors").found == "1 active, 1 with a supervisor"
    os.close(lock)


def test_a_run_directory_of_no_run_is_named(place: Place) -> None:
    assert finding(place, "run directories").verdict is Verdict.OK
    (place.runs_dir / "run_ffffffffffff").mkdir()
    found = finding(place, "run directories")
    assert found.verdict is Verdict.WARN
    assert "1 of no run" in found.found
    assert "run_ffffffffffff" in found.found


def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    place_of: MakePlace, tmp_path: Path
) -> None:
    url = f"postgresql+psycopg://user:hunter2@/none?host={tmp_path}"
    found = ledger.examine(place_of(url=url))
    assert [item.verdict for item in found] == [Verdict.FAIL]
    assert "hunter2" not in str(found)
