"""Runs: registered trials, and what may happen to them (P3)."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, linting, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.demands import checked_tags, demands_of
from tallystick.api.draining import warn_of_drain
from tallystick.api.finding import find_run, is_id, run_missing, sweep_missing
from tallystick.api.measured import SHORT_PATIENCE_SECONDS, State, last_values, state_of
from tallystick.api.routes.queue import Told, reasons_for, room_for
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.services import Services
from tallystick.api.texts import (
    LONGEST_NAME,
    checked_alert,
    checked_characters,
    checked_session,
    checked_text,
)
from tallystick.api.waiting import WAIT, until_changed
from tallystick.api.workdirs import kind_of
from tallystick.control.commands import Accepted
from tallystick.control.redaction import redact_environment
from tallystick.control.texts import Texts
from tallystick.control.trackers import named_tracker
from tallystick.db.database import Transaction
from tallystick.domain import budget as budgets
from tallystick.domain import params
from tallystick.domain.commands import EditRun, RegisterRun
from tallystick.domain.demands import Demands
from tallystick.domain.ids import RunId, SweepId
from tallystick.domain.run import Run
from tallystick.domain.signal_events import BudgetWarned
from tallystick.domain.status import ENDED_STATUSES, Phase, Status
from tallystick.errors import InvalidError
from tallystick.intake.progress import last_bar
from tallystick.ledger.canonical import LARGEST_INTEGER
from tallystick.projections import runs
from tallystick.store import logs
from tallystick.wire.bundle import OUTPUT_FILE
from tallystick.wire.demands import Asked
from tallystick.wire.requests import CreateRun, GpuWrap, UpdateRun
from tallystick.wire.views import OutputProgress, RunView
from tallystick.wire.views import Warning as Notice

MOST_DEPENDENCIES: Final = 16

BAR_BYTES: Final = 8_192
"""Of the end of the output, looked at for a progress bar."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


async def create(call: Call) -> Response:
    """Register one trial before anything of it is executed (P3.1).

    With `auto_start` the queue starts it when there is room; otherwise it stays `ready`.
    """
    body: CreateRun = call.body
    return await register(call, body, sweep=body.sweep_id)


