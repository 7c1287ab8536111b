"""What can be done to a run: start, queue, stop, repeat, put away (P3.2, P3.6).

Repeating a call is harmless: the answer says `already`, and nothing is written.
"""

import dataclasses
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, linting, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.demands import checked_tags, demands_of
from tallystick.api.finding import find_run, is_id, sweep_missing
from tallystick.api.queries import Query
from tallystick.api.routes.runs import (
    checked_gpuwrap,
    checked_workdir,
    created,
    find_id,
    full_view,
    signals,
)
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Empty, RunArchiving, RunMoved
from tallystick.api.texts import (
    LONGEST_NAME,
    checked_alert,
    checked_characters,
    checked_session,
    checked_text,
)
from tallystick.control.texts import Texts
from tallystick.domain import commands
from tallystick.domain.commands import (
    ArchiveRun,
    MoveRun,
    QueueRun,
    RegisterRun,
    StopRun,
    UnarchiveRun,
)
from tallystick.domain.demands import Demands
from tallystick.domain.ids import UNATTRIBUTED, RunId, SweepId, Text
from tallystick.domain.policy import SESSION_PLACEHOLDER
from tallystick.domain.run import Run
from tallystick.errors import ConflictError
from tallystick.wire.requests import AnnotateRun, RerunRun
from tallystick.wire.views import RunView

_SUFFIX: Final = " (Rerun)"

LONGEST_NOTE: Final = 20_000
"""Characters."""


async def start(call: Call) -> Response:
    """Let the queue start the run as soon as there is room (P3.2)."""
    return await _move(call, QueueRun(run=find_id(call)), "Run started", "Run was started already")


async def queue(call: Call) -> Response:
    """Put the run into the queue."""
    return await _move(call, QueueRun(run=find_id(call)), "Run queued", "Run was queued already")


async def stop(call: Call) -> Response:
    """End every process of the run (P3.6).

    Answers at once; the status is `stopped` when the last process is gone.
    """
    command = StopRun(run=find_id(call))
    return await _move(call, command, "Run stopped", "Run was stopping or had ended already")


async def _move(
    call: Call, command: QueueRun | StopRun, message: str, already_message: str
) -> Response:
    """Ask, and answer with the run as it is now."""
    accepted = await call.services.submit(command, by=call.actor)
    assert accepted.run is not None  # noqa: S101 - the command is about a run
    already = not accepted.records
    if isinstance(command, StopRun) and not already and accepted.run.ended_at is None:
        message = "Run is being stopped"
    said = [] if isinstance(command, StopRun) else await signals(call, accepted)
    warnings = said + call.warnings
    view = await full_view(call, accepted.run, receipt=accepted.receipt, warnings=warnings)
    moved = {
        **{item.name: getattr(view, item.name) for item in dataclasses.fields(view)},
        "message": already_message if already else message,
        "already": already,
    }
    return answers.json(moved)


async def archive(call: Call) -> Response:
    """Take the run out of the ordinary lists; nothing of it is deleted."""
    command = ArchiveRun(run=find_id(call))
    return await _marked(call, command, "Run archived")


async def unarchive(call: Call) -> Response:
    """Put the run back into the ordinary lists."""
    command = UnarchiveRun(run=find_id(call))
    return await _marked(call, command, "Run unarchived")


async def annotate(call: Call) -> Response:
    """Tag the run, star it, write a note to it; at any time, and nothing else of it changes."""
    body: AnnotateRun = call.body
    texts = call.texts()
    note = None
    if body.note is not None:
        note = texts.add(checked_characters("note", body.note, longest=LONGEST_NOTE))
    command = commands.AnnotateRun(
        run=find_id(call),
        add_tags=checked_tags(body.add_tags),
        remove_tags=checked_tags(body.remove_tags),
        starred=body.starred,
        note=note,
    )
    return await _marked(call, command, "Run annotated", texts)


async def _marked(
    call: Call,
    command: ArchiveRun | UnarchiveRun | commands.AnnotateRun,
    message: str,
    texts: Texts | None = None,
) -> Response:
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    assert accepted.run is not None  # noqa: S101 - the command is about a run
    answer = RunArchiving(
        message=message,
        id=accepted.run.id,
        run=await full_view(call, accepted.run),
        already=not accepted.records,
        receipt=accepted.receipt,
        warnings=call.warnings,
    )
    return answers.json(answer)


