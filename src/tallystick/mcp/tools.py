"""What the tools do: a few calls of the SDK each, blocking, on a worker thread.

Every function takes who asks (`Asked`) and the arguments, and answers what it found and the words
beside it. What the server refuses is raised as it is, and becomes a result in `refusals.py`.
"""

from dataclasses import fields
from itertools import islice
from typing import Any

from tallystick.errors import InvalidError, NotFoundError
from tallystick.mcp import arguments
from tallystick.mcp.about import about_run, about_sweep, call, wait_for
from tallystick.mcp.answers import (
    ENDED,
    BriefAnswer,
    RunList,
    Said,
    notices_of,
    run_line,
    run_of,
)
from tallystick.mcp.asked import Asked
from tallystick.wire.demands import RunDemands
from tallystick.wire.requests import GpuWrap
from tallystick.wire.sweep_requests import DeclareSweep, UpdateSweep
from tallystick.wire.views import SweepView

LISTED_LINES = 15


def register_sweep(asked: Asked, given: arguments.RegisterSweep) -> Said:
    """A container for runs, empty (P2.1)."""
    view = asked.create(
        lambda session: asked.client.create_sweep(
            given.name, goal=given.goal, session=session, key=given.idempotency_key
        )
    )
    fill = {"sweep_id": view.id, "command": "…", "parameters": {"lr": [0.1, 0.01]}}
    return about_sweep(asked, view, said="registered", calls=[call("submit_runs", **fill)])


def register_run(asked: Asked, given: arguments.RegisterRun) -> Said:
    """One trial (P3.1)."""
    view = asked.create(
        lambda session: asked.client.create_run(
            given.name,
            given.command,
            sweep=given.sweep_id,
            workdir=given.workdir,
            env=given.env,
            params=given.params,
            auto_start=given.auto_start,
            session=session,
            key=given.idempotency_key,
            **_demands(asked, given),
        )
    )
    return about_run(asked, view, said="registered")


def submit_runs(asked: Asked, given: arguments.SubmitRuns) -> Said:
    """A declared space of configurations, in a sweep of its own or in one without runs (P2.2)."""
    view = _fill(asked, given, given.sweep_id) if given.sweep_id else _declare(asked, given)
    return about_sweep(asked, view, said="submitted", calls=[wait_for(view)])


def get_run(asked: Asked, given: arguments.GetRun) -> Said:
    """One run as it is now, and the end of its output when asked for."""
    view = asked.client.run(given.run_id)
    output = None
    if given.output_bytes:
        output = asked.client.logs(view.id, offset=-given.output_bytes, limit=given.output_bytes)
    return about_run(asked, view, output=None if output is None else output.content)


def list_runs(asked: Asked, given: arguments.ListRuns) -> Said:
    """Runs, newest first unless `sort` says otherwise."""
    session = _own_session(asked) if given.mine else None
    found = asked.client.runs(
        sweep=given.sweep_id,
        session=session,
        status=given.status,
        filter=given.filter,
        sort=given.sort,
        limit=given.limit + 1,
    )
    views = list(islice(found, given.limit + 1))
    runs = [run_of(view) for view in views[: given.limit]]
    more = len(views) > given.limit
    answer = RunList(
        session_source=asked.source, runs=runs, more=more, warnings=notices_of(asked.warnings)
    )
    lines = [f"{len(runs)} runs" + (", and there are more" if more else "")]
    lines += [run_line(run) for run in runs[:LISTED_LINES]]
    if len(runs) > LISTED_LINES:
        lines.append(f"… and {len(runs) - LISTED_LINES} more in the structured answer")
    return Said(answer=answer, lines=lines)


def get_sweep(asked: Asked, given: arguments.GetSweep) -> Said:
    """One sweep as it is now."""
    view = asked.client.sweep(given.sweep_id)
    calls = [] if view.status in ENDED or not view.run_ids else [wait_for(view)]
    return about_sweep(asked, view, calls=calls)


