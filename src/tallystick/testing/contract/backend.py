"""The behaviour that every `Backend` shows; inherit the classes in a test module.

`PromiseContract` holds for any implementation, fakes included. `ExecutionContract` is for those
that really execute. Both take a fixture `rig` that provides a `Rig`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tallystick.execution.backend import (
    Backend,
    Handle,
    NotStarted,
    Recorded,
    Sighting,
    Submission,
    Supervised,
)
from tallystick.execution.bundle import write_bundle
from tallystick.wire.bundle import JOURNAL_FILE, OUTPUT_FILE, Bundle
from tallystick.wire.journal import load
from tallystick.wire.observation import CommandStarted, Ended, Observation

WAIT_SECONDS = 30.0
"""For conditions that come in milliseconds on a machine that is not busy."""
TOKEN = "delivery-token"  # noqa: S105 - opens nothing
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

T = TypeVar("T")


def wait_for(condition: Callable[[], T | None], *, what: str) -> T:
    """The first true value of `condition`; fails the test when there is none in 30 s."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.005)  # between two looks at a condition, not in place of one
    raise AssertionError(f"not seen within {WAIT_SECONDS:.0f} s: {what}")


@dataclass
class Rig:
    """A backend under test, and a place for its run directories."""

    backend: Backend
    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    count: int = 0

    def bundle(self, command: str, **fields: object) -> Bundle:
        """A bundle for the next attempt, in `root` unless said otherwise."""
        self.count += 1
        document: dict[str, object] = {
            "run": f"run_{self.count:012x}",
            "attempt": f"att_{self.count:012x}",
            "command": command,
            "workdir": str(self.root),
            "environment": self.environment,
        }
        return Bundle(**{**document, **fields})  # type: ignore[arg-type]

    def prepare(self, command: str, **fields: object) -> Submission:
        """Write a bundle, submit nothing."""
        bundle = self.bundle(command, **fields)
        directory = self.root / "runs" / bundle.run / bundle.attempt
        write_bundle(directory, bundle)
        return Submission(attempt=bundle.attempt, directory=directory, supervisor_token=TOKEN)

    def submit(self, command: str, **fields: object) -> Handle:
        """Have a command executed."""
        submission = self.prepare(command, **fields)
        return handle_of(submission, self.backend.submit(submission))

    def see(self, handle: Handle) -> Sighting:
        """One look at one attempt."""
        return self.backend.observe([handle])[handle.attempt]

    def started(self, handle: Handle) -> None:
        """Wait until the command has printed something."""
        output = handle.directory / OUTPUT_FILE
        wait_for(lambda: output.exists() and output.stat().st_size, what="output")

    def record(self, handle: Handle) -> Recorded:
        """Wait for the end."""

        def recorded() -> Recorded | None:
            seen = self.see(handle)
            return seen if isinstance(seen, Recorded) else None

        return wait_for(recorded, what=f"the end of {handle.attempt}")

    def ended(self, handle: Handle) -> Ended:
        """Wait for the end; the last record."""
        last = self.record(handle).observations[-1]
        assert isinstance(last, Ended)
        return last

    def output(self, handle: Handle) -> str:
        """What the command printed."""
        return (handle.directory / OUTPUT_FILE).read_text()


def handle_of(submission: Submission, native: str, *, journal_key: str | None = None) -> Handle:
    """The handle of a submitted attempt; `journal_key` where no token was handed over."""
    return Handle(
        attempt=submission.attempt,
        directory=submission.directory,
        native=native,
        journal_key=submission.supervisor_token if journal_key is None else journal_key,
    )


def journal_of(handle: Handle | Submission) -> tuple[Observation, ...]:
    """What its supervisor has written down so far."""
    key = handle.journal_key if isinstance(handle, Handle) else handle.supervisor_token
    return load(handle.directory / JOURNAL_FILE, attempt=handle.attempt, key=key)


