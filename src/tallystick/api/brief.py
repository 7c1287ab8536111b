"""What a session did and what it has to do, for an agent that comes back to it.

A fixed number of questions, none of which reads a metric file or grows with the history of the
session (P4.1): counts stand on rows, lists are short, and what is grouped is the newest part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tallystick.api import brief_text
from tallystick.api.brief_text import one_line
from tallystick.api.sweep_views import reason_of
from tallystick.api.views import Material, load_texts, optional_seconds, progress, seconds
from tallystick.control import messages
from tallystick.db.database import Transaction
from tallystick.domain import budget as budgets
from tallystick.domain.alert import Alert
from tallystick.domain.guard import Decision
from tallystick.domain.ids import Text
from tallystick.domain.run import Run, explain
from tallystick.domain.session import Session
from tallystick.domain.sweep import Sweep
from tallystick.projections import activity, alerts, guard, runs, sweeps, totals
from tallystick.projections.activity import Use
from tallystick.projections.line import Queue
from tallystick.projections.queue import Room
from tallystick.projections.runs import Cause
from tallystick.wire.brief_views import (
    BriefAlert,
    BriefBudget,
    BriefDecision,
    BriefFailure,
    BriefRun,
    BriefSweep,
    BriefView,
)

MOST: Final = 5
"""Of each kind that is listed."""
MOST_DECISIONS: Final = 200
"""The newest that are counted."""

_LARGEST: Final = 16_384  # bytes of a text that is cut to one line
_MS_PER_HOUR: Final = 3_600_000
_KINDS: Final = {"runs": ("runs", 1), "gpu": ("gpu_hours", _MS_PER_HOUR),
                 "wall": ("wall_hours", _MS_PER_HOUR)}  # fmt: skip
_NO_RUN: Final = frozenset({"denied", "warned", "excepted", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The rows that a brief is made from, of one moment."""

    session: Session
    sweeps: Sequence[Sweep]
    causes: Sequence[Cause]
    looked_at: int
    active: Sequence[Run]
    waiting: Sequence[tuple[Run, str]]
    """Runs, and why each waits."""
    alerts: Sequence[Alert]
    decisions: Sequence[Decision]
    texts: Material


def brief(tx: Transaction, session: Session, room: Room) -> BriefView:
    """The brief of a session."""
    found = _read(tx, session, room)
    counted: dict[str, int] = {}
    for each in found.decisions:
        counted[each.action] = counted.get(each.action, 0) + 1
    view = BriefView(
        session_id=session.id,
        text="",
        opened_at=seconds(session.opened_at),
        last_at=seconds(session.last_at),
        runs=progress(session.runs),
        sweep_count=session.sweeps,
        violations=session.violations,
        sweeps=[_sweep(one, found.texts) for one in found.sweeps],
        failures=[_failure(one, found.texts) for one in found.causes],
        failures_looked_at=found.looked_at,
        running=[_run(run, found.texts, explain(run)) for run in found.active],
        waiting=[_run(run, found.texts, reason) for run, reason in found.waiting],
        alerts=[_alert(one, found.texts) for one in found.alerts],
        budgets=list(_budgets(tx, session, found.sweeps, now=room.now)),
        decisions=counted,
        acted_on=[_decision(one, found.texts) for one in _shown(found.decisions)],
    )
    view = replace(view, next=list(brief_text.next_calls(view)))
    return replace(view, text=brief_text.compose(view, now=seconds(room.now)))


def _read(tx: Transaction, session: Session, room: Room) -> _Read:
    """All rows, then every text that they mention in one question."""
    shown = sweeps.page(tx, limit=MOST, session=session.id)
    causes, looked_at = runs.causes(tx, session, limit=MOST) if session.runs.failed else ([], 0)
    active = runs.active_of_session(tx, session.id, limit=MOST) if session.runs.active else []
    waiting = _waiting(tx, session, room) if session.runs.queued else []
    unanswered = alerts.AlertFilter(session=session.id, pending=True)
    pending = alerts.page(tx, unanswered, limit=MOST)
    decided = guard.decisions_page(tx, session=session.id, limit=MOST_DECISIONS)
    wanted: list[Text | None] = []
    for sweep in shown:
        wanted += [sweep.name, sweep.goal]
    for cause in causes:
        wanted += [cause.newest.name, cause.newest.reason]
    for run in (*active, *(run for run, _ in waiting)):
        wanted.append(run.name)
    for alert in pending:
        wanted += [alert.message, alert.choices]
    wanted += [each.command for each in _shown(decided)]
    return _Read(
        session=session,
        sweeps=shown,
        causes=causes,
        looked_at=looked_at,
        active=active,
        waiting=waiting,
        alerts=pending,
        decisions=decided,
        texts=Material(load_texts(tx, wanted, most=_LARGEST)),
    )


