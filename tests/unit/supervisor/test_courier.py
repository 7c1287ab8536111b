"""Metrics travel as whole lines, in batches, from where the server says it is."""

from pathlib import Path

import pytest

from tallystick.supervisor.courier import BATCH_BYTES, MetricsTail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_only_whole_lines_travel_until_the_end(path: Path) -> None:
    path.write_bytes(b"a\nb\ntor")
    tail = MetricsTail(path)
    assert tail.next(last=False) == b"a\nb\n"
    tail.offset = 4
    assert tail.next(last=False) == b""
    assert tail.next(last=True) == b"tor"


def test_a_batch_ends_with_a_line(path: Path) -> None:
    path.write_bytes(b"x" * (BATCH_BYTES - 2) + b"\n" + b"y" * 10 + b"\n")
    tail = MetricsTail(path)
    first = tail.next(last=True)
    assert first.endswith(b"x\n")
    tail.offset = len(first)
    assert tail.next(last=True) == b"y" * 10 + b"\n"


def test_a_line_longer_than_a_batch_travels_in_pieces(path: Path) -> None:
    path.write_bytes(b"z" * (BATCH_BYTES + 5) + b"\n")
    tail = MetricsTail(path)
    assert len(tail.next(last=False)) == BATCH_BYTES
    tail.offset = BATCH_BYTES
    assert tail.next(last=False) == b"zzzzz\n"


def test_nothing_comes_of_a_missing_or_shortened_file(path: Path) -> None:
    tail = MetricsTail(path)
    assert tail.next(last=True) == b""
    path.write_bytes(b"a\n")
    tail.offset = 10
    assert tail.next(last=True) == b""