async def register(call: Call, body: CreateRun, *, sweep: str | None) -> Response:
    """Register the run of a body in `sweep`, for the two routes that can."""
    texts = call.texts()
    workdir = await checked_workdir(call, body.workdir)
    demands = await demands_of(
        call, body, command=body.command, env=body.env, wrap=body.gpuwrap_config
    )
    command = await call.prepare(
        lambda: _registration(call, body, texts, workdir=workdir, sweep=sweep, demands=demands)
    )
    linted = linting.begin(
        call, body.command, workdir=workdir, params=body.params, variables=body.env
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    call.warnings += await linted
    call.warnings += tracker_notices(body.env or {}, body.command)
    return await created(call, accepted, texts)


def _registration(
    call: Call,
    body: CreateRun,
    texts: Texts,
    *,
    workdir: str,
    sweep: str | None,
    demands: Demands,
) -> RegisterRun:
    """The command for a body; long texts take their time."""
    return RegisterRun(
        run=RunId(call.services.clock.new_id("run")),
        name=texts.add(checked_text("name", body.name, longest=LONGEST_NAME)),
        command=texts.add(checked_text("command", body.command)),
        workdir=texts.add(workdir),
        sweep=_sweep_id(sweep),
        environment=texts.add_environment(checked_environment(body.env)) if body.env else None,
        params=_checked_params(call, body.params) if body.params else {},
        parent=_parent_id(body.parent_run_id),
        origin_alert=checked_alert(body.origin_alert_id),
        gpuwrap=checked_gpuwrap(body.gpuwrap_config, texts),
        demands=demands,
        tags=checked_tags(body.tags),
        depends_on=_checked_dependencies(body.depends_on),
        session=checked_session(body.chat_session_id),
        session_of_sweep="sweep" in call.path,
        start=body.auto_start,
        request=call.mark(),
    )


async def created(call: Call, accepted: Accepted, texts: Texts) -> Response:
    """The answer to a request that made a run, from memory unless it is a repeat or waits."""
    run = accepted.run
    assert run is not None  # noqa: S101 - the handler answers with what it created
    more: dict[str, Any] = {
        "receipt": accepted.receipt,
        "warnings": views.notices(run.violations) + await signals(call, accepted) + call.warnings,
    }
    material = views.Material(texts=texts.known)
    if accepted.replayed:
        material = await call.services.read(lambda tx: views.of_runs(tx, [run], in_list=False))
    if run.phase is Phase.QUEUED:
        told = await call.services.read(lambda tx: _still_waits(tx, call, run))
        if told is not None:
            more |= {"pending_reason": told.pending_reason, "queue_position": told.queue_position}
    return answers.json(views.run_view(run, material, **more))


def _still_waits(tx: Transaction, call: Call, run: Run) -> Told | None:
    """Why a run that was just queued waits; None when it has been started meanwhile."""
    present = runs.many(tx, [run.id])
    return reasons_for(tx, present, room_for(call)).get(run.id)


async def signals(call: Call, accepted: Accepted) -> list[Notice]:
    """What whoever creates or starts something should know of budgets and of the machine."""
    await warn_of_drain(call, accepted.cluster)
    return [
        Notice(
            code="budget_warning",
            detail=f"80 % of the budget of {budgets.scope_in(record.stream)} are used "
            f"({record.event.kind}); at 100 % nothing more is started. GET /budgets says how much",
        )
        for record in accepted.records
        if isinstance(record.event, BudgetWarned)
    ]


async def checked_workdir(call: Call, workdir: str | None) -> str:
    """An absolute path of a directory that exists now; the workspace by default."""
    settings = call.services.settings.server
    path = str(settings.workspace) if workdir is None or not workdir.strip() else workdir
    checked_characters("workdir", path, longest=4096)
    if not path.startswith("/"):
        raise InvalidError(
            f"workdir: expected an absolute path; found {path[:200]!r}",
            code="workdir_relative",
            hint='"workdir": "$PWD" inside double quotes sends the present directory',
        )
    workdirs = call.services.workdirs
    if workdirs.seen(path):
        return path
    found = await call.services.work(kind_of, path)
    if found != "a directory":
        raise InvalidError(
            f"workdir: expected a directory that exists on the server's machine; {path[:200]!r} "
            f"is {found}",
            code="workdir_missing",
            hint="the directory must exist before the run is registered",
            next_actions=("GET /health says where runs start by default",),
        )
    workdirs.keep(path)
    return path


def _sweep_id(sweep: str | None) -> SweepId | None:
    if sweep is None or not sweep.strip():
        return None
    if not is_id(sweep, "swp"):
        raise sweep_missing(sweep)
    return SweepId(sweep)


def _parent_id(parent: str | None) -> RunId | None:
    if parent is None or not parent.strip():
        return None
    if not is_id(parent, "run"):
        raise run_missing(parent)
    return RunId(parent)


def _checked_dependencies(needed: Sequence[str]) -> tuple[RunId, ...]:
    """Ids as far as their form goes, each once; the handler says whether there are such runs."""
    if len(needed) > MOST_DEPENDENCIES:
        raise InvalidError(
            f"depends_on: expected at most {MOST_DEPENDENCIES} runs; found {len(needed)}",
            code="body_invalid",
            hint="depend on one run that itself depends on others",
        )
    for run in needed:
        if not is_id(run, "run"):
            raise run_missing(run)
    return tuple(RunId(run) for run in dict.fromkeys(needed))


def checked_gpuwrap(config: GpuWrap | None, texts: Texts) -> Any:
    """The old GPU settings, kept as they are; raises `InvalidError` outside their ranges."""
    if config is None:
        return None
    if config.retries is not None and not -1 <= config.retries <= LARGEST_INTEGER:
        raise InvalidError(
            f"gpuwrap_config.retries: expected -1 to {LARGEST_INTEGER}; found {config.retries}",
            code="body_invalid",
        )
    delay = config.retry_delay_seconds
    if delay is not None and not 0 < delay <= 600:
        raise InvalidError(
            "gpuwrap_config.retry_delay_seconds: expected more than 0 and at most 600; "
            f"found {delay}",
            code="body_invalid",
        )
    return texts.add_document(dataclasses.asdict(config))


def _checked_params(call: Call, given: Mapping[str, params.Value]) -> dict[str, str | int | bool]:
    """Parameters for the entry; a secret among them becomes a mark, and a warning (P6.6)."""
    words = {name: value for name, value in given.items() if isinstance(value, str)}
    shown, secrets = redact_environment(words, salt=call.services.clock.token_bytes(16))
    if secrets:
        detail = "params: a value looked like a secret and was replaced; pass secrets in env"
        call.warnings.append(Notice(code="secret_redacted", detail=detail))
    return params.encode({**given, **shown})


def tracker_notices(environment: Mapping[str, str], command: str) -> list[Notice]:
    """What whoever names a tracker of their own should know."""
    name = named_tracker(environment, command)
    if name is None:
        return []
    detail = (
        f"{name} names a tracker of your own: what the run logs with MLflow goes there and is not "
        "in its record. Leave it out, and it arrives here by itself"
    )
    return [Notice(code="tracker_named", detail=detail)]


def checked_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The same variables; raises `InvalidError` (env_invalid) for what no process could have."""
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidError(
                f"env: expected names of letters, digits and '_'; found {name[:80]!r}",
                code="env_invalid",
            )
        checked_characters(f"env.{name[:80]}", value)
    return environment


async def get(call: Call) -> Response:
    """One run, with its environment, its place in the queue and the last value of each metric.

    With `wait` it answers when the status changes or the time is up (P4.2); an ended run answers
    at once.
    """
    key = call.path["run"]
    run = await until_changed(
        call,
        lambda: call.services.read(lambda tx: find_run(tx, key)),
        stream=key,
        settled=lambda run: run.status in ENDED_STATUSES,
        status=lambda run: run.status,
    )
    return answers.json(await full_view(call, run))


async def full_view(call: Call, run: Run, **more: Any) -> RunView:
    """Everything that is known about one run."""
    state = await state_of(call.services, run.id, patience_seconds=SHORT_PATIENCE_SECONDS)
    return await call.services.work(_full_view, call, run, state, more)


def _full_view(call: Call, run: Run, state: State, more: dict[str, Any]) -> RunView:
    services = call.services
    with services.database.read() as tx:
        material = views.of_runs(tx, [run], in_list=False)
        told = reasons_for(tx, [run], room_for(call)).get(run.id)
    run_dir = str(services.runs_dir / run.id / run.attempt) if run.attempt else None
    return views.run_view(
        run,
        material,
        queue_position=None if told is None else told.queue_position,
        pending_reason=None if told is None else told.pending_reason,
        run_dir=run_dir,
        output_progress=_progress(services, run),
        **last_values(services.data.series, state),
        **more,
    )


def _progress(services: Services, run: Run) -> OutputProgress | None:
    """What the last progress bar at the end of a running run's output says."""
    if run.status is not Status.RUNNING or run.attempt is None:
        return None
    path = services.runs_dir / run.id / run.attempt / OUTPUT_FILE
    start, size = logs.locate(path, -BAR_BYTES)
    bar = last_bar(logs.read(path, offset=start, limit=size - start).decode("utf-8", "replace"))
    if bar is None:
        return None
    said_at = path.stat().st_mtime
    age = max(0.0, services.clock.now() / 1000 - said_at)
    return OutputProgress(
        fraction=bar.fraction,
        eta_seconds=None if bar.left_seconds is None else max(0.0, bar.left_seconds - age),
        label=bar.label,
        said_at=said_at,
    )


async def update(call: Call) -> Response:
    """Change name, command or working directory, before the start only (P3.4)."""
    body: UpdateRun = call.body
    texts = call.texts()
    workdir = body.workdir
    if workdir is not None:
        workdir = await checked_workdir(call, checked_text("workdir", workdir))
    demands = base = None
    if body.command is not None or _asks(body):
        base = (await call.services.read(lambda tx: find_run(tx, call.path["run"]))).demands
        demands = await demands_of(call, body, command=body.command, base=base)
    edit = await call.prepare(lambda: _edit(call, body, texts, workdir=workdir))
    edit = replace(edit, demands=demands, demands_base=base)
    accepted = await call.services.submit(edit, by=call.actor, texts=texts)
    assert accepted.run is not None  # noqa: S101 - an edit is about a run
    view = await full_view(call, accepted.run, receipt=accepted.receipt, warnings=call.warnings)
    return answers.json(view)


def _asks(body: Asked) -> bool:
    """Whether a body asks for anything."""
    return any(getattr(body, item.name) is not None for item in dataclasses.fields(Asked))


def _edit(call: Call, body: UpdateRun, texts: Texts, *, workdir: str | None) -> EditRun:
    """The command for a body; long texts take their time."""
    name, command = body.name, body.command
    return EditRun(
        run=find_id(call),
        name=None if name is None else texts.add(checked_text("name", name, longest=LONGEST_NAME)),
        command=None if command is None else texts.add(checked_text("command", command)),
        workdir=None if workdir is None else texts.add(workdir),
    )


def find_id(call: Call) -> RunId:
    """The run of the path, as far as its form goes; the handler says whether there is one."""
    key = call.path["run"]
    if not is_id(key, "run"):
        raise run_missing(key)
    return RunId(key)


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/runs",
        route=create,
        permission=Permission.CREATE,
        body=Body(CreateRun),
        answer=RunView,
        creates=True,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}",
        route=get,
        permission=Permission.READ,
        query=(WAIT,),
        answer=RunView,
        refusals=(404,),
    ),
    Endpoint(
        method="PUT",
        path="/runs/{run}",
        route=update,
        permission=Permission.CONTROL,
        body=Body(UpdateRun, optional=True),
        answer=RunView,
        refusals=(404, 409),
    ),
)
