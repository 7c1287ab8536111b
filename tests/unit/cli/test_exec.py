"""`tally exec` ends as the command ended, and acts on signals only when that is safe."""

import os
import signal

import pytest

from tallystick.cli.exec import InterruptedBySignal, Interrupts, exit_status
from tallystick.wire.views import RunView


def ended(**facts: int | str | None) -> RunView:
    known: dict[str, object] = {
        "id": "run_0123456789ab", "name": "n", "command": "c", "workdir": "/w",
        "status": "failed", "created_at": 1.0, "seq": 1, "changed_seq": 2,
    }  # fmt: skip
    return RunView(**{**known, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"exit_code": 0, "outcome": "succeeded"}, 0),
        ({"exit_code": 7, "outcome": "failed"}, 7),
        ({"signal": 9, "outcome": "failed"}, 137),
        ({"signal": 15, "outcome": "cancelled"}, 143),
        ({"outcome": "lost"}, 1),
        ({"outcome": "cancelled"}, 1),
    ],
)
def test_the_exit_status_is_the_commands_own(facts: dict[str, int | str], status: int) -> None:
    assert exit_status(ended(**facts)) == status


def test_a_signal_before_the_run_is_known_waits_until_it_is() -> None:
    interrupts = Interrupts()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedBySignal) as caught:
            interrupts.arm()
        assert caught.value.number == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)  # not armed any more: kept
        with pytest.raises(InterruptedBySignal) as caught:
            interrupts.arm()
        assert caught.value.number == signal.SIGINT
    finally:
        interrupts.restore()


def test_an_armed_signal_interrupts_once() -> None:
    interrupts = Interrupts()
    try:
        interrupts.arm()
        with pytest.raises(InterruptedBySignal):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # remembered, not raised in the middle of the clean-up
    finally:
        interrupts.restore()


def test_the_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    Interrupts().restore()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
