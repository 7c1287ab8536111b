"""Sweeps with a declared space: see what it holds, create it, change it (P2.2)."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, linting, views
from tallystick.api.bodies import Body, given
from tallystick.api.call import Call
from tallystick.api.demands import checked_tags, demands_of
from tallystick.api.finding import find_sweep
from tallystick.api.plans import Made, Wanted, changed_by, declared_in, make
from tallystick.api.routes.runs import (
    checked_environment,
    checked_workdir,
    signals,
    tracker_notices,
)
from tallystick.api.routes.sweeps import LONGEST_GOAL, full_view
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.sweep_views import plan_view, sweep_view
from tallystick.api.texts import LONGEST_NAME, checked_characters, checked_session, checked_text
from tallystick.control.texts import Texts
from tallystick.db.database import Transaction
from tallystick.domain.commands import CreateSweep, EditSweep
from tallystick.domain.demands import Demands
from tallystick.domain.ids import SweepId, Text
from tallystick.domain.plan import Declaration, declaration_of
from tallystick.domain.sweep import Sweep
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import ConflictError, InvalidError
from tallystick.wire.demands import Asked
from tallystick.wire.sweep_requests import DeclareSweep, UpdateSweep
from tallystick.wire.sweep_views import PlanPreview
from tallystick.wire.views import SweepView
from tallystick.wire.views import Warning as Notice

_MOST_PARALLEL: Final = 100_000


async def preview(call: Call) -> Response:
    """What POST /sweeps would make of the same body: how many runs, and the first commands.

    Nothing is created, and no session is needed.
    """
    body: DeclareSweep = call.body
    made = await _declared(call, body, call.texts())
    checked_text("name", body.name, longest=LONGEST_NAME)
    answer = PlanPreview(
        plan=plan_view(made.plan),
        runs=made.commands(body.name),
        warnings=call.warnings + made.notices + await linting.of_plan(call, body, made.plan),
    )
    return answers.json(answer)


async def create(call: Call) -> Response:
    """Declare a space of configurations: every point becomes exactly one run (P2.2).

    The plan is in the ledger before the first run is registered; registration goes on by itself,
    also after a crash. With `auto_start`, or status `running`, the queue starts what has room.
    """
    body: DeclareSweep = call.body
    texts = call.texts()
    made = await _declared(call, body, texts)
    start = body.status == "running" or (body.auto_start and body.status != "draft")
    command = CreateSweep(
        sweep=SweepId(call.services.clock.new_id("swp")),
        name=texts.add(checked_text("name", body.name, longest=LONGEST_NAME)),
        goal=_goal(body.goal, texts),
        wild=False,
        draft=body.status == "draft",
        plan=made.plan,
        start=start,
        parallel=body.parallel,
        session=checked_session(body.chat_session_id),
        request=call.mark(),
    )
    linted = linting.of_plan(call, body, made.plan)
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    sweep = accepted.sweep
    assert sweep is not None  # noqa: S101 - the handler answers with what it created
    more: dict[str, Any] = {
        "receipt": accepted.receipt,
        "warnings": views.notices(sweep.violations)
        + await signals(call, accepted)
        + call.warnings
        + made.notices
        + tracker_notices(body.env, body.base_command)
        + await linted,
    }
    if accepted.replayed:
        view = await call.services.read(
            lambda tx: full_view(tx, find_sweep(tx, accepted.subject), **more)
        )
        return answers.json(view)
    return answers.json(sweep_view(sweep, views.Material(texts=texts.known), [], **more))


async def _declared(call: Call, body: DeclareSweep, texts: Texts) -> Made:
    """The plan of a body."""
    parallel = body.parallel
    if parallel is not None and not 1 <= parallel <= _MOST_PARALLEL:
        raise InvalidError(
            f"parallel: expected 1 to {_MOST_PARALLEL}; found {parallel}", code="body_invalid"
        )
    workdir = await checked_workdir(call, body.workdir)
    demands = await demands_of(call, body, command=body.base_command, env=body.env)
    sent = checked_text("base_command", body.base_command)

    def build() -> Made:
        command = texts.add(sent)
        environment = checked_environment(body.env)
        wanted = Wanted(
            asked=declared_in(body),
            command=command,
            recorded=texts.known[command.c],
            sent=sent,
            workdir=texts.add(workdir),
            environment=texts.add_environment(environment) if environment else None,
            variables=frozenset(environment),
            placement=body.placement,
            demands=demands,
            tags=checked_tags(body.tags),
            ui_config=None if body.ui_config is None else texts.add_document(body.ui_config),
        )
        return make(wanted, texts)

    return await call.services.parse(build)


def _goal(goal: str | None, texts: Texts) -> Text | None:
    if goal is None:
        return None
    return texts.add(checked_characters("goal", goal, longest=LONGEST_GOAL))


async def update(call: Call) -> Response:
    """Change a sweep: name and goal at any time, the space only while it has no runs (P3.4).

    Status `pending` makes the runs of a draft, `running` starts them, too. `parameters` or
    `points` declare the space anew; what is left out stays, and null takes `seeds` or `max_runs`
    out of it.
    """
    body: UpdateSweep = call.body
    old = await call.services.read(lambda tx: find_sweep(tx, call.path["sweep"]))
    if body.status == "draft" and not old.draft:
        raise ConflictError(
            f"sweep {old.id} is {old.status}; what was made of it does not become a draft again",
            code="sweep_not_draft",
            next_actions=(f"POST /sweeps/{old.id}/stop",),
            status=old.status,
        )
    texts = call.texts()
    shown = await call.services.read(lambda tx: full_view(tx, old))
    without = _taken_out(call, old)
    changed = _changed(call, old, shown, body, without=without)
    made = None
    if changed is not None:
        made = await _replanned(call, old, changed, texts, without=without)
    notices = [] if made is None else made.notices
    name = None if body.name == shown.name else body.name
    edit = EditSweep(
        sweep=old.id,
        name=None if name is None else texts.add(checked_text("name", name, longest=LONGEST_NAME)),
        goal=None if body.goal == shown.goal else _goal(body.goal, texts),
        plan=None if made is None else made.plan,
        plan_base=old.plan_seq,
        materialise=body.status in {"pending", "ready", "running"},
        start=body.status == "running",
    )
    accepted = await call.services.submit(edit, by=call.actor, texts=texts)
    if edit.start:
        notices = notices + await signals(call, accepted)
    assert accepted.sweep is not None  # noqa: S101 - the command is about a sweep
    sweep = accepted.sweep
    view = await call.services.read(
        lambda tx: full_view(
            tx,
            sweep,
            receipt=accepted.receipt,
            warnings=call.warnings + notices,
        )
    )
    return answers.json(view)


def _taken_out(call: Call, old: Sweep) -> list[str]:
    """The fields of the space that a body takes out of it, by null."""
    sent, plan = given(call.raw), old.plan
    if plan is None:
        return []
    present = {"max_runs": plan.count < plan.size, "seeds": plan.seeds is not None}
    return [name for name, there in present.items() if there and sent.get(name, 0) is None]


def _changed(
    call: Call, old: Sweep, shown: SweepView, body: UpdateSweep, *, without: Sequence[str]
) -> UpdateSweep | None:
    """The part of a body that changes the plan; None when there is none.

    Older clients send the whole sweep back: what is as it was is no change.
    """
    left = {
        item.name: getattr(body, item.name)
        for item in fields(body)
        if item.name not in {"name", "goal", "status"}
    }
    for name in ("base_command", "workdir", "parameters", "max_runs", "ui_config"):
        if left[name] == getattr(shown, name):
            left[name] = None
    if old.plan is not None and left["max_runs"] is not None:
        count, size = old.plan.count, old.plan.size
        if min(left["max_runs"], size) == count and left["parameters"] is None:
            left["max_runs"] = None
    if old.runs.total and left["ui_config"] is not None:
        left["ui_config"] = None
        detail = "ui_config: it is kept with the plan, which has runs; it was not changed"
        call.warnings.append(Notice(code="ui_config_kept", detail=detail))
    if all(value is None for value in left.values()) and not without:
        return None
    if old.runs.total or old.registered:
        named = ", ".join([*(name for name, value in left.items() if value is not None), *without])
        raise ConflictError(
            f"sweep {old.id} has {old.runs.total} runs: {named} can be changed only before the "
            "first one",
            code="sweep_immutable",
            hint="what was run is history; declare the changed space as another sweep",
            next_actions=("POST /sweeps with the changed fields",),
            status=old.status,
        )
    return UpdateSweep(**left)


async def _replanned(
    call: Call, old: Sweep, body: UpdateSweep, texts: Texts, *, without: Sequence[str]
) -> Made:
    """The plan after a change."""
    plan = old.plan
    material = await call.services.read(lambda tx: _texts_of(tx, old))
    if plan is None and (body.base_command is None or not (body.parameters or body.points)):
        raise InvalidError(
            "base_command, parameters: expected both, for this sweep has no space yet; found "
            "only a part",
            code="plan_missing",
            hint="runs are added to it one by one with POST /sweeps/{id}/runs",
        )
    sent = body.base_command
    workdir = body.workdir
    if workdir is not None or plan is None:
        workdir = await checked_workdir(call, workdir)
    demands = await demands_of(
        call, _asked(body), command=sent, base=None if plan is None else plan.demands
    )

    def build() -> Made:
        wanted = _wanted(plan, body, material, texts, workdir=workdir, demands=demands)
        asked = changed_by(wanted.asked, body, without=without)
        return make(replace(wanted, asked=asked), texts)

    return await call.services.parse(build)


def _asked(body: UpdateSweep) -> Asked:
    return Asked(**{item.name: getattr(body, item.name) for item in fields(Asked)})


def _texts_of(tx: Transaction, sweep: Sweep) -> views.Material:
    plan = sweep.plan
    wanted = [] if plan is None else [plan.command, plan.points, plan.environment]
    return views.Material(views.load_texts(tx, wanted))


def _wanted(
    plan: SweepPlanned | None,
    body: UpdateSweep,
    material: views.Material,
    texts: Texts,
    *,
    workdir: str | None,
    demands: Demands,
) -> Wanted:
    """What is left out is taken over as it stands in the ledger."""
    sent = None if body.base_command is None else checked_text("base_command", body.base_command)
    environment = None if body.env is None else checked_environment(body.env)
    known: dict[str, Any] = {"asked": Declaration(), "variables": frozenset(environment or ())}
    if plan is not None:
        known |= {
            "asked": declaration_of(plan, _present(material, plan.points)),
            "command": plan.command,
            "recorded": _present(material, plan.command) or "",
            "workdir": plan.workdir,
            "environment": plan.environment,
            "placement": None if sent is not None else plan.placement,
            "tags": plan.tags,
            "ui_config": plan.ui_config,
        }
        if environment is None:
            held = json.loads(_present(material, plan.environment) or "{}")
            known["variables"] = frozenset(held)
    if sent is not None:
        command = texts.add(sent)
        known |= {"command": command, "recorded": texts.known[command.c], "sent": sent}
    new = {
        "workdir": None if workdir is None else texts.add(workdir),
        "environment": None if environment is None else texts.add_environment(environment),
        "placement": body.placement,
        "tags": None if body.tags is None else checked_tags(body.tags),
        "ui_config": None if body.ui_config is None else texts.add_document(body.ui_config),
    }
    replaced = {name: value for name, value in new.items() if value is not None}
    return Wanted(**{**known, **replaced, "demands": demands})


def _present(material: views.Material, text: Text | None) -> str | None:
    """A text that was not erased; raises `ConflictError`."""
    found = material.text(text)
    if text is not None and text.n and text.c not in material.texts:
        raise ConflictError(
            "a text of this sweep's plan was erased, so it cannot be changed",
            code="text_erased",
            next_actions=("POST /sweeps with the whole space",),
        )
    return found


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/sweeps",
        route=create,
        permission=Permission.CREATE,
        body=Body(DeclareSweep),
        answer=SweepView,
        creates=True,
    ),
    Endpoint(
        method="POST",
        path="/sweeps/preview",
        route=preview,
        permission=Permission.CREATE,
        body=Body(DeclareSweep),
        answer=PlanPreview,
    ),
    Endpoint(
        method="PUT",
        path="/sweeps/{sweep}",
        route=update,
        permission=Permission.CONTROL,
        body=Body(UpdateSweep, optional=True),
        answer=SweepView,
        refusals=(404, 409),
    ),
)
