"""Runs: registered trials, and what may happen to them (P3)."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from tallystick.api import answers, params, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_run, is_id, run_missing, sweep_missing
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import RunPage
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
from tallystick.db.database import Transaction
from tallystick.domain.commands import EditRun, RegisterRun
from tallystick.domain.ids import RunId, SessionId, SweepId
from tallystick.domain.run import Run
from tallystick.domain.status import ENDED_STATUSES, Status
from tallystick.errors import InvalidError
from tallystick.ledger.canonical import LARGEST_INTEGER
from tallystick.projections import runs
from tallystick.store.kept import Kept
from tallystick.store.points import Table, latest, read_lines
from tallystick.wire.requests import CreateRun, GpuWrap, UpdateRun
from tallystick.wire.views import RunView
from tallystick.wire.views import Warning as Notice

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
    command = await call.prepare(
        lambda: _registration(call, body, texts, workdir=workdir, sweep=sweep)
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    return await created(call, accepted, texts)


def _registration(
    call: Call, body: CreateRun, texts: Texts, *, workdir: str, sweep: str | None
) -> RegisterRun:
    """The command for a body; long texts take their time."""
    return RegisterRun(
        run=RunId(call.services.clock.new_id("run")),
        name=texts.add(checked_text("name", body.name, longest=LONGEST_NAME)),
        command=texts.add(checked_text("command", body.command)),
        workdir=texts.add(workdir),
        sweep=_sweep_id(sweep),
        environment=texts.add_environment(_checked_environment(body.env)) if body.env else None,
        params=_checked_params(call, body.params) if body.params else {},
        parent=_parent_id(body.parent_run_id),
        origin_alert=checked_alert(body.origin_alert_id),
        gpuwrap=checked_gpuwrap(body.gpuwrap_config, texts),
        session=checked_session(body.chat_session_id),
        session_of_sweep="sweep" in call.path,
        start=body.auto_start,
        request=call.mark(),
    )


async def created(call: Call, accepted: Accepted, texts: Texts) -> Response:
    """The answer to a request that made a run, from memory unless it is a repeat."""
    run = accepted.run
    assert run is not None  # noqa: S101 - the handler answers with what it created
    more: dict[str, Any] = {
        "receipt": accepted.receipt,
        "warnings": views.notices(run.violations) + call.warnings,
    }
    material = views.Material(texts=texts.known)
    if accepted.replayed:
        material = await call.services.read(lambda tx: views.of_runs(tx, [run], in_list=False))
    return answers.json(views.run_view(run, material, **more))


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


def _checked_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidError(
                f"env: expected names of letters, digits and '_'; found {name[:80]!r}",
                code="env_invalid",
            )
        checked_characters(f"env.{name[:80]}", value)
    return environment


async def list_runs(call: Call) -> Response:
    """Runs, newest first; never more than `limit`, so ask for pages with `cursor`."""
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    wanted, before = _filter(call.query), position_of(cursor)
    kept = call.services.listed
    items, after = await call.services.read(
        lambda tx: _page(tx, wanted, kept, limit=limit, before=before)
    )
    return answers.json(items if cursor is None else {"items": items, "next_cursor": after})


def _filter(query: Mapping[str, Any]) -> runs.RunFilter:
    archived = {"false": False, "true": None, "only": True}[query["archived"]]
    sweep, session, status = query["sweep_id"], query["chat_session_id"], query["status"]
    return runs.RunFilter(
        sweep=None if sweep is None else SweepId(sweep),
        session=None if session is None else SessionId(session),
        status=None if status is None else Status(status),
        archived=archived,
    )


def _page(
    tx: Transaction, wanted: runs.RunFilter, kept: Kept, *, limit: int, before: int | None
) -> tuple[list[orjson.Fragment], str | None]:
    """A page whose runs are shown from memory, but for those that an entry has moved since.

    All that a list says of a run follows from the entries of its stream, and so does the key.
    """
    found = runs.places(tx, wanted, limit=limit + 1, before=before)
    shown, after = page_of(found, limit, lambda place: place.created_seq)
    items = {place.id: kept.get((place.id, place.changed_seq)) for place in shown}
    moved = runs.many(tx, [run for run, item in items.items() if item is None])
    material = views.of_runs(tx, moved, in_list=True)
    for run in moved:
        item = answers.encode(views.run_view(run, material, in_list=True))
        kept.keep((run.id, run.changed_seq), item)
        items[run.id] = item
    return [orjson.Fragment(item) for item in items.values() if item is not None], after


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
    return await call.services.work(_full_view, call, run, more)


def _full_view(call: Call, run: Run, more: dict[str, Any]) -> RunView:
    services = call.services
    with services.database.read() as tx:
        material = views.of_runs(tx, [run], in_list=False)
        position = runs.queue_position(tx, run)
    table = Table()
    for tail in services.series.tails(run.id):
        read_lines(table, tail.splitlines())
    run_dir = str(services.runs_dir / run.id / run.attempt) if run.attempt else None
    return views.run_view(
        run, material, queue_position=position, run_dir=run_dir, metrics=latest(table), **more
    )


async def update(call: Call) -> Response:
    """Change name, command or working directory, before the start only (P3.4)."""
    body: UpdateRun = call.body
    texts = call.texts()
    workdir = body.workdir
    if workdir is not None:
        workdir = await checked_workdir(call, checked_text("workdir", workdir))
    edit = await call.prepare(lambda: _edit(call, body, texts, workdir=workdir))
    accepted = await call.services.submit(edit, by=call.actor, texts=texts)
    assert accepted.run is not None  # noqa: S101 - an edit is about a run
    view = await full_view(call, accepted.run, receipt=accepted.receipt, warnings=call.warnings)
    return answers.json(view)


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
        path="/runs",
        route=list_runs,
        permission=Permission.READ,
        query=(
            Query(name="sweep_id", description="Only runs of this sweep."),
            Query(name="chat_session_id", description="Only runs of this session."),
            Query(
                name="status",
                choices=tuple(status.value for status in Status),
                description="Only runs with this status.",
            ),
            Query(
                name="archived",
                default="false",
                choices=("false", "true", "only"),
                description="`true` includes archived runs, `only` shows nothing else.",
            ),
            page_size(1000, 100),
            CURSOR,
        ),
        answer=list[RunView] | RunPage,
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
