"""An attempt's rules: P3.5 to P3.7, P6.4; reports delivered twice or out of order."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.domain import attempt as attempts
from tallystick.domain import commands as cm
from tallystick.domain import events as ev
from tallystick.domain.attempt import Attempt, AttemptCommand
from tallystick.domain.demands import LONGEST_BACKOFF_MS, Demands
from tallystick.domain.events import Fact
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome
from tests.unit.domain.states import (
    ASSIGNED,
    ATTEMPT,
    ATTEMPTS,
    FAILED,
    RUN,
    RUNS,
    SAMPLES,
    SESSION,
    SHA,
    START,
    STARTED,
    SUBMITTED,
    attempt_after,
    ended,
    minted,
    record,
    text,
)

NOW = START + 60_000


def decide(run: Run, state: Attempt, command: AttemptCommand, *, retry: bool = True) -> list[Fact]:
    return attempts.decide(run, state, command, now=NOW, retry=retry)


ABOUT: dict[str, Any] = {"run": RUN, "attempt": ATTEMPT}
COMMANDS: dict[str, AttemptCommand] = {
    "submission": cm.RecordSubmission(**ABOUT, native=text("local:2")),
    "started": cm.ReportStarted(**ABOUT, n=20, at=START + 1),
    "described": cm.ReportDescribed(**ABOUT, n=21, context=text("{}")),
    "sealed": cm.ReportSealed(**ABOUT, n=22, stream="output", bytes=9, sha256=SHA),
    "ended": cm.ReportEnded(**ABOUT, n=23, at=START + 2, cause="exited", exit_code=0),
    "lost_super": cm.RecordSupervisorLost(**ABOUT),
    "exit": cm.RecordExit(**ABOUT, exit_code=0),
    "lost": cm.RecordLost(**ABOUT, reason_code="supervisor_killed"),
}

TABLE = """
              submission         started     described          sealed        ended     lost_super                        exit      lost