class PromiseContract:
    """What the server may rely on, whatever is behind it."""

    def test_an_attempt_that_was_never_submitted_is_not_started(self, rig: Rig) -> None:
        handle = handle_of(rig.prepare("true"), "")
        assert rig.see(handle) == NotStarted()

    def test_submitting_twice_gives_a_handle_of_the_same_attempt(self, rig: Rig) -> None:
        submission = rig.prepare("sleep 60")
        first = rig.backend.submit(submission)
        assert first
        assert rig.backend.submit(submission) == first
        rig.backend.cancel(handle_of(submission, first), grace_seconds=0)

    def test_a_submitted_attempt_is_never_seen_as_gone(self, rig: Rig) -> None:
        handle = rig.submit("sleep 60")
        assert isinstance(rig.see(handle), NotStarted | Supervised)
        rig.backend.cancel(handle, grace_seconds=0)

    def test_observe_answers_for_every_handle_and_for_no_other(self, rig: Rig) -> None:
        handles = [rig.submit("true") for _ in range(3)]
        assert set(rig.backend.observe(handles)) == {handle.attempt for handle in handles}
        assert rig.backend.observe([]) == {}

    def test_cancel_may_be_repeated(self, rig: Rig) -> None:
        handle = rig.submit("sleep 60")
        rig.backend.cancel(handle, grace_seconds=5)
        rig.backend.cancel(handle, grace_seconds=0)

    def test_close_may_be_repeated(self, rig: Rig) -> None:
        rig.backend.close()
        rig.backend.close()

    def test_there_is_room_for_a_run_and_its_name_is_a_word(self, rig: Rig) -> None:
        room = rig.backend.capacity()
        assert room.slots >= 1
        assert room.cpus >= 1
        assert room.memory_mb >= 0
        assert rig.backend.name.isidentifier()

    def test_a_device_has_one_id_and_one_index_and_keeps_them(self, rig: Rig) -> None:
        devices = rig.backend.capacity().devices
        assert len({device.id for device in devices}) == len(devices)
        assert [device.index for device in devices] == sorted({d.index for d in devices})
        assert all(device.id and "," not in device.id for device in devices)
        again = rig.backend.capacity().devices
        assert [(d.id, d.index) for d in again] == [(d.id, d.index) for d in devices]

    def test_a_command_without_a_lease_makes_no_device_held(self, rig: Rig) -> None:
        before = rig.backend.capacity()
        handle = rig.submit("sleep 60")
        assert rig.backend.capacity().devices == before.devices
        rig.backend.cancel(handle, grace_seconds=0)


class ExecutionContract(PromiseContract):
    """What holds where commands are really executed."""

    def test_the_exit_status_is_the_commands_own(self, rig: Rig) -> None:
        codes = {code: rig.submit(f"exit {code}") for code in (0, 3, 127, 143)}
        assert {code: rig.ended(handle).exit_code for code, handle in codes.items()} == {
            code: code for code in codes
        }

    def test_death_by_a_signal_is_not_an_exit_code(self, rig: Rig) -> None:
        for number in (9, 11, 15):
            ended = rig.ended(rig.submit(f"kill -{number} $$"))
            assert (ended.exit_code, ended.signal, ended.cause) == (None, number, "exited")

    def test_a_command_that_was_submitted_twice_is_executed_once(self, rig: Rig) -> None:
        submission = rig.prepare("echo once")
        handle = handle_of(submission, rig.backend.submit(submission))
        rig.backend.submit(submission)
        rig.ended(handle)
        rig.backend.submit(submission)
        records = rig.record(handle).observations
        assert rig.output(handle) == "once\n"
        assert sum(isinstance(record, CommandStarted) for record in records) == 1

    def test_a_cancel_before_the_start_keeps_the_command_from_running(self, rig: Rig) -> None:
        submission = rig.prepare("echo never")
        rig.backend.cancel(handle_of(submission, ""), grace_seconds=5)
        ended = rig.ended(handle_of(submission, rig.backend.submit(submission)))
        assert (ended.cause, ended.exit_code, ended.signal) == ("stop", None, None)

    def test_a_cancel_ends_a_running_command(self, rig: Rig) -> None:
        handle = rig.submit("echo up; exec sleep 60")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=20)
        ended = rig.ended(handle)
        assert (ended.cause, ended.signal) == ("stop", 15)

    def test_a_command_may_use_its_grace(self, rig: Rig) -> None:
        handle = rig.submit("trap 'echo saved; exit 4' TERM; echo up; while :; do sleep 0.05; done")
        rig.started(handle)
        rig.backend.cancel(handle, grace_seconds=20)
        ended = rig.ended(handle)
        assert (ended.cause, ended.exit_code) == ("stop", 4)
        assert "saved" in rig.output(handle)

    def test_a_cancel_after_the_end_changes_nothing(self, rig: Rig) -> None:
        handle = rig.submit("exit 7")
        before = rig.record(handle)
        rig.backend.cancel(handle, grace_seconds=0)
        assert rig.see(handle) == before

    def test_a_missing_workdir_refuses_the_command(self, rig: Rig) -> None:
        handle = rig.submit("echo elsewhere", workdir=str(rig.root / "not there"))
        ended = rig.ended(handle)
        assert (ended.cause, ended.code) == ("refused", "workdir_missing")

    def test_the_environment_is_the_bundles(self, rig: Rig) -> None:
        handle = rig.submit("env -0", environment={**rig.environment, "SEED": "7 \n'"})
        rig.ended(handle)
        seen = dict(item.split("=", 1) for item in rig.output(handle).rstrip("\0").split("\0"))
        assert seen["SEED"] == "7 \n'"
        assert seen["TALLY_ATTEMPT_ID"] == handle.attempt
        assert Path(seen["TALLY_METRICS"]).parent == handle.directory
        assert "HOME" not in seen
        assert TOKEN not in json.dumps(seen)
