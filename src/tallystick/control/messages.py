"""What a notice says: a title, a line of detail, and the facts for programs.

Everything is read from the tables at the time of telling. Texts were redacted when they came in,
and are cut here: a message says what happened and names what to look at, it carries no logs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick.db.database import Transaction
from tallystick.domain import budget as budgets
from tallystick.domain.alert import Alert
from tallystick.domain.budget import Budget
from tallystick.domain.ids import Text
from tallystick.domain.notice import Notice
from tallystick.domain.reasons import SweepPaused
from tallystick.domain.run import Run, explain
from tallystick.domain.status import Outcome
from tallystick.domain.sweep import Sweep
from tallystick.ledger.ledger import Ledger
from tallystick.projections import alerts, notices, runs, sweeps, totals

LONGEST_NAME: Final = 120
LONGEST_DETAIL: Final = 500
"""Characters of a name and of any other text; what is longer ends in an ellipsis."""

NOTICE_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "run.failed": (notices.RUN_COMPLETE,),
    "sweep.done": ("sweep_complete",),
    "sweep.paused": ("sweep_paused",),
    "alert.raised": ("alert",),
    "budget.warned": ("budget_warned",),
    "budget.reached": ("budget_reached",),
}
"""Names under which others are told, and the notices behind them."""

_NAMES: Final = {kind: name for name, kinds in NOTICE_TYPES.items() for kind in kinds}
_ENDS: Final[Mapping[Outcome, str]] = {
    Outcome.SUCCEEDED: "finished",
    Outcome.FAILED: "failed",
    Outcome.CANCELLED: "was stopped",
    Outcome.TIMED_OUT: "timed out",
    Outcome.OUT_OF_MEMORY: "ran out of memory",
    Outcome.LOST: "was lost",
}
_KINDS: Final = {"runs": "runs", "gpu": "GPU time", "wall": "wall-clock time"}
_MS_PER_HOUR: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notice, in words and in facts."""

    notice: Notice
    type: str
    """run.failed, run.ended, sweep.done, sweep.paused, alert.raised, budget.warned or
    budget.reached."""
    title: str
    detail: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON; absent facts are left out."""


@dataclass(slots=True)
class _Neighbours:
    """What the notices of one page mention."""

    runs: dict[str, Run]
    sweeps: dict[str, Sweep]
    alerts: dict[str, Alert]
    budgets: dict[str, Budget]
    texts: dict[str, str]

    def text(self, text: Text | None, longest: int = LONGEST_DETAIL) -> str | None:
        """A text, cut; None when there is none or it was erased."""
        found = None if text is None else self.texts.get(text.c)
        return None if found is None else cut(found, longest)


def compose(tx: Transaction, found: Sequence[Notice]) -> list[Message]:
    """The messages of some notices, in their order; the number of questions does not grow."""
    near = _neighbours(tx, found)
    return [_message(notice, near) for notice in found]


def cut(text: str, longest: int) -> str:
    """At most `longest` characters, an ellipsis last where there were more."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _neighbours(tx: Transaction, found: Sequence[Notice]) -> _Neighbours:
    """Everything that is mentioned, in one question a table."""
    known_runs = runs.many(tx, sorted({one.run for one in found if one.run}))
    known_sweeps = sweeps.many(tx, sorted({one.sweep for one in found if one.sweep}))
    about = sorted({one.subject for one in found if one.type == "alert"})
    known_alerts = alerts.many(tx, about)
    scopes = {budgets.scope_in(one.subject) for one in found if one.type.startswith("budget")}
    known_budgets = totals.budgets(tx) if scopes else []
    wanted: list[Text | None] = []
    for run in known_runs:
        wanted += [run.name, run.reason]
    wanted += [sweep.name for sweep in known_sweeps]
    for alert in known_alerts:
        wanted += [alert.message, alert.choices]
    return _Neighbours(
        runs={run.id: run for run in known_runs},
        sweeps={sweep.id: sweep for sweep in known_sweeps},
        alerts={alert.id: alert for alert in known_alerts},
        budgets={budget.id: budget for budget in known_budgets},
        texts=_texts(tx, wanted),
    )


def _texts(tx: Transaction, wanted: Iterable[Text | None]) -> dict[str, str]:
    """Texts by commitment; an erased one is left out."""
    keys = [text.c for text in wanted if text is not None]
    found = Ledger.texts(tx, keys) if keys else {}
    return {c: content.decode("utf-8", "replace") for c, content in found.items()}


def _message(notice: Notice, near: _Neighbours) -> Message:
    """The words for one notice."""
    match notice.type:
        case notices.RUN_COMPLETE:
            return _about_run(notice, near)
        case "sweep_complete":
            return _about_sweep(notice, near, "is done")
        case "sweep_paused":
            return _about_sweep(notice, near, "is paused")
        case "alert":
            return _about_alert(notice, near)
        case _:
            return _about_budget(notice, near)