assigned      attempt.submitted  run.started attempt.described  output.sealed run.ended run.started+attempt.unsupervised  run.ended run.ended
submitted     -                  run.started attempt.described  output.sealed run.ended run.started+attempt.unsupervised  run.ended run.ended
started       -                  -           attempt.described  output.sealed run.ended attempt.unsupervised              run.ended run.ended
unsupervised  -                  -           attempt.described  output.sealed run.ended -                                 run.ended run.ended
ended         -                  -           -                  output.sealed -         -                                 -         -
"""  # noqa: E501 - a table reads as one


def cells() -> Iterator[tuple[str, str, list[str]]]:
    header, *lines = TABLE.strip().splitlines()
    for line in lines:
        state, *expected = line.split()
        for command, what in zip(header.split(), expected, strict=True):
            yield state, command, [] if what == "-" else what.split("+")


def test_the_table_has_every_state_and_every_command() -> None:
    assert {state for state, _, _ in cells()} == set(ATTEMPTS)
    assert {type(COMMANDS[command]) for _, command, _ in cells()} == set(get_args(AttemptCommand))


@pytest.mark.parametrize(("state", "command", "expected"), list(cells()))
def test_each_report_in_each_state(state: str, command: str, expected: list[str]) -> None:
    facts = decide(RUNS["running"], ATTEMPTS[state], COMMANDS[command])
    assert [fact.event.type for fact in facts] == expected
    assert all((fact.stream, fact.session) == (RUN, SESSION) for fact in facts)


@pytest.mark.parametrize(("state", "command"), [(s, c) for s, c, _ in cells()])
def test_a_report_that_is_delivered_twice_counts_once(state: str, command: str) -> None:
    after = ATTEMPTS[state]
    for fact in decide(RUNS["running"], after, COMMANDS[command]):
        assert isinstance(fact.event, attempts.AttemptEvent)
        after = attempts.evolve(after, record(fact.event), fact.event)
    assert decide(RUNS["running"], after, COMMANDS[command]) == []


@pytest.mark.parametrize("state", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_evolve_is_total(state: Attempt) -> None:
    for event in SAMPLES.values():
        if not isinstance(event, attempts.AttemptEvent):
            continue
        after = attempts.evolve(state, record(event), event)
        assert (after.id, after.run, after.run_token) == (ATTEMPT, RUN, minted(1).token)
        assert after.observed >= state.observed


def test_every_event_of_an_attempt_is_among_the_samples() -> None:
    assert {shape.type for shape in get_args(attempts.AttemptEvent)} <= set(SAMPLES)


def end_of(command: AttemptCommand, *, run: Run, state: str = "started") -> ev.RunEnded:
    (fact,) = decide(run, ATTEMPTS[state], command)
    assert isinstance(fact.event, ev.RunEnded)
    return fact.event


RUNNING, STOPPING = RUNS["running"], RUNS["stopping"]


@pytest.mark.parametrize(
    ("wait", "outcome", "code"),
    [
        ({"exit_code": 0}, Outcome.SUCCEEDED, "succeeded"),
        ({"exit_code": 1}, Outcome.FAILED, "exit_code"),
        ({"exit_code": 137}, Outcome.FAILED, "exit_code"),
        ({"signal": 9}, Outcome.FAILED, "signal"),
        ({"signal": 15}, Outcome.FAILED, "signal"),
    ],
)
def test_outcome_and_status_are_what_wait_told(
    wait: dict[str, Any], outcome: Outcome, code: str
) -> None:
    by_report = cm.ReportEnded(**ABOUT, n=9, at=START, cause="exited", **wait)
    by_kernel = cm.RecordExit(**ABOUT, **wait)
    for command in (by_report, by_kernel):
        event = end_of(command, run=RUNNING)
        assert (event.outcome, event.reason_code) == (outcome, code)
        assert (event.exit_code, event.signal) == (wait.get("exit_code"), wait.get("signal"))


def test_a_stop_is_told_from_a_crash_by_the_supervisors_word() -> None:
    stop = cm.ReportEnded(**ABOUT, n=9, at=START, cause="stop", signal=15)
    event = end_of(stop, run=STOPPING)
    assert (event.outcome, event.reason_code) == (Outcome.CANCELLED, "stop_requested")
    assert event.signal == 15
    own_end = cm.ReportEnded(**ABOUT, n=9, at=START, cause="exited", exit_code=0)
    assert end_of(own_end, run=STOPPING).outcome is Outcome.SUCCEEDED


def test_a_stop_before_the_start_says_so() -> None:
    stop = cm.ReportEnded(**ABOUT, n=2, at=START, cause="stop")
    event = end_of(stop, run=STOPPING, state="submitted")
    assert (event.outcome, event.reason_code) == (Outcome.CANCELLED, "cancelled_before_start")


@pytest.mark.parametrize("cause", ["workdir_missing", "exec_failed"])
def test_a_refused_command_failed_for_that_reason(cause: str) -> None:
    command = cm.ReportEnded(**ABOUT, n=3, at=START, cause=cause, reason=text("no such directory"))
    event = end_of(command, run=RUNNING, state="submitted")
    assert (event.outcome, event.reason_code) == (Outcome.FAILED, cause)
    assert event.reason == text("no such directory")


def test_an_unsupervised_command_that_was_to_stop_is_cancelled_with_its_true_status() -> None:
    event = end_of(cm.RecordExit(**ABOUT, signal=9), run=STOPPING, state="unsupervised")
    assert (event.outcome, event.reason_code, event.signal) == (
        Outcome.CANCELLED,
        "stop_requested",
        9,
    )


def test_what_nobody_can_tell_is_lost_and_never_a_result() -> None:
    event = end_of(cm.RecordLost(**ABOUT, reason_code="host_rebooted"), run=RUNNING)
    assert (event.outcome, event.reason_code) == (Outcome.LOST, "host_rebooted")
    assert (event.exit_code, event.signal) == (None, None)
    stopped = end_of(cm.RecordLost(**ABOUT, reason_code="supervisor_killed"), run=STOPPING)
    assert (stopped.outcome, stopped.reason_code) == (Outcome.CANCELLED, "stop_requested")


@pytest.mark.parametrize("stream", ["output", "metrics", "posted", "a.tfevents"])
def test_a_seal_is_kept_by_stream_and_the_servers_own_only_grows(stream: str) -> None:
    seal = cm.ReportSealed(**ABOUT, stream=stream, bytes=100, sha256=SHA)
    state = attempt_after(
        SUBMITTED, ev.OutputSealed(attempt=ATTEMPT, stream=stream, bytes=100, sha256=SHA)
    )
    assert attempts.sealed_bytes(state, stream) == 100
    assert decide(RUNNING, state, seal) == []
    assert decide(RUNNING, state, replace(seal, bytes=99)) == []
    assert len(decide(RUNNING, state, replace(seal, bytes=101))) == 1


def test_the_supervisors_facts_are_kept() -> None:
    command = cm.ReportStarted(
        **ABOUT,
        n=2,
        at=START + 3,
        git_head="h",
        git_tree="t",
        git_branch=text("b"),
        git_missing=text("m"),
    )
    (fact,) = decide(RUNNING, ATTEMPTS["submitted"], command)
    assert isinstance(fact.event, ev.RunStarted)
    state = attempts.evolve(ATTEMPTS["submitted"], record(fact.event), fact.event)
    assert (state.git_head, state.git_tree) == ("h", "t")
    assert (state.git_branch, state.git_missing) == (text("b"), text("m"))
    assert (state.started_at, state.observed) == (START + 3, 2)


def test_losing_the_supervisor_is_said_once_even_before_the_start_was_heard_of() -> None:
    facts = decide(RUNNING, ATTEMPTS["submitted"], COMMANDS["lost_super"])
    state = ATTEMPTS["submitted"]
    for fact in facts:
        assert isinstance(fact.event, attempts.AttemptEvent)
        state = attempts.evolve(state, record(fact.event, ts=START + 50), fact.event)
    assert (state.started_at, state.unsupervised_at) == (START + 50, START + 50)
    assert decide(RUNNING, state, COMMANDS["lost_super"]) == []


JOURNAL: list[AttemptCommand] = [
    cm.ReportStarted(**ABOUT, n=2, at=START + 1),
    cm.ReportDescribed(**ABOUT, n=3, context=text("{}")),
    cm.ReportSealed(**ABOUT, n=5, stream="output", bytes=9, sha256=SHA),
    cm.ReportEnded(**ABOUT, n=6, at=START + 9, cause="exited", exit_code=3),
]


def deliver(order: list[AttemptCommand]) -> tuple[Attempt, list[str]]:
    state, written = ATTEMPTS["submitted"], []
    for command in order:
        for fact in decide(RUNNING, state, command):
            assert isinstance(fact.event, attempts.AttemptEvent)
            state = attempts.evolve(state, record(fact.event), fact.event)
            written.append(fact.event.type)
    return state, written


@given(st.lists(st.integers(1, 4), max_size=6))
def test_a_journal_in_any_number_of_repeated_beginnings_counts_once(ends: list[int]) -> None:
    deliveries = [command for end in ends for command in JOURNAL[:end]] + JOURNAL
    state, written = deliver(deliveries)
    assert written == ["run.started", "attempt.described", "output.sealed", "run.ended"]
    assert (state, written) == deliver(JOURNAL)


@given(st.lists(st.sampled_from(JOURNAL), max_size=8))
def test_in_any_order_no_report_counts_twice_and_the_end_is_the_kernels(
    order: list[AttemptCommand],
) -> None:
    state, written = deliver(order)
    assert len(written) == len(set(written))
    assert state.active == ("run.ended" not in written)
    if not state.active:
        assert (state.outcome, state.exit_code) == (Outcome.FAILED, 3)


def test_the_end_may_be_delivered_alone() -> None:
    state, written = deliver([JOURNAL[-1], *JOURNAL])
    assert written == ["run.ended"]
    assert (state.exit_code, state.observed) == (3, 6)


def test_the_end_and_the_start_keep_the_supervisors_own_times() -> None:
    state = attempt_after(SUBMITTED, STARTED, FAILED)
    assert (state.started_at, state.ended_at) == (START + 5_000, START + 9_000)
    late = attempt_after(SUBMITTED, replace(ended(), at=None))
    assert late.ended_at == START + 5_000
    assert state.submitted_at == START + 4_000


FAILED_AGAIN = cm.ReportEnded(**ABOUT, n=9, at=START + 9, cause="exited", exit_code=3)


def retried(run: Run, command: AttemptCommand, **more: Any) -> bool:
    (fact,) = decide(run, ATTEMPTS["started"], command, **more)
    assert isinstance(fact.event, ev.AttemptEnded | ev.RunEnded)
    return isinstance(fact.event, ev.AttemptEnded)


def with_retries(retries: int, *, tries: int = 1, **demands: Any) -> Run:
    return replace(RUNNING, tries=tries, demands=Demands(retries=retries, **demands))


def test_a_failure_that_retries_provide_for_ends_the_attempt_and_not_the_run() -> None:
    (fact,) = decide(with_retries(1), ATTEMPTS["started"], FAILED_AGAIN)
    assert fact.event == ev.AttemptEnded(
        attempt=ATTEMPT,
        n=9,
        at=START + 9,
        outcome=Outcome.FAILED,
        exit_code=3,
        reason_code="exit_code",
        retry_at=NOW + 10_000,
    )
    state = attempts.evolve(ATTEMPTS["started"], record(fact.event), fact.event)
    assert (state.active, state.outcome, state.exit_code) == (False, Outcome.FAILED, 3)
    assert state.reason_code == "exit_code"
    assert decide(with_retries(1), state, FAILED_AGAIN) == []


def test_retries_are_counted_from_the_last_time_somebody_queued_it() -> None:
    assert [retried(with_retries(2, tries=n), FAILED_AGAIN) for n in (1, 2, 3)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("command", "on", "expected"),
    [
        (FAILED_AGAIN, ("failed",), True),
        (FAILED_AGAIN, ("timed_out",), False),
        (replace(FAILED_AGAIN, exit_code=0), ("failed",), False),
        (replace(FAILED_AGAIN, cause="timed_out", signal=9, exit_code=None), ("timed_out",), True),
        (replace(FAILED_AGAIN, cause="out_of_memory"), ("failed",), False),
        (replace(FAILED_AGAIN, cause="out_of_memory"), ("out_of_memory",), True),
        (replace(FAILED_AGAIN, cause="workdir_missing"), ("failed",), False),
        (replace(FAILED_AGAIN, cause="exec_failed"), ("failed",), False),
        (cm.RecordExit(**ABOUT, signal=9), ("failed",), True),
        (cm.RecordLost(**ABOUT, reason_code="host_rebooted"), ("failed", "lost"), False),
    ],
)
def test_only_outcomes_that_were_named_are_tried_again(
    command: AttemptCommand, on: tuple[str, ...], *, expected: bool
) -> None:
    assert retried(with_retries(1, retry_on=on), command) is expected


def test_nothing_is_tried_again_that_somebody_stopped() -> None:
    stopped = replace(with_retries(5), stop_requested=True)
    assert not retried(stopped, FAILED_AGAIN)
    assert not retried(with_retries(5), FAILED_AGAIN, retry=False)


def test_pauses_between_attempts_double_up_to_an_hour() -> None:
    demands = Demands(backoff_ms=1_000)
    assert [demands.pause_ms(n) for n in (1, 2, 3, 4)] == [1_000, 2_000, 4_000, 8_000]
    assert demands.pause_ms(100) == LONGEST_BACKOFF_MS
    assert Demands(backoff_ms=0).pause_ms(7) == 0


@pytest.mark.parametrize(
    ("cause", "code", "outcome", "reason"),
    [
        ("timed_out", None, Outcome.TIMED_OUT, "timed_out"),
        ("out_of_memory", "cuda_out_of_memory", Outcome.OUT_OF_MEMORY, "cuda_out_of_memory"),
        ("out_of_memory", "kernel_out_of_memory", Outcome.OUT_OF_MEMORY, "kernel_out_of_memory"),
        ("out_of_memory", None, Outcome.OUT_OF_MEMORY, "kernel_out_of_memory"),
    ],
)
def test_limits_of_time_and_memory_are_outcomes_of_their_own(
    cause: str, code: str | None, outcome: Outcome, reason: str
) -> None:
    command = cm.ReportEnded(**ABOUT, n=9, at=START, cause=cause, code=code, signal=9)
    event = end_of(command, run=RUNNING)
    assert (event.outcome, event.reason_code, event.signal) == (outcome, reason, 9)


def test_a_lease_is_what_the_assignment_says() -> None:
    event = replace(ASSIGNED, gpus=("GPU-1", "GPU-2"))
    assert attempts.assigned(record(event), event).gpus == ("GPU-1", "GPU-2")
