"""Verification names what was changed, whatever was changed: P6.2."""

import hashlib
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Table, select

from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.domain import commands as cm
from tallystick.domain.ids import SweepId
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import leaf_hash
from tallystick.projections import audit, tables
from tallystick.projections.audit import MOST_PROBLEMS, AuditReport, verify_database
from tallystick.testing.clock import ManualClock
from tallystick.testing.spine import AGENT, spine
from tests.unit.projections.history import History

FACTS = [table for table in tables.metadata.sorted_tables if not table.name.startswith("op_")]
CELLS = [(table, column) for table in FACTS for column in table.columns]


@contextmanager
def database(directory: Path) -> Iterator[Database]:
    found = open_database(f"sqlite:///{directory / 'tally.db'}")
    try:
        yield found
    finally:
        found.close()


def verified(directory: Path, **kwargs: Any) -> AuditReport:
    with database(directory) as found:
        return verify_database(found, **kwargs)


def change(directory: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    """What somebody with the file in hand can do; the triggers are the first to go."""
    with closing(sqlite3.connect(directory / "tally.db")) as connection, connection:
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ]
        for name in names:
            connection.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            connection.execute(statement, values)


def first_problem(directory: Path) -> str:
    report = verified(directory)
    assert not report.ok
    return report.problems[0]


def test_a_ledger_that_nobody_touched_verifies_and_is_counted(copied: Path) -> None:
    report = verified(copied)
    assert report.problems == []
    assert report.ok
    with closing(sqlite3.connect(copied / "tally.db")) as connection:

        def count(table: str) -> Any:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

        assert report.entries == count("entries") > 40
        assert report.payloads == count("payloads") > 20
        assert report.checkpoints == count("checkpoints") >= 1
        assert report.rows == sum(count(table.name) for table in FACTS)
    assert (report.origin, report.missing_payloads) == ("tally.local/0123456789abcdef", 0)
    assert report.root is not None
    assert len(report.root) == 64


def test_the_history_fills_every_column_of_every_table(copied: Path) -> None:
    """Else a changed cell below could be one that nothing ever wrote."""
    with database(copied) as found, found.read() as tx:
        for table in FACTS:
            rows = tx.fetch(select(table))
            assert rows, table.name
            for column in table.columns:
                assert any(row[column.name] is not None for row in rows), column


def test_an_empty_database_verifies(tmp_path: Path) -> None:
    with spine(tmp_path):
        pass
    change(tmp_path, "DELETE FROM entries", "DELETE FROM checkpoints")
    assert verified(tmp_path).ok


def other(column: Column[Any], value: Any) -> Any:
    """Another value that the same column could hold."""
    if isinstance(column.type, Boolean):
        return not value
    if column.type.python_type is int:
        return (value or 0) + 1
    return f"{value or ''}x"