def _about_run(notice: Notice, near: _Neighbours) -> Message:
    """A run that ended, as it ended: it may have been queued again since."""
    run = near.runs.get(notice.run or "")
    outcome = Outcome(notice.detail) if notice.detail in set(Outcome) else None
    name = (near.text(run.name, LONGEST_NAME) if run else None) or notice.subject
    same = run is not None and run.ended_seq == notice.seq
    reason = _reason(run, near) if run is not None and same else None
    failed = outcome in notices.UNSUCCESSFUL
    return Message(
        notice=notice,
        type="run.failed" if failed else "run.ended",
        title=f"Run {name} {_ENDS[outcome] if outcome else 'ended'}",
        detail=reason,
        data=_facts(
            notice,
            near,
            status=run.status.value if run is not None and same else None,
            outcome=outcome.value if outcome else None,
            exit_code=run.exit_code if run is not None and same else None,
            signal=run.signal if run is not None and same else None,
            reason=reason,
        ),
    )


def _reason(run: Run, near: _Neighbours) -> str | None:
    """Why it ended so: the rule's words, then what was seen."""
    said, seen = explain(run), near.text(run.reason)
    return cut(f"{said}: {seen}" if said and seen else said or seen or "", LONGEST_DETAIL) or None


def _about_sweep(notice: Notice, near: _Neighbours, what: str) -> Message:
    """A sweep whose runs have all ended, or that starts no further one."""
    sweep = near.sweeps.get(notice.sweep or "")
    name = (near.text(sweep.name, LONGEST_NAME) if sweep else None) or notice.subject
    counts = _counts(sweep) if sweep is not None else {}
    detail = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or None
    if notice.type == "sweep_paused":
        detail = "its last runs failed the same way, so no further one is started"
        if sweep is not None and sweep.paused is not None:
            detail = SweepPaused.by(sweep.id, sweep.paused).words(now=0)
    facts = _facts(
        notice,
        near,
        status=sweep.status if sweep else None,
        counts=counts or None,
        reason=detail if notice.type == "sweep_paused" else None,
    )
    title = f"Sweep {name} {what}"
    return Message(notice=notice, type=_NAMES[notice.type], title=title, detail=detail, data=facts)


def _counts(sweep: Sweep) -> dict[str, int]:
    """Runs by status."""
    tally = sweep.runs
    return {
        "completed": tally.finished,
        "failed": tally.failed,
        "stopped": tally.stopped,
        "running": tally.active,
        "waiting": tally.waiting,
    }


def _about_alert(notice: Notice, near: _Neighbours) -> Message:
    """Somebody is asked to look."""
    alert = near.alerts.get(notice.subject)
    run = near.runs.get(notice.run or "")
    name = (near.text(run.name, LONGEST_NAME) if run else None) or notice.run
    text = near.text(alert.message) if alert else None
    return Message(
        notice=notice,
        type=_NAMES[notice.type],
        title=f"Alert ({notice.detail or 'warning'}) about run {name}",
        detail=text,
        data=_facts(
            notice,
            near,
            alert_id=notice.subject,
            severity=notice.detail,
            message=text,
            choices=[one["label"] for one in choices_of(near.text(alert.choices, 10**6))]
            if alert
            else None,
        ),
    )


def choices_of(text: str | None) -> list[dict[str, str]]:
    """The choices of an alert, each with `label` and `action`; none when they were erased."""
    try:
        found = json.loads(text or "[]")
    except ValueError:  # a secret that was cut out may have taken a quote along
        return []
    return [one for one in found if isinstance(one, dict) and {"label", "action"} <= one.keys()]


def _about_budget(notice: Notice, near: _Neighbours) -> Message:
    """80 % or all of a budget is used."""
    scope = budgets.scope_in(notice.subject)
    budget = near.budgets.get(scope)
    kind = notice.detail or ""
    session = budgets.session_in(scope)
    whose = f"sweep {scope}" if session is None else f"session {session}"
    reached = notice.type == "budget_reached"
    limit = budget.limit(kind) if budget is not None else None
    shown = None if limit is None else limit if kind == "runs" else limit / _MS_PER_HOUR
    detail = None
    if shown is not None:
        detail = f"the budget is {shown:g} {'runs' if kind == 'runs' else 'hours'}"
        if reached:
            detail += "; only a person can raise it"
    return Message(
        notice=notice,
        type=_NAMES[notice.type],
        title=f"{'All' if reached else '80 %'} of the {_KINDS.get(kind, kind)} of {whose} "
        f"{'is' if kind != 'runs' else 'are'} used",
        detail=detail,
        data=_facts(
            notice,
            near,
            scope=scope,
            kind=kind,
            limit=shown,
            action=budget.action if budget is not None else None,
            sweep_id=None if session is not None else scope,
        ),
    )


def _facts(notice: Notice, near: _Neighbours, **more: Any) -> dict[str, Any]:
    """The ids and names that every message has, and what is its own; absent ones left out."""
    run = near.runs.get(notice.run or "")
    sweep = near.sweeps.get(notice.sweep or "")
    facts = {
        "id": notice.id,
        "chat_session_id": notice.session,
        "run_id": notice.run,
        "run_name": near.text(run.name, LONGEST_NAME) if run else None,
        "sweep_id": notice.sweep,
        "sweep_name": near.text(sweep.name, LONGEST_NAME) if sweep else None,
        **more,
    }
    return {name: value for name, value in facts.items() if value is not None}
