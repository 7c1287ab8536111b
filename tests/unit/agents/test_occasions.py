"""What an agent is told when a session starts, and before it ends."""

from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import words
from tests.unit.agents.guarded import SESSION, Guarded, document, specific

START = {"hook_event_name": "SessionStart", "source": "startup"}


def started(guarded: Guarded, **variables: str) -> str:
    payload = {**guarded.claude(""), **START}
    return str(specific(guarded.asked(payload, **variables)).get("additionalContext", ""))


def stopped(guarded: Guarded, *tasks: Any, **fields: Any) -> Any:
    payload = {
        **guarded.claude(""),
        "hook_event_name": "Stop",
        "background_tasks": list(tasks),
        **fields,
    }
    return document(guarded.asked(payload))


@pytest.mark.parametrize(
    ("mode", "word"), [("convert", "rewritten"), ("deny", "refused"), ("warn", "noted")]
)
def test_a_session_hears_what_happens_to_experiments_here(
    guarded: Guarded, mode: str, word: str
) -> None:
    guarded.accept(f'mode = "{mode}"')
    text = started(guarded)
    assert word in text
    assert SESSION in text
    assert len(text.split()) <= words.MOST_WORDS


def test_nothing_is_said_where_the_guard_is_off_or_there_is_no_project(
    guarded: Guarded, tmp_path: Path
) -> None:
    assert specific(guarded.asked({**guarded.claude(""), **START, "cwd": str(tmp_path)})) == {}
    guarded.accept('mode = "off"')
    assert started(guarded) == ""


def test_later_shells_learn_the_session_once(guarded: Guarded, tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("export A=1\n")
    for _ in range(2):
        started(guarded, CLAUDE_ENV_FILE=str(file))
    assert file.read_text() == f"export A=1\nexport TALLY_CHAT_SESSION_ID='{SESSION}'\n"


def test_a_session_with_quotes_breaks_no_shell(guarded: Guarded, tmp_path: Path) -> None:
    file = tmp_path / "environment"
    payload = {**guarded.claude(""), **START, "session_id": "a'; touch /tmp/x; '"}
    guarded.asked(payload, CLAUDE_ENV_FILE=str(file))
    assert file.read_text() == ("export TALLY_CHAT_SESSION_ID='a'\"'\"'; touch /tmp/x; '\"'\"''\n")


def test_a_file_that_cannot_be_written_is_no_reason_to_fail(
    guarded: Guarded, tmp_path: Path
) -> None:
    assert started(guarded, CLAUDE_ENV_FILE=str(tmp_path))


def test_an_experiment_left_running_is_named_once(guarded: Guarded) -> None:
    task = {"id": "b1", "status": "running", "command": "torchrun train.py"}
    found = stopped(guarded, task)
    assert found["decision"] == "block"
    assert "torchrun train.py" in found["reason"]
    assert stopped(guarded, task, stop_hook_active=True) is None


@pytest.mark.parametrize(
    "task",
    [
        {"status": "running", "command": "npm run dev"},
        {"status": "running", "command": "/opt/tally/bin/tally exec -- 'torchrun train.py'"},
        {"status": "completed", "command": "torchrun train.py"},
        {"status": "running"},
        {"status": "running", "command": None},
        "torchrun train.py",
        None,
    ],
)
def test_other_tasks_hold_nobody_up(guarded: Guarded, task: Any) -> None:
    assert stopped(guarded, task) is None


@pytest.mark.parametrize("tasks", [None, {}, "x", 5])
def test_a_list_of_tasks_that_is_none_holds_nobody_up(guarded: Guarded, tasks: Any) -> None:
    assert stopped(guarded, background_tasks=tasks) is None


def test_where_the_project_only_wants_to_know_nobody_is_held_up(guarded: Guarded) -> None:
    guarded.accept('mode = "warn"')
    assert stopped(guarded, {"status": "running", "command": "torchrun train.py"}) is None


def test_a_task_that_is_only_unknown_holds_nobody_up(guarded: Guarded) -> None:
    assert stopped(guarded, {"status": "running", "command": "python serve.py"}) is None
