import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import ConflictError, UnavailableError
from tallystick.store.series import POSTED, Batch, Series

RUN = "run_000000000001"


def batch(key: int, rows: bytes) -> Batch:
    return Batch(bytes([key]) * 32, rows[:1].rjust(32, b"\0"))


def posted(directory: Path) -> bytes:
    return (directory / RUN / "metrics" / "posted.jsonl").read_bytes()


def test_rows_are_appended_as_they_came(tmp_path: Path) -> None:
    series = Series(tmp_path)
    assert series.append(RUN, POSTED, b'{"a":1}\n') == 8
    assert series.append(RUN, POSTED, b'{"a":2}\n') == 16
    assert posted(tmp_path) == b'{"a":1}\n{"a":2}\n'


def test_metric_files_are_private(tmp_path: Path) -> None:
    Series(tmp_path).append(RUN, POSTED, b"{}\n")
    directory = tmp_path / RUN / "metrics"
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / "posted.jsonl").stat().st_mode & 0o077 == 0


@given(cuts=st.lists(st.integers(0, 40), max_size=8))
def test_relayed_bytes_sent_twice_or_too_early_are_not_doubled(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    series = Series(tmp_path_factory.mktemp("runs"))
    source, known = bytes(range(40)), 0
    for cut in cuts:
        known = series.append(RUN, "att_1", source[cut:], offset=cut)
    known = series.append(RUN, "att_1", source[known:], offset=known)
    (file,) = series.files(RUN)
    assert file.read_bytes() == source
    assert known == 40


def test_a_batch_with_a_key_is_stored_once(tmp_path: Path) -> None:
    series, rows = Series(tmp_path), b'{"a":1}\n'
    assert series.append_batch(RUN, rows, batch(1, rows)) == (8, False)
    assert series.append_batch(RUN, b"{}\n", batch(2, b"{}\n")) == (11, False)
    assert series.append_batch(RUN, rows, batch(1, rows)) == (11, True)
    assert posted(tmp_path) == rows + b"{}\n"


def test_a_key_with_other_rows_is_refused(tmp_path: Path) -> None:
    series = Series(tmp_path)
    series.append_batch(RUN, b"{}\n", batch(1, b"{}\n"))
    with pytest.raises(ConflictError) as caught:
        series.append_batch(RUN, b"[]\n", batch(1, b"[]\n"))
    assert caught.value.code == "idempotency_key_reused"
    assert posted(tmp_path) == b"{}\n"


@pytest.mark.parametrize("written", range(9))
def test_a_batch_cut_short_by_a_crash_is_completed_by_its_repeat(
    tmp_path: Path, written: int
) -> None:
    series, rows = Series(tmp_path), b'{"a":1}\n'
    series.append(RUN, POSTED, b"{}\n")
    series.append_batch(RUN, rows, batch(1, rows))
    os.truncate(tmp_path / RUN / "metrics" / "posted.jsonl", 3 + written)
    assert series.append_batch(RUN, rows, batch(1, rows)) == (11, written == 8)
    assert posted(tmp_path) == b"{}\n" + rows


def test_rows_after_a_torn_batch_do_not_make_it_count_as_stored(tmp_path: Path) -> None:
    series, rows = Series(tmp_path), b'{"a":1}\n'
    series.append_batch(RUN, rows, batch(1, rows))
    os.truncate(tmp_path / RUN / "metrics" / "posted.jsonl", 4)
    series.append(RUN, POSTED, b'{"b":22222}\n')
    assert series.append_batch(RUN, rows, batch(1, rows))[1] is False
    assert posted(tmp_path).splitlines() == [b'{"a"', b'{"b":22222}', b'{"a":1}']


def test_a_torn_key_record_is_forgotten(tmp_path: Path) -> None:
    series, rows = Series(tmp_path), b"{}\n"
    series.append_batch(RUN, rows, batch(1, rows))
    keys = tmp_path / RUN / "metrics" / "posted.keys"
    with keys.open("ab") as file:
        file.write(b"\x02" * (struct.calcsize(">32s32sQQ") - 1))
    assert series.append_batch(RUN, rows, batch(2, rows)) == (6, False)
    assert series.append_batch(RUN, rows, batch(2, rows)) == (6, True)
    assert series.append_batch(RUN, rows, batch(1, rows)) == (6, True)


def test_a_torn_line_does_not_spoil_the_next_row(tmp_path: Path) -> None:
    series = Series(tmp_path)
    series.append(RUN, POSTED, b'{"a":')
    series.append(RUN, POSTED, b'{"b":2}\n')
    assert posted(tmp_path) == b'{"a":\n{"b":2}\n'


def test_threads_that_append_together_lose_nothing(tmp_path: Path) -> None:
    series = Series(tmp_path)

    def work(name: int) -> None:
        for _ in range(20):
            series.append(RUN, POSTED, b"%d\n" % name)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(posted(tmp_path).split()) == sorted(
        b"%d" % n for n in range(5) for _ in range(20)
    )


def test_a_disk_that_refuses_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / RUN).write_bytes(b"a file where a directory should be")
    with pytest.raises(UnavailableError) as caught:
        Series(tmp_path).append(RUN, POSTED, b"{}\n")
    assert caught.value.code == "storage_failed"