def _waiting(tx: Transaction, session: Session, room: Room) -> list[tuple[Run, str]]:
    """One run of each lane of the session, and those that wait for others, with their reasons."""
    queue = Queue(tx, room)
    heads = [lane.head for lane in queue.line.lanes if lane.head.session == session.id]
    heads.sort(key=lambda head: head.queued_seq)
    asked = runs.many(tx, [head.run for head in heads[:MOST]])
    if len(asked) < MOST:
        asked += runs.held_of_session(tx, session.id, limit=MOST - len(asked))
    asked.sort(key=lambda run: run.queued_seq or 0)
    told = queue.waiting(asked)
    return [(run, told[run.id].reason.words(now=room.now)) for run in asked if run.id in told]


def _shown(decided: Iterable[Decision]) -> list[Decision]:
    """The newest that did not become runs."""
    return [each for each in decided if each.action in _NO_RUN][:MOST]


def _sweep(sweep: Sweep, texts: Material) -> BriefSweep:
    goal = one_line(texts.text(sweep.goal), 200)
    reason = reason_of(sweep)
    return BriefSweep(
        id=sweep.id,
        name=one_line(texts.text(sweep.name), 80),
        goal=goal or None,
        status=sweep.status,
        runs=progress(sweep.runs),
        planned=sweep.planned,
        reason=one_line(reason, 200) if reason else None,
    )


def _failure(cause: Cause, texts: Material) -> BriefFailure:
    run = cause.newest
    said = one_line(texts.text(run.reason), 200)
    return BriefFailure(
        cause=explain(run) or str(run.outcome or "failed"),
        count=cause.count,
        run_id=run.id,
        name=one_line(texts.text(run.name), 80),
        outcome=str(run.outcome),
        detail=said or None,
    )


def _run(run: Run, texts: Material, reason: str | None) -> BriefRun:
    return BriefRun(
        id=run.id,
        name=one_line(texts.text(run.name), 80),
        status=run.status.value,
        sweep_id=run.sweep,
        started_at=optional_seconds(run.started_at),
        reason=one_line(reason, 200) if reason else None,
    )


def _alert(alert: Alert, texts: Material) -> BriefAlert:
    options = messages.choices_of(texts.texts.get(alert.choices.c))
    return BriefAlert(
        id=alert.id,
        run_id=alert.run,
        severity=alert.severity,
        message=one_line(texts.text(alert.message), 200),
        choices=[one_line(one["label"], 60) for one in options[:MOST]],
    )


def _decision(decision: Decision, texts: Material) -> BriefDecision:
    return BriefDecision(
        id=decision.id,
        action=decision.action,
        command=one_line(texts.text(decision.command), 200),
        reason=one_line(decision.reason, 80),
    )


def _budgets(
    tx: Transaction, session: Session, shown: Sequence[Sweep], *, now: int
) -> Iterable[BriefBudget]:
    """Every limit of the session and of the sweeps that are shown."""
    scopes = [budgets.scope_of(session.id), *(sweep.id for sweep in shown)]
    limited = [one for one in totals.budgets_of(tx, scopes) if not one.unlimited]
    limited.sort(key=lambda one: scopes.index(one.id))
    used = activity.uses(tx, [one.id for one in limited], now=now) if limited else {}
    for one in limited:
        use = used.get(one.id, Use())
        for kind, (name, unit) in _KINDS.items():
            limit = one.limit(kind)
            if limit is not None:
                yield BriefBudget(
                    scope=one.id,
                    kind=name,
                    limit=limit / unit,
                    used=use.of(kind) / unit,
                    left=max(0, limit - use.of(kind)) / unit,
                    reached=kind in one.reached,
                )
