"""An attempt: one execution of a run, as its supervisor, the server and the kernel saw it.

What a supervisor reports comes numbered; a number that was seen is ignored, so delivering twice is
harmless. No end is guessed (P3.7), and the exit status is only ever the kernel's word (P3.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from tallystick.domain.commands import (
    RecordExit,
    RecordLost,
    RecordSubmission,
    RecordSupervisorLost,
    ReportDescribed,
    ReportEnded,
    ReportSealed,
    ReportStarted,
)
from tallystick.domain.demands import RETRYABLE
from tallystick.domain.events import (
    AttemptAssigned,
    AttemptDescribed,
    AttemptEnded,
    AttemptSubmitted,
    AttemptUnsupervised,
    Fact,
    OutputSealed,
    Record,
    RunEnded,
    RunStarted,
    RunStopRequested,
)
from tallystick.domain.ids import AttemptId, RunId, Text, TokenId
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome

AttemptCommand = (
    RecordSubmission
    | ReportStarted
    | ReportDescribed
    | ReportSealed
    | ReportEnded
    | RecordSupervisorLost
    | RecordExit
    | RecordLost
)
"""What can be said about an attempt."""

AttemptEvent = (
    AttemptSubmitted
    | RunStarted
    | AttemptDescribed
    | AttemptUnsupervised
    | OutputSealed
    | AttemptEnded
    | RunEnded
    | RunStopRequested
)
"""What can follow `attempt.assigned`."""


NEVER_RETRIED = frozenset({"workdir_missing", "exec_failed"})
"""Ends that come again however often they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """State of one attempt. Times are milliseconds; texts are commitments."""

    id: AttemptId
    run: RunId
    number: int
    backend: str
    run_token: TokenId
    """Closed when the run ends."""
    active: bool = True
    gpus: tuple[str, ...] = ()
    """Devices leased to it while it is active."""
    native: Text | None = None
    """The backend's own name for it."""
    observed: int = 0
    """Number of the newest observation that is in the ledger."""
    assigned_at: int
    submitted_at: int | None = None
    started_at: int | None = None
    unsupervised_at: int | None = None
    ended_at: int | None = None
    git_head: str | None = None
    git_tree: str | None = None
    git_branch: Text | None = None
    git_missing: Text | None = None
    context: Text | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason_code: str | None = None
    reason: Text | None = None
    output_bytes: int | None = None
    output_sha256: str | None = None
    metrics_bytes: int | None = None
    metrics_sha256: str | None = None
    streams: Mapping[str, int] = field(default_factory=dict)
    """How many bytes are sealed of each stream that the server keeps: what was posted, and what
    clients and files of the job told."""


def decide(
    run: Run, state: Attempt, command: AttemptCommand, *, now: int, retry: bool = True
) -> list[Fact]:
    """The facts that follow from a report; none for what is known or comes after the end.

    Without `retry` a failed attempt is the end of its run, whatever its demands say.
    """
    n = getattr(command, "n", None)
    if n is not None and n <= state.observed:
        return []
    events = _decide(run, state, command)
    if retry:
        events = [_or_retry(run, event, now=now) for event in events]
    return [Fact(run.id, event, run.session) for event in events]


def _or_retry(run: Run, event: AttemptEvent, *, now: int) -> AttemptEvent:
    """An end that the run's retries provide for is the end of the attempt only (P3.7: never of a
    lost one).
    """
    demands = run.demands
    if (
        not isinstance(event, RunEnded)
        or event.attempt is None
        or event.outcome not in demands.retry_on
        or event.outcome not in RETRYABLE
        or event.reason_code in NEVER_RETRIED
        or run.stop_requested
        or run.tries > demands.retries
    ):
        return event
    return AttemptEnded(
        attempt=event.attempt,
        n=event.n,
        at=event.at,
        outcome=event.outcome,
        exit_code=event.exit_code,
        signal=event.signal,
        reason_code=event.reason_code,
        reason=event.reason,
        retry_at=now + demands.pause_ms(run.tries),
    )


def _decide(run: Run, state: Attempt, command: AttemptCommand) -> list[AttemptEvent]:
    """One report, not seen before."""
    if isinstance(command, ReportSealed):
        return _decide_sealed(state, command)
    return _decide_active(run, state, command) if state.active else []


def _decide_active(run: Run, state: Attempt, command: AttemptCommand) -> list[AttemptEvent]:
    """A report about an attempt that has not ended."""
    match command:
        case RecordSubmission():
            if state.native is not None:
                return []
            return [AttemptSubmitted(attempt=state.id, native=command.native)]
        case ReportStarted():
            return _decide_started(state, command)
        case ReportDescribed():
            return [AttemptDescribed(attempt=state.id, n=command.n, context=command.context)]
        case ReportEnded():
            return [_ending(run, state, command)]
        case RecordSupervisorLost():
            return _decide_supervisor_lost(state)
        case RecordExit():
            return [_exit_seen(run, state, command)]
        case RecordLost():
            return [_lost(run, state, command)]
        case _:
            return []


def sealed_bytes(state: Attempt, stream: str) -> int:
    """How many bytes of a stream the ledger holds the digest of."""
    if stream == "output":
        return state.output_bytes or 0
    if stream == "metrics":
        return state.metrics_bytes or 0
    return state.streams.get(stream, 0)


def _decide_sealed(state: Attempt, command: ReportSealed) -> list[AttemptEvent]:
    """A seal may come after the end, and only grows."""
    if command.n is None and command.bytes <= sealed_bytes(state, command.stream):
        return []
    event = OutputSealed(
        attempt=state.id,
        n=command.n,
        stream=command.stream,
        bytes=command.bytes,
        sha256=command.sha256,
    )
    return [event]