async def add_to_sweep(call: Call) -> Response:
    """Put a run into another sweep: one that is ready or has ended, and no point of a plan."""
    sweep: str = call.query["sweep_id"]
    if not is_id(sweep, "swp"):
        raise sweep_missing(sweep)
    command = MoveRun(run=find_id(call), sweep=SweepId(sweep))
    accepted = await call.services.submit(command, by=call.actor)
    assert accepted.run is not None  # noqa: S101 - the command is about a run
    already = not accepted.records
    answer = RunArchiving(
        message=f"Run is in sweep {sweep} already" if already else f"Run added to sweep {sweep}",
        id=accepted.run.id,
        run=await full_view(call, accepted.run),
        already=already,
        receipt=accepted.receipt,
        warnings=call.warnings,
    )
    return answers.json(answer)


async def rerun(call: Call) -> Response:
    """Register a new run like this one, with this one as its parent; history stays as it is.

    Sweep, session, directory and environment are inherited, and so are `params` unless `command`
    replaces the old one.
    """
    old, material = await call.services.read(lambda tx: _source(tx, call.path["run"]))
    texts = call.texts()
    name = f"{_present(material, old.name)[: LONGEST_NAME - len(_SUFFIX)]}{_SUFFIX}"
    _present(material, old.command)
    workdir = await checked_workdir(call, _present(material, old.workdir))
    body: RerunRun = call.body
    demands = await demands_of(
        call, body, command=body.command or None, wrap=body.gpuwrap_config, base=old.demands
    )
    command = await call.prepare(lambda: _repetition(call, old, texts, name=name, demands=demands))
    linted = linting.begin(call, body.command, workdir=workdir) if body.command else None
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    call.warnings += [] if linted is None else await linted
    texts.known.update(material.texts)
    return await created(call, accepted, texts)


def _repetition(call: Call, old: Run, texts: Texts, *, name: str, demands: Demands) -> RegisterRun:
    """The command for a body; long texts take their time."""
    body: RerunRun = call.body
    new = body.command
    return RegisterRun(
        run=RunId(call.services.clock.new_id("run")),
        name=texts.add(name),
        command=texts.add(checked_text("command", new)) if new else old.command,
        workdir=old.workdir,
        sweep=old.sweep,
        environment=old.environment,
        params={} if new else old.params,
        parent=old.id,
        origin_alert=checked_alert(body.origin_alert_id),
        gpuwrap=_gpuwrap(body, old, texts),
        demands=demands,
        tags=old.tags,
        session=checked_session(body.chat_session_id) or _inherited(call, old),
        start=body.auto_start,
        request=call.mark(),
    )


def _inherited(call: Call, old: Run) -> str | None:
    """The session of the old run, with whatever was wrong with it (P1.3)."""
    if call.actor.session is not None:
        return None
    if old.session != UNATTRIBUTED:
        return old.session
    return "$CHAT_SESSION_ID" if SESSION_PLACEHOLDER in old.violations else None


def _source(tx: Any, key: str) -> tuple[Run, views.Material]:
    old = find_run(tx, key)
    return old, views.of_runs(tx, [old], in_list=False)


def _present(material: views.Material, text: Text) -> str:
    """A text that was not erased; raises `ConflictError`."""
    found = material.text(text)
    if found is None or (text.n > 0 and text.c not in material.texts):
        raise ConflictError(
            "this run's text was erased, so it cannot be repeated",
            code="text_erased",
            next_actions=("POST /runs with the whole command",),
        )
    return found


def _gpuwrap(body: RerunRun, old: Run, texts: Texts) -> Text | None:
    if body.gpuwrap_config is None:
        return old.gpuwrap
    kept: Text | None = checked_gpuwrap(body.gpuwrap_config, texts)
    return kept


def _action(path: str, route: Any, answer: Any) -> Endpoint:
    """An endpoint without fields in its body."""
    return Endpoint(
        method="POST",
        path=f"/runs/{{run}}/{path}",
        route=route,
        permission=Permission.CONTROL,
        body=Body(Empty, optional=True),
        answer=answer,
        refusals=(404, 409),
    )


ENDPOINTS: Final = (
    _action("start", start, RunMoved),
    _action("queue", queue, RunMoved),
    _action("stop", stop, RunMoved),
    _action("archive", archive, RunArchiving),
    _action("unarchive", unarchive, RunArchiving),
    Endpoint(
        method="POST",
        path="/runs/{run}/annotate",
        route=annotate,
        permission=Permission.CONTROL,
        body=Body(AnnotateRun, optional=True),
        answer=RunArchiving,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/runs/{run}/add-to-sweep",
        route=add_to_sweep,
        permission=Permission.CONTROL,
        query=(Query(name="sweep_id", required=True, description="Where it goes."),),
        body=Body(Empty, optional=True),
        answer=RunArchiving,
        refusals=(404, 409),
    ),
    Endpoint(
        method="POST",
        path="/runs/{run}/rerun",
        route=rerun,
        permission=Permission.CREATE,
        body=Body(RerunRun, optional=True),
        answer=RunView,
        creates=True,
        refusals=(404, 409),
    ),
)