@pytest.fixture(scope="module")
def pair(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """The tables as they are, to be changed, and as they ought to be."""
    directory = tmp_path_factory.mktemp("pair")
    for name in ("changed.db", "right.db"):
        shutil.copy(made / "tally.db", directory / name)
    changed = open_database(f"sqlite:///{directory / 'changed.db'}")
    right = open_database(f"sqlite:///{directory / 'right.db'}")
    yield changed, right
    changed.close()
    right.close()


class UndoError(Exception):
    """Rolls a change back."""


def undo() -> None:
    raise UndoError


def compared(pair: tuple[Database, Database], table: Table, statement: Any) -> list[str]:
    """The problems of one table after a change, which is then undone."""
    changed, right = pair
    report = AuditReport()
    with suppress(UndoError), changed.write() as live, right.read() as rebuilt:
        assert live.execute(statement) == 1
        audit._compare(table, live, rebuilt, report)
        undo()
    return report.problems


@pytest.mark.parametrize(
    ("table", "column"), CELLS, ids=[f"{table.name}.{column.name}" for table, column in CELLS]
)
def test_a_changed_cell_is_named(
    pair: tuple[Database, Database], table: Table, column: Column[Any]
) -> None:
    with pair[1].read() as tx:
        rows = tx.fetch(select(table).order_by(table.c.id))
    row = rows[len(rows) // 2]
    value = other(column, row[column.name])
    statement = table.update().where(table.c.id == row["id"]).values({column.name: value})
    problems = compared(pair, table, statement)
    if column.name == "id":
        assert problems == [
            f"table {table.name}: row {value} has no entry in the ledger",
            f"table {table.name}: row {row['id']} is missing",
        ]
        return
    if isinstance(column.type, Boolean):  # as SQLite holds it
        value, was = int(value), int(row[column.name])
    else:
        was = row[column.name]
    expected = (
        f"table {table.name}: row {row['id']}: column {column.name} holds {value!r}, "
        f"the ledger says {was!r}"
    )
    assert problems == [expected]


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_a_missing_row_and_an_extra_row_are_named(
    pair: tuple[Database, Database], table: Table
) -> None:
    with pair[1].read() as tx:
        row = dict(tx.fetch(select(table))[0])
    gone = compared(pair, table, table.delete().where(table.c.id == row["id"]))
    assert gone == [f"table {table.name}: row {row['id']} is missing"]
    extra = compared(pair, table, table.insert().values({**row, "id": "zzz"}))
    assert extra == [f"table {table.name}: row zzz has no entry in the ledger"]


@pytest.mark.parametrize("table", FACTS, ids=[table.name for table in FACTS])
def test_the_whole_verification_looks_at_every_table(copied: Path, table: Table) -> None:
    column = next(column for column in table.columns if column.name != "id")
    with database(copied) as found, found.write() as tx:
        row = tx.fetch(select(table))[0]
        value = other(column, row[column.name])
        tx.execute(table.update().where(table.c.id == row["id"]).values({column.name: value}))
    assert first_problem(copied).startswith(f"table {table.name}: row {row['id']}: column ")


def test_operational_tables_are_no_facts(copied: Path) -> None:
    change(copied, "INSERT INTO op_unsealed VALUES ('run_1', 5)")
    assert verified(copied).ok


def raw(directory: Path, seq: int) -> bytes:
    with closing(sqlite3.connect(directory / "tally.db")) as connection:
        found: bytes = connection.execute(
            "SELECT bytes FROM entries WHERE seq = ?", (seq,)
        ).fetchone()[0]
    return found


@pytest.mark.parametrize("position", [0, 1, 9, 40, 80, 120, -1])
@pytest.mark.parametrize("seq", [0, 7])
def test_a_flipped_byte_of_an_entry_names_that_entry(copied: Path, seq: int, position: int) -> None:
    content = bytearray(raw(copied, seq))
    content[position] ^= 1
    change(copied, f"UPDATE entries SET bytes = ? WHERE seq = {seq}", values=(bytes(content),))
    assert f"entry {seq}" in first_problem(copied)


def test_bytes_that_are_rehashed_still_do_not_fit_the_signed_root(copied: Path) -> None:
    content = raw(copied, 7).replace(b'"agent"', b'"people"')
    change(
        copied,
        "UPDATE entries SET bytes = ?, leaf_hash = ?, actor_role = 'people' WHERE seq = 7",
        values=(content, leaf_hash(content)),
    )
    assert "the tree of that size has another root" in first_problem(copied)


@pytest.mark.parametrize("column", ["bytes", "leaf_hash"])
def test_text_where_bytes_belong_names_the_entry(copied: Path, column: str) -> None:
    change(copied, f"UPDATE entries SET {column} = 'x' WHERE seq = 5")
    assert first_problem(copied).startswith("entry 5: expected bytes")


def test_a_changed_leaf_hash_names_the_entry(copied: Path) -> None:
    change(copied, "UPDATE entries SET leaf_hash = zeroblob(32) WHERE seq = 5")
    assert first_problem(copied) == "entry 5: its bytes do not hash to its leaf hash"


@pytest.mark.parametrize("seq", [0, 5])
def test_a_deleted_entry_is_missed(copied: Path, seq: int) -> None:
    change(copied, f"DELETE FROM entries WHERE seq = {seq}")
    assert f"entry {seq} is missing" in "\n".join(verified(copied).problems[:1])


def test_entries_that_are_cut_off_at_the_end_are_missed(copied: Path) -> None:
    entries = verified(copied).entries
    change(copied, f"DELETE FROM entries WHERE seq >= {entries - 2}")
    assert first_problem(copied) == (
        f"entry {entries - 2} is missing: the newest checkpoint covers {entries} entries, "
        f"stored are {entries - 2}"
    )


def test_a_ledger_without_any_of_its_entries_does_not_verify(copied: Path) -> None:
    change(copied, "DELETE FROM entries")
    report = verified(copied)
    assert not report.ok


def test_a_ledger_whose_checkpoints_were_deleted_too_still_has_its_tables(copied: Path) -> None:
    change(copied, "DELETE FROM entries", "DELETE FROM checkpoints", "DELETE FROM payloads")
    assert "has no entry in the ledger" in first_problem(copied)


def test_an_inserted_entry_is_noticed(copied: Path) -> None:
    entries = verified(copied).entries
    change(
        copied,
        f"INSERT INTO entries SELECT {entries}, ts, type, stream, session, actor_token, "
        "actor_role, leaf_hash, bytes FROM entries WHERE seq = 6",
    )
    assert f"entry {entries}" in first_problem(copied)


def test_swapped_entries_are_noticed_at_the_first(copied: Path) -> None:
    change(
        copied,
        "UPDATE entries SET seq = -1 WHERE seq = 5",
        "UPDATE entries SET seq = 5 WHERE seq = 6",
        "UPDATE entries SET seq = 6 WHERE seq = -1",
    )
    assert "entry 5" in first_problem(copied)


@pytest.mark.parametrize("column", ["ts", "type", "stream", "session", "actor_token", "actor_role"])
def test_a_changed_column_beside_the_bytes_names_entry_and_column(
    copied: Path, column: str
) -> None:
    change(copied, f"UPDATE entries SET {column} = 77 WHERE seq = 9")
    assert first_problem(copied).startswith(f"entry 9: column {column} says ")


def test_the_position_of_the_last_entry_cannot_be_changed_either(copied: Path) -> None:
    last = verified(copied).entries - 1
    change(copied, f"UPDATE entries SET seq = {last + 5} WHERE seq = {last}")
    assert first_problem(copied).startswith(f"entry {last + 5}: column seq says ")


@pytest.mark.parametrize("replaced", ["replace(note, '—', '--')", "substr(note, 1, 60)", "'x'"])
def test_a_changed_checkpoint_is_named(copied: Path, replaced: str) -> None:
    change(copied, f"UPDATE checkpoints SET note = {replaced}")
    assert first_problem(copied).startswith(f"checkpoint of size {verified(copied).entries}")


def test_a_checkpoint_of_another_size_is_noticed(copied: Path) -> None:
    change(copied, "UPDATE checkpoints SET size = size - 1")
    assert "checkpoint of size" in first_problem(copied)


def test_checkpoints_that_are_gone_are_missed(copied: Path) -> None:
    change(copied, "DELETE FROM checkpoints")
    assert first_problem(copied).startswith("entry 0 is not signed: the newest checkpoint covers 0")


def test_another_key_than_the_pinned_one_is_refused(copied: Path, tmp_path: Path) -> None:
    own = Signer.load(copied / "ledger.key").vkey
    assert verified(copied, vkey=own).ok
    another = Signer.create(tmp_path / "k", "tally.local/0123456789abcdef").vkey
    assert not verified(copied, vkey=another).ok
    assert not verified(copied, vkey="nonsense").ok


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE payloads SET bytes = bytes || 'x'", "do not match the commitment"),
        ("UPDATE payloads SET bytes = CAST(bytes || 'x' AS BLOB)", "do not match the commitment"),
        ("UPDATE payloads SET salt = zeroblob(16)", "do not match the commitment"),
        ("UPDATE payloads SET c = replace(c, 'a', 'b')", "do not match the commitment"),
    ],
)
def test_a_changed_text_is_named(copied: Path, statement: str, words: str) -> None:
    with closing(sqlite3.connect(copied / "tally.db")) as connection:
        where = "c LIKE '%a%'" if "replace" in statement else "1"
        (key,) = connection.execute(
            f"SELECT c FROM payloads WHERE {where} ORDER BY c LIMIT 1"
        ).fetchone()
    change(copied, f"{statement} WHERE c = '{key}'")
    assert words in first_problem(copied)


