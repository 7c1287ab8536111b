"""Who follows a run sees every attempt's output once, and what it waits for."""

from collections.abc import Iterator
from typing import Any

import pytest

from tallystick.cli.following import Following, queue_words
from tallystick.errors import UnavailableError
from tallystick.wire.views import RunView
from tests.unit.cli.test_exec import ended as run_view


class Server:
    """A client of a run that is tried again; each look sees the next state."""

    def __init__(self, *states: RunView, outputs: tuple[bytes, ...] = ()) -> None:
        self.states = list(states)
        self.outputs = outputs
        self.torn = False

    def run(self, _run_id: str, **_more: Any) -> RunView:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def follow_logs(self, _run_id: str, *, offset: int, attempt: int) -> Iterator[bytes]:
        content = self.outputs[attempt - 1][offset:]
        yield content[:2]
        if self.torn:
            self.torn = False
            raise UnavailableError("gone")
        yield content[2:]


def following(server: Server, **more: Any) -> Following:
    return Following(server, "run_1", **more)  # type: ignore[arg-type]


def test_the_output_of_every_attempt_is_shown_with_a_line_between(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    server = Server(
        run_view(status="queued", attempts=0),
        run_view(status="running", attempts=1),
        run_view(status="queued", attempts=1),
        run_view(status="running", attempts=2),
        run_view(status="finished", attempts=2),
        outputs=(b"first\n", b"second\n"),
    )
    assert following(server).copy().status == "finished"
    shown = capfdbinary.readouterr()
    assert shown.out == b"first\nsecond\n"
    assert b"attempt 2" in shown.err
    assert b"attempt 1" not in shown.err


def test_after_an_interruption_no_byte_is_missing_and_none_comes_twice(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    server = Server(
        run_view(status="running", attempts=1),
        run_view(status="finished", attempts=1),
        outputs=(b"abcdef",),
    )
    server.torn = True
    following_it = following(server)
    with pytest.raises(UnavailableError):
        following_it.copy()
    assert following_it.copy().status == "finished"
    assert capfdbinary.readouterr().out == b"abcdef"


def test_a_run_that_is_cancelled_in_the_queue_has_no_output_and_an_end() -> None:
    server = Server(run_view(status="queued", attempts=0), run_view(status="stopped", attempts=0))
    assert following(server).copy().status == "stopped"


def test_the_words_say_the_place_and_the_reason_of_what_waits() -> None:
    waits = run_view(status="queued", queue_position=2, pending_reason="waits for 1 GPU")
    assert queue_words(waits) == "queued, number 2 in the queue: waits for 1 GPU"
    assert queue_words(run_view(status="running")) == "running"
    assert queue_words(run_view(status="ready", pending_reason="not started yet")) == "ready"
