"""The SDK inside a job: what was logged is in the file, and training never notices."""

import errno
import json
import math
import os
import subprocess
import sys
import textwrap
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tallystick.client import run as client_run
from tallystick.client.run import RunLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "metrics.jsonl"
    found.touch()
    return found


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_row_holds_step_time_and_numbers_exactly(path: Path) -> None:
    RunLog(str(path)).log({"loss": 0.1234567890123456789, "n": 2**60}, step=10)
    (row,) = rows(path)
    assert row.pop("_timestamp") > 1e9
    assert row == {"_step": 10, "loss": 0.1234567890123456789, "n": 2**60}


def test_numbers_of_other_libraries_are_numbers(path: Path) -> None:
    class Scalar:
        def item(self) -> float:
            return 0.5

    given = {
        "a": np.float32(0.1), "b": np.int64(7), "c": Scalar(), "d": Decimal("0.25"),
        "e": np.array(3.5), "f": math.nan, "g": np.float64("inf"),
    }  # fmt: skip
    RunLog(str(path)).log(given)
    (row,) = rows(path)
    assert row["a"] == float(np.float32(0.1))
    assert [row[name] for name in "bcde"] == [7, 0.5, 0.25, 3.5]
    assert math.isnan(row["f"])
    assert math.isinf(row["g"])


class Broken:
    def item(self) -> float:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "metrics",
    [None, 7, {"a": Broken()}, {"a": {"b": Broken()}}, {Broken(): 1}, {"a": object()}, [1]],
)
def test_nothing_that_is_logged_ever_raises(path: Path, metrics: Any) -> None:
    log = RunLog(str(path))
    log.log(metrics)
    log.summary(metrics)
    log.log({"a": 1}, step=1)
    assert rows(path)[-1]["a"] == 1


def test_half_a_character_is_written_in_a_form_that_can_be_read(path: Path) -> None:
    RunLog(str(path)).log({"a\ud800": 1, "b": "\udcff"})
    assert len(path.read_bytes().decode().splitlines()) == 1


def test_outside_a_run_nothing_happens_and_it_is_said_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = RunLog(None)
    log.log({"a": 1})
    log.log({"a": 2})
    assert log.flush()
    assert capsys.readouterr().err.count("not inside a run") == 1


def test_a_summary_is_a_row_of_its_own(path: Path) -> None:
    RunLog(str(path)).summary({"best": 0.5})
    assert rows(path) == [{"_summary": {"best": 0.5}}]


def refuse(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_a_full_disk_refuses_is_written_in_order_once_there_is_room(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client_run, "RETRY_SECONDS", 0.01)
    log = RunLog(str(path))
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        for number in range(5):
            log.log({"a": number})
        assert not log.flush(0.05)
    assert log.flush(10)
    log.log({"a": 5})
    assert log.flush(10)
    assert [row["a"] for row in rows(path)] == [0, 1, 2, 3, 4, 5]
    assert capsys.readouterr().err.count("No space left") == 1


def test_a_disk_that_takes_half_a_line_gets_the_other_half(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_run, "RETRY_SECONDS", 0.01)
    write = os.write
    log = RunLog(str(path))
    with monkeypatch.context() as short:
        short.setattr(os, "write", lambda file, content: write(file, content[:5]))
        log.log({"a": 1})
    assert log.flush(10)
    assert rows(path)[0]["a"] == 1


def test_rows_beyond_what_can_be_held_are_lost_and_it_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client_run, "MOST_WAITING_BYTES", 200)
    monkeypatch.setattr(client_run, "RETRY_SECONDS", 0.01)
    log = RunLog(str(path))
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        for number in range(50):
            log.log({"a": number})
    assert log.flush(10)
    assert "rows are lost" in capsys.readouterr().err


def test_a_slow_disk_holds_up_one_call_and_not_the_next_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_run, "SLOW_SECONDS", -1.0)
    log = RunLog(str(path))
    log.log({"a": 0})
    here = threading.current_thread()
    writers: list[threading.Thread] = []
    write = os.write

    def noted(file: int, content: bytes) -> int:
        writers.append(threading.current_thread())
        return write(file, content)

    monkeypatch.setattr(os, "write", noted)
    log.log({"a": 1})
    assert log.flush(10)
    assert writers
    assert here not in writers
    assert [row["a"] for row in rows(path)] == [0, 1]


def test_threads_log_whole_lines(path: Path) -> None:
    log = RunLog(str(path))

    def work() -> None:
        for number in range(200):
            log.log({"a": number})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(path)) == 1_600


def script(path: Path, body: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)],
        env={**os.environ, "TALLY_METRICS": str(path)},
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


def test_forked_and_spawned_processes_log_beside_their_parent(path: Path) -> None:
    script(
        path,
        """
        import os, tallystick
        tallystick.log({"a": 0}, step=0)
        children = []
        for n in range(4):
            pid = os.fork()
            if pid == 0:
                for step in range(50):
                    tallystick.log({"a": n}, step=step)
                os._exit(0)
            children.append(pid)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        """,
    )
    assert len(rows(path)) == 201


@pytest.mark.parametrize("how", ["os._exit(3)", "os.kill(os.getpid(), 15)", "os.abort()", "1/0"])
def test_what_was_logged_survives_any_end_of_the_process(path: Path, how: str) -> None:
    script(
        path,
        f"""
        import os, tallystick
        for step in range(100):
            tallystick.log({{"a": step}}, step=step)
        {how}
        """,
        check=False,
    )
    assert [row["a"] for row in rows(path)] == list(range(100))


def test_the_sdk_loads_nothing_but_the_standard_library(path: Path) -> None:
    found = script(
        path,
        """
        import sys
        before = set(sys.modules)
        import tallystick
        tallystick.log({"a": 1})
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(name for name in new if name not in sys.stdlib_module_names))
        """,
    )
    assert found.stdout.strip() == "['tallystick']"


def test_a_metrics_file_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    ended = script(
        tmp_path / "none" / "metrics.jsonl", "import tallystick; tallystick.log({'a': 1})"
    )
    assert "No such file" in ended.stderr
