"""Entries that were deleted, swapped, inserted or cut off, in an export and in the database."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.db.open import open_database
from tallystick.ledger.checkpoint import Checkpoint, encode64
from tallystick.ledger.keys import Signer
from tallystick.ledger.merkle import leaf_hash, root_of
from tallystick.ledger.verify import VerificationError, tile_path, verify_export
from tallystick.projections.audit import verify_database
from tests.property.test_ledger_flips import SOAK, exported
from tests.unit.ledger.kept_ledger import SEED
from tests.vectors import naive_tree

SIZES = [3, 24, 255, 256, 257, 300]
SIGNER = Signer("tally.example/log", SEED)
MOVES = st.sampled_from(["delete", "swap", "insert", "double", "cut"])
PLACES = st.floats(0, 1, exclude_max=True)
SOME = settings(
    max_examples=1_000 if SOAK else 40, suppress_health_check=list(HealthCheck), deadline=None
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By size: a directory with a database, `tally.db`, and its export, `out`."""
    return {size: exported(tmp_path_factory.mktemp(f"size{size}"), size).parent for size in SIZES}


def moved(entries: Sequence[bytes], move: str, at: int, to: int) -> list[bytes]:
    """The entries after one move; `to` is where a second one is taken from."""
    items = list(entries)
    match move:
        case "delete":
            del items[at]
        case "swap":
            items[at], items[to] = items[to], items[at]
        case "insert":
            items.insert(at, items[to].replace(b"chat-42", b"chat-43"))
        case "double":
            items.insert(at, items[at])
        case _:
            del items[at:]
    return items


def first_difference(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))


