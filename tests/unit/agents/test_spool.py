"""Decisions on their way: whole or not there, one for each id, the oldest kept."""

import json
import os
from pathlib import Path

import pytest

from tallystick.agents import spool


def record(number: int) -> dict[str, object]:
    return {"id": f"dec_{number:012x}", "command": "python train.py"}


def test_a_decision_is_one_private_file_until_it_is_dropped(tmp_path: Path) -> None:
    home = str(tmp_path)
    spool.write(home, record(1))
    file = tmp_path / "spool" / "dec_000000000001.json"
    assert json.loads(file.read_text()) == record(1)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (spool.pending(home), spool.count(home)) == ([record(1)], 1)
    spool.drop(home, "dec_000000000001")
    spool.drop(home, "dec_000000000001")
    assert (spool.pending(home), spool.count(home)) == ([], 0)


def test_what_was_said_first_of_a_call_stays(tmp_path: Path) -> None:
    spool.write(str(tmp_path), {**record(1), "action": "converted"})
    spool.write(str(tmp_path), {**record(1), "action": "failed"})
    assert [one["action"] for one in spool.pending(str(tmp_path))] == ["converted"]


def test_the_oldest_come_first_and_are_the_ones_that_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MOST_FILES", 3)
    for number, moment in ((1, 30), (2, 10), (3, 20)):
        spool.write(str(tmp_path), record(number))
        os.utime(tmp_path / "spool" / f"dec_{number:012x}.json", (moment, moment))
    with pytest.raises(OSError, match="never sent"):
        spool.write(str(tmp_path), record(4))
    assert [one["id"][-1] for one in spool.pending(str(tmp_path))] == ["2", "3", "1"]
    assert [one["id"][-1] for one in spool.pending(str(tmp_path), most=1)] == ["2"]


def test_files_that_hold_no_decision_are_passed_over(tmp_path: Path) -> None:
    spool.write(str(tmp_path), record(1))
    for name, content in (
        ("dec_00000000000a.json", b"{"),
        ("dec_00000000000b.json", b"[]"),
        ("dec_00000000000c.json", json.dumps(record(1)).encode()),
        ("dec_00000000000d.json", b"\xff"),
        ("notes.txt", b"{}"),
        (".dec_00000000000e.77", b"{}"),
    ):
        (tmp_path / "spool" / name).write_bytes(content)
    (tmp_path / "spool" / "dec_00000000000f.json").symlink_to("dec_000000000001.json")
    os.mkfifo(tmp_path / "spool" / "dec_000000000010.json")
    assert spool.pending(str(tmp_path)) == [record(1)]


def test_a_disk_that_is_full_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", refusing)
    with pytest.raises(OSError, match="No space"):
        spool.write(str(tmp_path), record(1))
    assert list((tmp_path / "spool").iterdir()) == []


def test_where_there_is_no_spool_nothing_waits(tmp_path: Path) -> None:
    assert (spool.pending(str(tmp_path)), spool.count(str(tmp_path))) == ([], 0)
    assert spool.read(str(tmp_path), "dec_000000000001") is None
