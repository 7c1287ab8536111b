"""Words for times and ends, tables that hold their text, and one table of exit codes."""

import pytest

from tallystick.cli import output
from tallystick.errors import (
    ConflictError,
    CorruptLedgerError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PolicyError,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
    VerificationError,
)
from tallystick.wire.views import Progress


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (output.UsageError, 2),
        (InvalidError, 1),
        (UnauthenticatedError, 1),
        (ForbiddenError, 1),
        (NotFoundError, 1),
        (ConflictError, 1),
        (PolicyError, 1),
        (TallystickError, 1),
        (UnavailableError, 3),
        (VerificationError, 4),
        (CorruptLedgerError, 4),
    ],
)
def test_every_error_has_its_exit_code(error: type[TallystickError], code: int) -> None:
    assert output.exit_code_of(error()) == code


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (7500, "2h 5m"),
        (86_400, "1d"),
        (-5, "0s"),
    ],
)
def test_a_duration_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    assert output.span(seconds) == words


def test_a_moment_is_said_by_its_distance() -> None:
    assert output.ago(None) == ""
    assert output.ago(99.5, now=100) == "just now"
    assert output.ago(40, now=100) == "1m ago"
    assert output.ago(101, now=100) == "just now"  # clocks differ


def test_a_run_that_goes_on_has_taken_what_it_took_so_far() -> None:
    assert output.duration(None, None) == ""
    assert output.duration(10, 12.34) == "2.3s"
    assert output.duration(10, None, now=75) == "1m"


def test_an_end_is_an_exit_code_or_the_name_of_a_signal() -> None:
    assert output.exit_words(3, None) == "3"
    assert output.exit_words(0, None) == "0"
    assert output.exit_words(None, 9) == "SIGKILL"
    assert output.exit_words(None, 250) == "signal 250"
    assert output.exit_words(None, None) == ""


def test_counts_that_are_zero_are_left_out() -> None:
    assert output.progress_words(Progress(total=3, completed=2, running=1)) == (
        "2 completed, 1 running"
    )
    assert output.progress_words(Progress()) == "no runs"


def test_a_table_shows_every_cell_whole_and_without_colour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "a name that is a good deal longer than eighty columns " * 3
    output.table(("ID", "NAME", "STATUS"), [("run_1", name, "running")], empty="nothing")
    shown = capsys.readouterr().out
    assert name.strip() in shown
    assert "\x1b" not in shown


def test_text_of_others_is_not_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("NAME",), [("[red]x[/red] [link=http://e]y",)], empty="nothing")
    assert "[red]x[/red] [link=http://e]y" in capsys.readouterr().out


def test_an_empty_table_says_what_to_do_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("ID",), [], empty="no runs; register one")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "no runs; register one\n"


def test_an_error_is_said_with_its_hint_and_the_next_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = PolicyError("no sweep", code="sweep_required", hint="h", next_actions=("POST /x",))
    output.complain(error)
    assert capsys.readouterr().err.splitlines() == [
        "error: no sweep  [sweep_required]",
        "  hint: h",
        "  next: POST /x",
    ]


def test_text_of_others_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[2Jb\x07c\x9b"
    output.table(("NAME",), [(name,)], empty="")
    output.facts((("name", name),))
    output.complain(NotFoundError(name))
    shown = capsys.readouterr()
    assert not {"\x1b", "\x07", "\x9b"} & set(shown.out + shown.err)


def test_a_table_shows_the_first_line_of_a_longer_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("REASON",), [("exit code 1: first\nsecond\n",)], empty="")
    assert capsys.readouterr().out.split() == ["REASON", "exit", "code", "1:", "first"]