def _decide_started(state: Attempt, command: ReportStarted) -> list[AttemptEvent]:
    """The start of the command, with what it ran from."""
    if state.started_at is not None:
        return []
    event = RunStarted(
        attempt=state.id,
        n=command.n,
        at=command.at,
        git_head=command.git_head,
        git_tree=command.git_tree,
        git_branch=command.git_branch,
        git_missing=command.git_missing,
    )
    return [event]


def _ending(run: Run, state: Attempt, command: ReportEnded) -> RunEnded:
    """The end as the supervisor tells it.

    A stop is one only if the ledger holds the request: whatever else made a supervisor end its
    command (a signal of the job's own, the host going down) is a failure, and says so.
    """
    stopped_by = _stopped_by(run) if command.cause == "stop" else None
    outcome, code = judge(command.exit_code, command.signal, stopped_by=stopped_by)
    if stopped_by is not None and state.started_at is None:
        code = "cancelled_before_start"
    elif command.cause == "terminated" or (command.cause == "stop" and stopped_by is None):
        outcome, code = Outcome.FAILED, "supervisor_terminated"
    elif command.cause == "timed_out":
        outcome, code = Outcome.TIMED_OUT, "timed_out"
    elif command.cause == "out_of_memory":
        outcome, code = Outcome.OUT_OF_MEMORY, command.code or "kernel_out_of_memory"
    elif command.cause not in {"stop", "exited"}:
        outcome, code = Outcome.FAILED, command.cause
    return RunEnded(
        attempt=state.id,
        n=command.n,
        at=command.at,
        outcome=outcome,
        exit_code=command.exit_code,
        signal=command.signal,
        reason_code=code,
        reason=command.reason,
    )


def _stopped_by(run: Run) -> str | None:
    """The reason code of a run that was asked to end; None for another."""
    return (run.stop_why or "stop_requested") if run.stop_requested else None


def judge(
    exit_code: int | None, signal: int | None, *, stopped_by: str | None
) -> tuple[Outcome, str]:
    """Outcome and reason code from what wait told (P3.3, P3.5)."""
    if stopped_by is not None:
        return Outcome.CANCELLED, stopped_by
    if signal is not None:
        return Outcome.FAILED, "signal"
    if exit_code == 0:
        return Outcome.SUCCEEDED, "succeeded"
    return Outcome.FAILED, "exit_code"


def _decide_supervisor_lost(state: Attempt) -> list[AttemptEvent]:
    """Said at once, and once (P3.7)."""
    if state.unsupervised_at is not None:
        return []
    lost: list[AttemptEvent] = [AttemptUnsupervised(attempt=state.id)]
    return lost if state.started_at is not None else [RunStarted(attempt=state.id), *lost]


def _exit_seen(run: Run, state: Attempt, command: RecordExit) -> RunEnded:
    """The end of an unsupervised command, by the kernel's word to the server."""
    outcome, code = judge(command.exit_code, command.signal, stopped_by=_stopped_by(run))
    return RunEnded(
        attempt=state.id,
        outcome=outcome,
        exit_code=command.exit_code,
        signal=command.signal,
        reason_code=code,
        reason=command.reason,
    )


def _lost(run: Run, state: Attempt, command: RecordLost) -> RunEnded:
    """Nothing tells how it ended; never turned into a result, never retried by itself.

    A stop that was asked for is true all the same: every process of the run is gone (P3.6).
    """
    stopped_by = _stopped_by(run)
    return RunEnded(
        attempt=state.id,
        outcome=Outcome.LOST if stopped_by is None else Outcome.CANCELLED,
        reason_code=stopped_by or command.reason_code,
        reason=command.reason,
    )


def assigned(record: Record, event: AttemptAssigned) -> Attempt:
    """State after `attempt.assigned`."""
    return Attempt(
        id=event.attempt,
        run=RunId(record.stream),
        number=event.number,
        backend=event.backend,
        run_token=event.run_token.token,
        gpus=event.gpus,
        assigned_at=record.ts,
    )


def evolve(state: Attempt, record: Record, event: AttemptEvent) -> Attempt:
    """State after any later entry about it; total, never raises."""
    n = getattr(event, "n", None)
    after = _evolve(state, record, event)
    return after if n is None else replace(after, observed=max(n, after.observed))


def _evolve(state: Attempt, record: Record, event: AttemptEvent) -> Attempt:
    """The change itself."""
    match event:
        case AttemptSubmitted():
            return replace(state, native=event.native, submitted_at=record.ts)
        case RunStarted():
            return replace(
                state,
                started_at=event.at or record.ts,
                git_head=event.git_head,
                git_tree=event.git_tree,
                git_branch=event.git_branch,
                git_missing=event.git_missing,
            )
        case AttemptDescribed():
            return replace(state, context=event.context)
        case AttemptUnsupervised():
            return replace(state, unsupervised_at=record.ts)
        case OutputSealed():
            return _sealed(state, event)
        case AttemptEnded() | RunEnded():
            return replace(
                state,
                active=False,
                ended_at=event.at or record.ts,
                outcome=event.outcome,
                exit_code=event.exit_code,
                signal=event.signal,
                reason_code=event.reason_code,
                reason=event.reason,
            )
        case RunStopRequested():
            return state
        case _:
            assert_never(event)


def _sealed(state: Attempt, event: OutputSealed) -> Attempt:
    """The newest seal of a stream."""
    if event.stream == "output":
        return replace(state, output_bytes=event.bytes, output_sha256=event.sha256)
    if event.stream == "metrics":
        return replace(state, metrics_bytes=event.bytes, metrics_sha256=event.sha256)
    return replace(state, streams={**state.streams, event.stream: event.bytes})
