"""An alert: somebody is asked to look at a run; nothing waits for the answer."""

from dataclasses import dataclass, replace
from typing import Final

from tallystick.domain.commands import AnswerAlert, RaiseAlert
from tallystick.domain.events import Fact, Record
from tallystick.domain.ids import AlertId, RunId, SessionId, SweepId, Text
from tallystick.domain.run import Run
from tallystick.domain.signal_events import AlertAnswered, AlertRaised
from tallystick.errors import ConflictError, InvalidError

SEVERITIES: Final = ("info", "warning", "critical")
ALERT_ACTIONS: Final = ("continue", "stop", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """State of one alert. Times are milliseconds; texts are commitments."""

    id: AlertId
    run: RunId
    sweep: SweepId | None = None
    session: SessionId | None = None
    severity: str
    message: Text
    choices: Text
    source: str
    raised_by: str
    created_at: int
    created_seq: int
    action: str | None = None
    """None until it is answered."""
    choice: Text | None = None
    note: Text | None = None
    answered_by: str | None = None
    answered_at: int | None = None


def decide_raise(run: Run, command: RaiseAlert) -> list[Fact]:
    """Raise one about a run that exists."""
    event = AlertRaised(
        run=command.run,
        severity=command.severity if command.severity in SEVERITIES else "warning",
        message=command.message,
        choices=command.choices,
        source=command.source,
        request=command.request,
    )
    return [Fact(command.alert, event, run.session)]


def decide_answer(state: Alert, command: AnswerAlert) -> list[Fact]:
    """Answer once; the same answer again is harmless. Raises `ConflictError`."""
    if command.action not in ALERT_ACTIONS:
        raise InvalidError(
            f"action: expected {', '.join(ALERT_ACTIONS)}; found {command.action[:40]!r}",
            code="body_invalid",
        )
    if state.action is not None:
        if state.action == command.action:
            return []
        raise ConflictError(
            f"alert {state.id} was answered with {state.action} already",
            code="alert_answered",
            next_actions=(f"POST /runs/{state.run}/stop ends the run all the same",),
        )
    event = AlertAnswered(choice=command.choice, action=command.action, note=command.note)
    return [Fact(state.id, event, state.session)]


def raised(record: Record, event: AlertRaised, run: Run | None) -> Alert:
    """State after `alert.raised`."""
    return Alert(
        id=AlertId(record.stream),
        run=event.run,
        sweep=None if run is None else run.sweep,
        session=record.session,
        severity=event.severity,
        message=event.message,
        choices=event.choices,
        source=event.source,
        raised_by=record.role,
        created_at=record.ts,
        created_seq=record.seq,
    )


def answered(state: Alert, record: Record, event: AlertAnswered) -> Alert:
    """State after `alert.answered`."""
    return replace(
        state,
        action=event.action,
        choice=event.choice,
        note=event.note,
        answered_by=record.role,
        answered_at=record.ts,
    )
