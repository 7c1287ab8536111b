"""What is shown while somebody waits is text of others: never markup, never control characters."""

import io
import sys

import pytest

from tallystick.cli.waiting import wait_shown


class Terminal(io.StringIO):
    """Standard error, as a terminal."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, words: str) -> str:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    seen = iter((1, 2, 3))
    last = wait_shown(
        lambda _wait: next(seen), lambda look: look == 3, lambda _look: words, timeout_seconds=None
    )
    assert last == 3
    return terminal.getvalue()


@pytest.mark.parametrize("name", ["[/x]", "[bold", "[link=file:///etc]a[/link]", "\x1b[2J", "a\nb"])
def test_waiting_for_a_run_with_any_name_does_not_crash(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert "\x1b[2J" not in shown(monkeypatch, name)


def test_silence_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    seen = iter((1, 2))
    wait_shown(lambda _wait: next(seen), lambda look: look == 2, str, timeout_seconds=None)
    assert capsys.readouterr().err == ""
