"""The index holds what the streams hold, whatever is in its way."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.store import indexing, reading
from tallystick.store.index import INDEX_FILE, SEGMENT_POINTS, opened
from tallystick.store.indexing import Indexed, Indexing, Job
from tallystick.store.reading import Wanted
from tallystick.store.series import POSTED, Series

RUN = "run_0123456789ab"


class Desk:
    """A run's streams, and whoever indexes them."""

    def __init__(self, runs_dir: Path) -> None:
        self.series = Series(runs_dir)
        self.indexing = Indexing(runs_dir)

    def write(self, *rows: Any, name: str = POSTED) -> None:
        self.series.append(RUN, name, b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    def index(self, *, final: bool = False) -> Indexed:
        for _ in range(100):
            found = self.indexing.carry_out(Job(RUN, final))
            if found.caught_up or found.error:
                return found
        pytest.fail("it never caught up")

    def table(self, **wanted: Any) -> reading.Table:
        order = [path.name for path in self.series.files(RUN)]
        with opened(self.series.directory(RUN), order) as index:
            assert index is not None
            return reading.read(index, Wanted(**wanted))

    def values(self, name: str) -> list[Any]:
        return [point["value"] for point in self.table(keys=(name,)).series[name]]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.indexing.close()


def test_points_come_back_in_order_and_exactly(desk: Desk) -> None:
    desk.write({"step": 5, "a": 0.1}, {"step": 2, "a": 2**60 + 1}, {"step": 5, "a": float("nan")})
    found = desk.index()
    assert (found.names, found.points, found.metrics) == (1, 3, {"a": "NaN"})
    assert desk.table().series["a"] == [
        {"step": 5, "value": 0.1},
        {"step": 2, "value": 2**60 + 1},
        {"step": 5, "value": "NaN"},
    ]


def test_row_by_row_or_all_at_once_is_the_same_index(desk: Desk) -> None:
    rows = [{"step": step, "a": step / 7} for step in range(3 * SEGMENT_POINTS // 2)]
    for start in range(0, len(rows), 100):
        desk.write(*rows[start : start + 100])
        desk.index()
    order = [path.name for path in desk.series.files(RUN)]
    with opened(desk.series.directory(RUN), order) as index:
        assert index is not None
        blocks = index.blocks("a")
    assert [len(block) for block in blocks] == [SEGMENT_POINTS, SEGMENT_POINTS // 2]
    assert [value for block in blocks for value in block.values.tolist()] == [
        row["a"] for row in rows
    ]


def test_attempts_come_before_what_was_posted(desk: Desk) -> None:
    desk.write({"a": 3})
    desk.write({"a": 1}, name="att_000000000001")
    desk.index()
    desk.write({"a": 2}, name="att_000000000001")
    assert desk.index().metrics == {"a": 3}
    assert desk.values("a") == [1, 2, 3]


def test_last_values_are_those_of_the_job_and_not_of_its_processes(desk: Desk) -> None:
    desk.write({"system/cpu_percent": 9}, {"a": 1}, {"system": 2})
    assert desk.index().metrics == {"a": 1, "system": 2}
    assert desk.values("system/cpu_percent") == [9]


def test_a_row_without_a_step_is_placed_by_its_position_in_its_stream(desk: Desk) -> None:
    desk.write({"a": 1}, {"a": 2})
    desk.index()
    desk.write({"a": 3})
    desk.index()
    assert [point["step"] for point in desk.table().series["a"]] == [0, 1, 2]


def test_a_torn_last_line_is_read_when_nothing_follows(desk: Desk) -> None:
    desk.write({"a": 1})
    path = desk.series.directory(RUN) / f"{POSTED}.jsonl"
    with path.open("ab") as file:
        file.write(b'{"a":2}')
    desk.index()
    assert desk.values("a") == [1]
    desk.index(final=True)
    assert desk.values("a") == [1, 2]


def test_a_long_stream_is_indexed_in_several_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PIECE_BYTES", 100)
    monkeypatch.setattr(indexing, "PASS_BYTES", 300)
    desk.write(*({"step": step, "a": 1} for step in range(100)))
    assert not desk.indexing.carry_out(Job(RUN)).caught_up
    desk.index()
    assert len(desk.values("a")) == 100


def test_a_line_longer_than_a_piece_is_read_and_an_endless_one_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PIECE_BYTES", 100)
    monkeypatch.setattr(indexing, "LONGEST_PIECE", 2_000)
    desk.write({f"m{n}": n for n in range(100)}, {"text": "x" * 10_000}, {"a": 1})
    desk.index()
    assert desk.values("m99") == [99]
    assert desk.values("a") == [1]
    with opened(desk.series.directory(RUN), []) as index:
        assert index is not None
        (source,) = index.sources()
    assert source.unread > 0


def test_a_damaged_index_is_made_anew(desk: Desk) -> None:
    desk.write({"a": 1})
    desk.index(final=True)
    path = desk.series.directory(RUN) / INDEX_FILE
    path.write_bytes(b"noise" * 2_000)
    with opened(path.parent, []) as index:
        assert index is None
    desk.index()
    assert desk.values("a") == [1]


def test_damage_that_is_found_while_writing_is_mended_by_the_next_job(desk: Desk) -> None:
    desk.write(*({"step": step, "a": step} for step in range(5_000)))
    desk.index(final=True)
    path = desk.series.directory(RUN) / INDEX_FILE
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    desk.write({"step": 5_000, "a": 1})
    found = desk.indexing.carry_out(Job(RUN))
    assert found.error
    desk.index()
    assert len(desk.table(keys=("a",), from_step=4_000).series["a"]) == 1_001


def test_an_index_of_another_format_is_made_anew(desk: Desk) -> None:
    desk.write({"a": 1})
    desk.index(final=True)
    with sqlite3.connect(desk.series.directory(RUN) / INDEX_FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    desk.index()
    assert desk.values("a") == [1]


def test_a_stream_that_was_cut_short_is_read_anew(desk: Desk) -> None:
    desk.write({"a": 1}, {"a": 2})
    desk.index()
    path = desk.series.directory(RUN) / f"{POSTED}.jsonl"
    path.write_bytes(b'{"a": 7}\n')
    desk.index()
    assert desk.values("a") == [7]


def test_a_pipe_in_the_place_of_a_stream_is_an_error_of_that_run(desk: Desk) -> None:
    import os

    desk.write({"a": 1})
    os.mkfifo(desk.series.directory(RUN) / "att_000000000001.jsonl")
    (desk.series.directory(RUN) / "link.jsonl").symlink_to("/etc/passwd")
    found = desk.indexing.carry_out(Job(RUN))
    assert found.error


def test_a_run_without_streams_needs_no_index(desk: Desk) -> None:
    assert desk.index() == Indexed(RUN)


def test_many_indexes_are_not_all_kept_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "OPEN", 2)
    for number in range(5):
        desk.series.append(f"run_{number}", POSTED, b'{"a":1}\n')
    for _ in range(2):
        for number in range(5):
            assert desk.indexing.carry_out(Job(f"run_{number}")).points == 1


def test_fifty_thousand_names_are_one_pass_and_all_are_there(desk: Desk) -> None:
    desk.write({f"metric/{n}": n for n in range(50_000)})
    found = desk.index()
    assert (found.names, len(found.metrics)) == (50_000, indexing.BRIEF_METRICS)
    table = desk.table()
    assert (len(table.names), len(table.series), table.left_out) == (50_000, 200, 49_800)
    assert desk.values("metric/49999") == [49_999]