def get_brief(asked: Asked, _: arguments.GetBrief) -> Said:
    """What a conversation did and has to do; one that did nothing yet has an empty brief."""
    session = _own_session(asked)
    try:
        text = asked.client.brief(session).text
    except NotFoundError:
        text = "This conversation has not registered anything yet."
    answer = BriefAnswer(
        session_source=asked.source, session=session, text=text, warnings=notices_of(asked.warnings)
    )
    return Said(answer=answer, lines=text.splitlines())


def create_run(asked: Asked, given: arguments.CreateRun) -> Said:
    """A run by the name and the arguments that older agents know."""
    wrap = given.gpuwrap_config
    view = asked.create(
        lambda session: asked.client.create_run(
            given.name,
            given.command,
            sweep=given.sweep_id,
            workdir=given.workdir,
            auto_start=given.launch_policy != "ready",
            session=session,
            gpuwrap=None if wrap is None else GpuWrap(**wrap.model_dump()),
            tags=[asked.tag],
        )
    )
    return about_run(asked, view, said="registered")


def start_run(asked: Asked, given: arguments.StartRun) -> Said:
    """Let the queue start a run that is ready (P3.2)."""
    return about_run(asked, asked.client.start_run(given.run_id), said="started")


def _declare(asked: Asked, given: arguments.SubmitRuns) -> SweepView:
    """A new sweep of exactly these points."""
    space = _space(given)
    name = given.name or " ".join(given.command.split())[:60] or "sweep"
    demands = _demands(asked, given)
    return asked.create(
        lambda session: asked.client.declare_sweep(
            DeclareSweep(
                name=name,
                goal=given.goal,
                auto_start=given.auto_start,
                parallel=given.parallel,
                chat_session_id=session,
                **{**space, **demands},
            ),
            key=given.idempotency_key,
        )
    )


def _fill(asked: Asked, given: arguments.SubmitRuns, sweep: str) -> SweepView:
    """The points of a sweep that has no runs yet; raises `ConflictError` for one that has."""
    known = {field.name for field in fields(UpdateSweep)}
    changes = {**_space(given), **_demands(asked, given)}
    changes |= {"name": given.name, "goal": given.goal}
    left = {name: value for name, value in changes.items() if name in known and value is not None}
    if given.auto_start and given.parallel is None:
        left["status"] = "running"
    view = asked.client.edit_sweep(sweep, **left)
    if given.auto_start and given.parallel is not None:
        moved = asked.client.start_sweep(sweep, parallel=given.parallel)
        view = moved.sweep
    return view


def _space(given: arguments.SubmitRuns) -> dict[str, Any]:
    """What declares the points; what was not said is left out."""
    said: dict[str, Any] = {
        "base_command": given.command,
        "parameters": given.parameters,
        "points": given.points,
        "seeds": given.seeds,
        "samples": given.samples,
        "placement": given.placement,
        "workdir": given.workdir,
        "env": given.env,
    }
    return {name: value for name, value in said.items() if value is not None}


def _demands(asked: Asked, given: arguments.Needs) -> RunDemands:
    """What each run needs, and the words to find it by."""
    demands = RunDemands(tags=[*(given.tags or ()), asked.tag])
    if given.gpus is not None:
        demands["gpus"] = given.gpus
    if given.cpus is not None:
        demands["cpus"] = given.cpus
    if given.memory_mb is not None:
        demands["memory_mb"] = given.memory_mb
    if given.timeout_seconds is not None:
        demands["timeout_seconds"] = given.timeout_seconds
    if given.retries is not None:
        demands["retries"] = given.retries
    return demands


def _own_session(asked: Asked) -> str:
    """The session of whoever asks; raises `InvalidError` where nothing names it."""
    if asked.found.id:
        return asked.found.id
    raise InvalidError(
        "expected a conversation to look for; found none",
        code="session_required",
        hint="send chat_session_id, or list the runs of a sweep with sweep_id",
    )
