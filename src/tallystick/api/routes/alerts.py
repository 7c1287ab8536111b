"""Alerts: somebody is asked to look at a run, and may answer; no run ever waits for it."""

import json
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, auth
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_run, is_id
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routes.runs import find_id
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.texts import checked_characters, checked_text
from tallystick.api.views import load_texts, optional_seconds, seconds
from tallystick.api.waiting import WAIT, until_changed
from tallystick.control import messages
from tallystick.control.texts import Texts
from tallystick.db.database import Transaction
from tallystick.domain import commands
from tallystick.domain.alert import SEVERITIES, Alert
from tallystick.domain.ids import AlertId, Role
from tallystick.errors import ConflictError, InvalidError, NotFoundError
from tallystick.projections import alerts, runs
from tallystick.wire.signal_requests import MOST_CHOICES, RaiseAlert, RespondAlert
from tallystick.wire.signal_views import (
    AlertAnswered,
    AlertPage,
    AlertRaised,
    AlertView,
    ChoiceView,
)
from tallystick.wire.views import Warning as Notice

LONGEST_MESSAGE: Final = 10_000
LONGEST_CHOICE: Final = 500
"""Characters."""

ACTIONS: Final = ("continue", "stop", "note")


async def raise_alert(call: Call) -> Response:
    """Ask somebody to look at this run: by the run itself, by an agent or by a person.

    The run goes on, whether and whenever somebody answers. `GET /runs/{id}/alerts/{alert}?wait=30`
    waits for the answer.
    """
    body: RaiseAlert = call.body
    texts = call.texts()
    command = commands.RaiseAlert(
        alert=AlertId(call.services.clock.new_id("alr")),
        run=find_id(call),
        severity=_severity(call, body.severity),
        message=texts.add(checked_text("message", body.message, longest=LONGEST_MESSAGE)),
        choices=texts.add(json.dumps(checked_choices(body.choices), ensure_ascii=False)),
        source="job" if call.actor.role is Role.RUN else "client",
        request=call.mark(),
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    assert accepted.alert is not None  # noqa: S101 - the handler answers with what it created
    view = await call.services.read(lambda tx: _one(tx, accepted.subject))
    answer = AlertRaised(
        alert_id=view.id, alert=view, receipt=accepted.receipt, warnings=call.warnings
    )
    return answers.json(answer)


def _severity(call: Call, text: str) -> str:
    """info, warning or critical; what is none of them is a warning, and said."""
    if text in SEVERITIES:
        return text
    detail = f"severity: expected {', '.join(SEVERITIES)}; {text[:40]!r} counts as warning"
    call.warnings.append(Notice(code="severity_unknown", detail=detail))
    return "warning"


def checked_choices(given: list[Any]) -> list[dict[str, str]]:
    """Choices with what each stands for; raises `InvalidError`.

    A plain text stands for what it says when it is exactly `stop` or `continue`: "Don't stop" is
    a note, and stops nothing.
    """
    if not 1 <= len(given) <= MOST_CHOICES:
        raise InvalidError(
            f"choices: expected 1 to {MOST_CHOICES}; found {len(given)}",
            code="choices_invalid",
            hint='for example ["continue", "stop"]',
        )
    found = [_choice(item) for item in given]
    labels = [one["label"] for one in found]
    if len(set(labels)) != len(labels):
        raise InvalidError("choices: expected each once; one stands twice", code="choices_invalid")
    return found


def _choice(item: Any) -> dict[str, str]:
    """One choice, whichever way it was written."""
    label, action = (
        (item.get("label"), item.get("action")) if isinstance(item, dict) else (item, None)
    )
    if not isinstance(label, str) or (action is not None and action not in ACTIONS):
        raise InvalidError(
            "choices: expected texts, or objects with label and an action of "
            f"{', '.join(ACTIONS)}; found {json.dumps(item)[:80]}",
            code="choices_invalid",
        )
    checked_text("choices", label, longest=LONGEST_CHOICE)
    plain = label if label in {"stop", "continue"} else "note"
    return {"label": label, "action": action or plain}


async def list_alerts(call: Call) -> Response:
    """Alerts, newest first; never more than `limit`, so ask for pages with `cursor`."""
    return await _list(call, run=call.query["run_id"])


async def list_of_run(call: Call) -> Response:
    """Alerts about this run, newest first."""
    await call.services.read(lambda tx: find_run(tx, call.path["run"]))
    return await _list(call, run=call.path["run"])


async def _list(call: Call, *, run: str | None) -> Response:
    limit, cursor = call.query["limit"], call.query["cursor"]
    pending = {None: None, "pending": True, "resolved": False}[call.query["status"]]
    wanted = alerts.AlertFilter(
        run=run,
        session=call.query.get("chat_session_id"),
        pending=pending,
        severity=call.query["severity"],
    )
    before = position_of(cursor)

    def ask(tx: Transaction) -> tuple[list[AlertView], str | None]:
        found = alerts.page(tx, wanted, limit=limit + 1, before=before)
        shown, after = page_of(found, limit, lambda alert: alert.created_seq)
        return _views(tx, shown), after

    items, after = await call.services.read(ask)
    return answers.json(items if cursor is None else {"items": items, "next_cursor": after})


async def get(call: Call) -> Response:
    """One alert. With `wait` it answers when somebody responds or the time is up (P4.2)."""
    return await _get(call)


async def get_of_run(call: Call) -> Response:
    """One alert about this run, for the job that raised it; with `wait` once it is answered."""
    return await _get(call, run=call.path["run"])


async def _get(call: Call, *, run: str | None = None) -> Response:
    key = call.path["alert"]
    alert = await until_changed(
        call,
        lambda: call.services.read(lambda tx: _found(tx, key, run=run)),
        stream=key,
        settled=lambda alert: alert.action is not None,
        status=_status,
    )
    return answers.json(await call.services.read(lambda tx: _one(tx, alert.id)))


async def respond(call: Call) -> Response:
    """Answer an alert, once: continue, stop (ends the run, as POST /runs/{id}/stop) or note.

    The action is that of the choice unless `action` names another; never is it guessed from words.
    """
    body: RespondAlert = call.body
    alert, view = await call.services.read(lambda tx: _seen(tx, call))
    label, action = _decided(body, view)
    texts = call.texts()
    command = commands.AnswerAlert(
        alert=alert.id,
        choice=texts.add(checked_text("choice", label, longest=LONGEST_CHOICE)),
        action=action,
        note=_note(body, texts),
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    already = not accepted.records
    view = await call.services.read(lambda tx: _one(tx, alert.id))
    if already and view.response != label:
        raise ConflictError(
            f"alert {alert.id} was answered with {(view.response or '')[:80]!r} already",
            code="alert_answered",
            next_actions=(f"GET /alerts/{alert.id} shows the answer",),
        )
    answer = AlertAnswered(
        message=_said(action, already=already),
        already=already,
        alert=view,
        receipt=accepted.receipt,
        warnings=call.warnings,
    )
    return answers.json(answer)


def _seen(tx: Transaction, call: Call) -> tuple[Alert, AlertView]:
    """The alert of the path, which the caller may answer (P9.2)."""
    alert = _found(tx, call.path["alert"])
    if call.token is not None and call.token.session is not None:
        auth.check_session(call.token, runs.get(tx, alert.run))
    return alert, _one(tx, alert.id)


def _decided(body: RespondAlert, alert: AlertView) -> tuple[str, str]:
    """Which choice was made, and what follows; raises `InvalidError` naming the choices."""
    options = {one.label: one.action for one in alert.options}
    if body.choice is None and body.action is not None:
        fitting = [label for label, action in options.items() if action == body.action]
        return (fitting[0] if fitting else body.action), body.action
    if body.choice is None or body.choice not in options:
        shown = "nothing" if body.choice is None else repr(body.choice[:80])
        raise InvalidError(
            f"choice: expected one of {', '.join(map(repr, options))}; found {shown}",
            code="choice_unknown",
            next_actions=(f"GET /alerts/{alert.id} shows the choices",),
        )
    return body.choice, body.action or options[body.choice]


def _note(body: RespondAlert, texts: Texts) -> Any:
    if body.note is None or not body.note.strip():
        return None
    return texts.add(checked_characters("note", body.note, longest=LONGEST_MESSAGE))


def _said(action: str, *, already: bool) -> str:
    if already:
        return "Alert was answered so already"
    return "Alert answered; the run is being stopped" if action == "stop" else "Alert answered"


def _found(tx: Transaction, key: str, *, run: str | None = None) -> Alert:
    """An alert that exists, about `run` where one is named; raises `NotFoundError`."""
    found = alerts.get(tx, key) if is_id(key, "alr") else None
    if found is None or (run is not None and found.run != run):
        raise NotFoundError(
            f"Alert not found: {key[:80]}",
            code="alert_not_found",
            next_actions=("GET /alerts lists the alerts there are",),
        )
    return found


def _one(tx: Transaction, key: str) -> AlertView:
    return _views(tx, [_found(tx, key)])[0]


def _views(tx: Transaction, found: list[Alert]) -> list[AlertView]:
    """Alerts with their texts, in one question."""
    texts = load_texts(
        tx, (text for one in found for text in (one.message, one.choices, one.choice, one.note))
    )
    return [_view(alert, texts) for alert in found]


def _view(alert: Alert, texts: dict[str, str]) -> AlertView:
    options = messages.choices_of(texts.get(alert.choices.c))
    return AlertView(
        id=alert.id,
        run_id=alert.run,
        sweep_id=alert.sweep,
        timestamp=seconds(alert.created_at),
        severity=alert.severity,
        message=texts.get(alert.message.c, "[erased]"),
        choices=[one["label"] for one in options],
        options=[ChoiceView(label=one["label"], action=one["action"]) for one in options],
        status=_status(alert),
        response=None if alert.choice is None else texts.get(alert.choice.c, "[erased]"),
        action=alert.action,
        note=None if alert.note is None else texts.get(alert.note.c, "[erased]"),
        responded_at=optional_seconds(alert.answered_at),
        responded_by=alert.answered_by,
        session_id=alert.session,
        source=alert.source,
        raised_by=alert.raised_by,
        seq=alert.created_seq,
    )


def _status(alert: Alert) -> str:
    return "pending" if alert.action is None else "resolved"


_FILTERS: Final = (
    Query(name="status", choices=("pending", "resolved"), description="Only these."),
    Query(name="severity", choices=SEVERITIES, description="Only these."),
    page_size(1000, 100),
    CURSOR,
)

ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/runs/{run}/alerts",
        route=raise_alert,
        permission=Permission.METRICS,
        body=Body(RaiseAlert),
        answer=AlertRaised,
        creates=True,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}/alerts",
        route=list_of_run,
        permission=Permission.READ,
        query=_FILTERS,
        answer=list[AlertView] | AlertPage,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}/alerts/{alert}",
        route=get_of_run,
        permission=Permission.READ,
        query=(WAIT,),
        answer=AlertView,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/alerts",
        route=list_alerts,
        permission=Permission.READ,
        query=(
            Query(name="run_id", description="Only alerts about this run."),
            Query(name="chat_session_id", description="Only alerts of this session."),
            *_FILTERS,
        ),
        answer=list[AlertView] | AlertPage,
    ),
    Endpoint(
        method="GET",
        path="/alerts/{alert}",
        route=get,
        permission=Permission.READ,
        query=(WAIT,),
        answer=AlertView,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/alerts/{alert}/respond",
        route=respond,
        permission=Permission.CONTROL,
        body=Body(RespondAlert),
        answer=AlertAnswered,
        refusals=(404, 409),
    ),
)
