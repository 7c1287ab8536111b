"""Why a run waits or ended is shown in its row, and is empty where all is well."""

from typing import Any

import pytest

from tallystick.cli.showing import show_run, show_runs
from tests.unit.cli.test_exec import ended as run_view


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"status": "queued", "pending_reason": "no GPU is free"}, "no GPU is free"),
        ({"status": "queued", "outcome": None}, ""),
        ({"status": "failed", "outcome": "failed", "reason": "exit code 1"}, "exit code 1"),
        ({"status": "finished", "outcome": "succeeded", "reason": "exit code 0"}, ""),
        ({"status": "ready", "pending_reason": "not started yet"}, "not started yet"),
        ({"status": "queued", "reason": "exit code 1", "pending_reason": "is next"}, "is next"),
    ],
)
def test_a_row_says_why(
    fields: dict[str, Any], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_runs([run_view(**fields)])
    header, row = capsys.readouterr().out.splitlines()
    assert row[header.index("REASON") :].strip() == shown


def test_the_page_of_a_run_says_what_it_waits_for_and_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_run(run_view(status="queued", pending_reason="no GPU is free", queue_position=3))
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines.count(["waits", "no GPU is free"]) == 1
    assert ["queue", "position  3"] in lines