@cache
def entries_in(out: Path) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for path in sorted((out / "tile/entries").rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        while content:
            end = 2 + int.from_bytes(content[:2], "big")
            found.append(content[2:end])
            content = content[end:]
    return tuple(found)


def write_entries(out: Path, entries: Sequence[bytes], size: int) -> None:
    """Into the files that a tree of `size` has; what is left over goes into the last."""
    for index in range(-(-size // 256)):
        last = index == (size - 1) // 256
        some = entries[index * 256 :] if last else entries[index * 256 : (index + 1) * 256]
        width = min(256, size - index * 256)
        joined = b"".join(len(raw).to_bytes(2, "big") + raw for raw in some)
        (out / "tile/entries" / tile_path(index, width)).write_bytes(joined)


def write_all(out: Path, entries: Sequence[bytes]) -> bytes:
    """What a forger does who knows the format: entries and every tile anew; returns the root."""
    shutil.rmtree(out / "tile")
    (out / "tile/entries").mkdir(parents=True)
    leaves = [leaf_hash(raw) for raw in entries]
    for (level, index), tile in naive_tree.tiles(leaves).items():
        path = out / "tile" / str(level) / tile_path(index, len(tile) // 32)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile)
    for index in range(-(-len(entries) // 256)):
        path = out / "tile/entries" / tile_path(index, min(256, len(entries) - index * 256))
        path.parent.mkdir(parents=True, exist_ok=True)
    write_entries(out, entries, len(entries))
    return root_of(leaves)


def renumbered(entries: Sequence[bytes]) -> list[bytes]:
    """Each with the position that it stands at."""
    return [
        raw.replace(b'"seq":%d' % json.loads(raw)["seq"], b'"seq":%d' % seq)
        for seq, raw in enumerate(entries)
    ]


def failure(out: Path, vkey: str | None = None) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_export(out, vkey)
    return caught.value


@SOME
@given(st.sampled_from(SIZES), MOVES, PLACES, PLACES)
def test_moved_entries_of_an_export_are_detected_and_the_first_bad_one_named(
    made: dict[int, Path], size: int, move: str, place: float, other: float
) -> None:
    at, to = int(place * size), int(other * size)
    old = entries_in(made[size] / "out")
    new = moved(old, move, at, to)
    if new == list(old):
        return
    out = made[size] / "forged"
    shutil.copytree(made[size] / "out", out)
    try:
        write_entries(out, new, size)
        assert failure(out).entry == first_difference(old, new)
    finally:
        shutil.rmtree(out)


@SOME
@given(st.sampled_from(SIZES), MOVES, PLACES, PLACES)
def test_a_forger_without_the_key_is_detected_however_consistent(
    made: dict[int, Path], size: int, move: str, place: float, other: float
) -> None:
    at, to = int(place * size), int(other * size)
    old = entries_in(made[size] / "out")
    new = renumbered(moved(old, move, at, to))
    if new == list(old) or not new:
        return
    out = made[size] / "forged"
    shutil.copytree(made[size] / "out", out)
    try:
        root = write_all(out, new)
        assert failure(out).report  # the checkpoint as it was
        note = (out / "checkpoint").read_text(encoding="utf-8")
        text = Checkpoint(SIGNER.origin, len(new), root).text()
        forged = text + note[note.index("\n\n") + 1 :]
        (out / "checkpoint").write_text(forged, encoding="utf-8")
        assert "the signature of tally.example/log does not hold" in str(failure(out))
        thief = Signer(SIGNER.origin, bytes(32))
        (out / "checkpoint").write_text(thief.sign(text), encoding="utf-8")
        assert failure(out).report is None
        (out / "vkey").write_text(thief.vkey, encoding="utf-8")
        assert failure(out, SIGNER.vkey).report is None  # whoever brings the key along
        (out / "checkpoint").write_text(SIGNER.sign(text), encoding="utf-8")
        (out / "vkey").write_text(SIGNER.vkey, encoding="utf-8")
        assert verify_export(out).size == len(new), "the key's owner is told by pins alone"
    finally:
        shutil.rmtree(out)


def moved_in_database(connection: sqlite3.Connection, move: str, at: int, to: int) -> None:
    """The same moves, by somebody with the file in hand."""
    connection.execute("CREATE TEMP TABLE t AS SELECT * FROM entries")
    connection.execute("DELETE FROM entries")
    rows = connection.execute("SELECT seq FROM t ORDER BY seq").fetchall()
    numbers = [row[0] for row in rows]
    match move:
        case "delete":
            del numbers[at]
        case "swap":
            numbers[at], numbers[to] = numbers[to], numbers[at]
        case "insert" | "double":
            numbers.insert(at, numbers[to if move == "insert" else at])
        case _:
            del numbers[at:]
    for seq, source in enumerate(numbers):
        place = source if move == "delete" else seq
        connection.execute(
            "INSERT INTO entries SELECT ?, ts, type, stream, session, actor_token, actor_role,"
            " leaf_hash, bytes FROM t WHERE seq = ?",
            (place, source),
        )
    connection.execute("DROP TABLE t")


@SOME
@given(st.sampled_from(SIZES), MOVES, PLACES, PLACES)
def test_moved_entries_of_a_database_are_detected_and_the_first_bad_one_named(
    made: dict[int, Path], size: int, move: str, place: float, other: float
) -> None:
    at, to = int(place * size), int(other * size)
    if move == "swap" and at == to:
        return
    path = made[size] / "forged.db"
    shutil.copy(made[size] / "tally.db", path)
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA synchronous=OFF")
            for action in ("update", "delete"):
                connection.execute(f"DROP TRIGGER entries_refuses_{action}")
            moved_in_database(connection, move, at, to)
        database = open_database(f"sqlite:///{path}")
        try:
            problem = verify_database(database, vkey=SIGNER.vkey).problems[0]
        finally:
            database.close()
    finally:
        path.unlink()
    first = min(at, to) if move == "swap" else at
    if move in {"insert", "double"} and (move == "double" or at == to):
        first = at + 1  # what stands at its own place is not bad yet
    assert problem.startswith(f"entry {first}"), (problem, first)


def test_a_note_for_another_root_needs_the_key(made: dict[int, Path], tmp_path: Path) -> None:
    """A checkpoint in the database that somebody wrote who cannot sign."""
    shutil.copy(made[24] / "tally.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "tally.db")) as connection, connection:
        (note,) = connection.execute("SELECT note FROM checkpoints").fetchone()
        root = note.split("\n")[2]
        forged = note.replace(root, encode64(bytes(32)))
        connection.execute("UPDATE checkpoints SET note = ?", (forged,))
    database = open_database(f"sqlite:///{tmp_path / 'tally.db'}")
    try:
        problem = verify_database(database, vkey=SIGNER.vkey).problems[0]
    finally:
        database.close()
    assert problem == "checkpoint of size 24: the signature of tally.example/log does not hold"