def test_an_erased_text_is_told_and_no_fault(copied: Path) -> None:
    with closing(sqlite3.connect(copied / "tally.db")) as connection:
        (key,) = connection.execute("SELECT max(c) FROM payloads").fetchone()
    change(copied, f"DELETE FROM payloads WHERE c = '{key}'")
    report = verified(copied)
    assert report.problems == []
    assert report.missing_payloads == 1
    assert re.fullmatch(rf"entry \d+: the text {key} was erased", report.erased[0])


def test_a_text_that_no_entry_commits_to_is_named(copied: Path) -> None:
    salt, text = b"s" * 16, b"slipped in"
    key = hashlib.sha256(salt + text).hexdigest()
    change(copied, "INSERT INTO payloads VALUES (?, ?, ?)", values=(key, salt, text))
    assert first_problem(copied) == f"payload {key}: no entry commits to it"


def test_a_configuration_that_looks_like_a_commitment_is_none(tmp_path: Path) -> None:
    with spine(tmp_path) as opened:
        history = History(opened)
        history.run("1", sweep=history.sweep("1"), params={"c": "ab" * 32, "n": 5})
        assert verify_database(opened.database).problems == []


def test_only_so_many_problems_are_told(copied: Path) -> None:
    change(copied, "UPDATE entries SET ts = ts + 1")
    assert len(verified(copied).problems) == MOST_PROBLEMS


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a full tile, and checkpoints of two hours."""
    directory, clock = tmp_path_factory.mktemp("long"), ManualClock()
    with spine(directory, clock=clock) as opened:
        for hour in range(2):
            futures = []
            for number in range(140):
                texts = opened.texts()
                sweep = SweepId(f"swp_{hour}{number:011x}")
                command = cm.CreateSweep(sweep=sweep, name=texts.add("s"), session="c")
                futures.append(opened.handler.submit(command, by=AGENT, texts=texts))
            for future in futures:
                future.result(30)
            clock.advance(3_600_000)
    return directory


def test_the_tiles_and_checkpoints_of_a_long_ledger_verify(long: Path) -> None:
    report = verified(long)
    assert report.problems == []
    assert report.checkpoints == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tiles SET hashes = zeroblob(8192)",
        "UPDATE tiles SET root = zeroblob(32)",
        "UPDATE tiles SET idx = 1",
        "DELETE FROM tiles",
    ],
)
def test_a_changed_or_missing_tile_is_named(long: Path, tmp_path: Path, statement: str) -> None:
    shutil.copy(long / "tally.db", tmp_path)
    change(tmp_path, statement)
    assert first_problem(tmp_path) == "tile 0/0 is not what the entries up to 255 give"
