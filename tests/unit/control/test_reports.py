"""What a supervisor observed, as commands."""

from dataclasses import replace

import pytest

from tallystick.control.reports import report_commands
from tallystick.control.texts import Texts
from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.domain.ids import AttemptId, RunId, TokenId
from tallystick.testing.clock import ManualClock
from tallystick.wire import observation as ob

ATTEMPT = Attempt(
    id=AttemptId("att_00000000000a"),
    run=RunId("run_00000000000b"),
    number=1,
    backend="fake",
    run_token=TokenId("tok_00000000000c"),
    assigned_at=0,
)

JOURNAL: tuple[ob.Observation, ...] = (
    ob.SupervisorStarted(n=1, at=10, pid=7, start_ticks=8, boot_id="b"),
    ob.CommandStarted(n=2, at=20, pid=9, start_ticks=8, git_head="h", git_branch="main"),
    ob.Described(n=3, at=30, interpreter="/usr/bin/python", host="h"),
    ob.OutputSealed(n=4, at=40, stream="output", bytes=5, sha256="00"),
    ob.CommandExited(n=5, at=50, exit_code=3, tail="boom"),
    ob.Ended(n=6, at=60, cause="exited", exit_code=3, detail="boom --token hunter2hunter2"),
)


def commands(
    observations: tuple[ob.Observation, ...] = JOURNAL, *, observed: int = 0
) -> tuple[list[cm.Command], Texts]:
    texts = Texts(ManualClock())
    return report_commands(replace(ATTEMPT, observed=observed), observations, texts), texts


def test_each_observation_that_is_a_fact_becomes_one_command_in_order() -> None:
    found, texts = commands()
    assert [type(command) for command in found] == [
        cm.ReportStarted,
        cm.ReportDescribed,
        cm.ReportSealed,
        cm.ReportEnded,
    ]
    assert [getattr(command, "n", None) for command in found] == [2, 3, 4, 6]
    started, described, sealed, ended = found
    assert isinstance(started, cm.ReportStarted)
    assert (started.at, started.git_head, started.git_missing) == (20, "h", None)
    assert started.git_branch is not None
    assert texts.known[started.git_branch.c] == "main"
    assert isinstance(described, cm.ReportDescribed)
    assert '"interpreter": "/usr/bin/python"' in texts.known[described.context.c]
    assert isinstance(sealed, cm.ReportSealed)
    assert (sealed.stream, sealed.bytes, sealed.sha256) == ("output", 5, "00")
    assert isinstance(ended, cm.ReportEnded)
    assert (ended.cause, ended.exit_code, ended.at) == ("exited", 3, 60)
    assert all(command.attempt == ATTEMPT.id for command in (started, described, sealed, ended))


def test_the_last_words_are_redacted() -> None:
    found, texts = commands()
    ended = found[-1]
    assert isinstance(ended, cm.ReportEnded)
    assert ended.reason is not None
    assert "hunter2" not in texts.known[ended.reason.c]


@pytest.mark.parametrize("observed", range(7))
def test_what_the_ledger_has_is_left_out(observed: int) -> None:
    found, _ = commands(observed=observed)
    assert [getattr(command, "n", 0) for command in found] == [
        n for n in (2, 3, 4, 6) if n > observed
    ]


@pytest.mark.parametrize(
    ("code", "cause"),
    [("workdir_missing", "workdir_missing"), ("exec_failed", "exec_failed"), (None, "exec_failed")],
)
def test_a_refusal_ends_the_attempt_with_its_code(code: str | None, cause: str) -> None:
    end = ob.Ended(n=3, at=1, cause="refused", code=code)  # type: ignore[arg-type]
    (found,) = commands((end,))[0]
    assert isinstance(found, cm.ReportEnded)
    assert found.cause == cause


def test_a_stop_before_the_start_is_a_stop() -> None:
    (found,) = commands((JOURNAL[0], ob.Ended(n=2, at=1, cause="stop")))[0]
    assert isinstance(found, cm.ReportEnded)
    assert (found.cause, found.exit_code, found.reason) == ("stop", None, None)
