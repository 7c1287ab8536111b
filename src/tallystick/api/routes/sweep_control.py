"""What can be done to a sweep: start, stop, resume, put away (P2.2, P3.2).

Repeating a call is harmless: the answer says `already`, and nothing is written.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import is_id, sweep_missing
from tallystick.api.queries import Query
from tallystick.api.routes.runs import signals
from tallystick.api.routes.sweeps import full_view
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Empty
from tallystick.domain.commands import (
    ArchiveSweep,
    ResumeSweep,
    StartSweep,
    StopSweep,
    UnarchiveSweep,
)
from tallystick.domain.ids import SweepId
from tallystick.domain.sweep import Sweep
from tallystick.wire.sweep_views import SweepMoved

_PARALLEL: Final = Query(
    name="parallel",
    kind=int,
    minimum=1,
    maximum=100_000,
    description="Runs of this sweep at a time, until it is done. By default as many as there is "
    "room for; in a later call it changes the number.",
)


async def start(call: Call) -> Response:
    """Start every run of the sweep, now or as soon as there is room, to completion (P2.2).

    Makes the runs of a draft first. Runs that have ended are left alone: see resume.
    """
    command = StartSweep(sweep=_find_id(call), parallel=call.query["parallel"])
    return await _move(call, command, _started, _started_already)


async def stop(call: Call) -> Response:
    """End what is queued or active, and register nothing more; what is ready stays ready.

    Answers at once; each run is `stopped` when its last process is gone (P3.6).
    """
    return await _move(call, StopSweep(sweep=_find_id(call)), _stopped, _stopped_already)


async def resume(call: Call) -> Response:
    """Execute what is missing, failed, was lost or was stopped; what succeeded is left alone.

    A failed run gets another attempt: it keeps its id, and the record of the old one.
    """
    command = ResumeSweep(sweep=_find_id(call), parallel=call.query["parallel"])
    return await _move(call, command, _resumed, "Nothing is left to resume")


async def archive(call: Call) -> Response:
    """Take the sweep out of the ordinary lists; nothing of it is deleted."""
    command = ArchiveSweep(sweep=_find_id(call))
    return await _move(call, command, lambda _sweep: "Sweep archived", "Sweep was archived already")


async def unarchive(call: Call) -> Response:
    """Put the sweep back into the ordinary lists."""
    command = UnarchiveSweep(sweep=_find_id(call))
    return await _move(call, command, lambda _sweep: "Sweep unarchived", "Sweep was not archived")


def _find_id(call: Call) -> SweepId:
    """The sweep of the path, as far as its form goes; the handler says whether there is one."""
    key = call.path["sweep"]
    if not is_id(key, "swp"):
        raise sweep_missing(key)
    return SweepId(key)


async def _move(
    call: Call,
    command: StartSweep | StopSweep | ResumeSweep | ArchiveSweep | UnarchiveSweep,
    message: Callable[[Sweep], str],
    already: str | Callable[[Sweep], str],
) -> Response:
    """Ask, and answer with the sweep as it is now."""
    accepted = await call.services.submit(command, by=call.actor)
    sweep = accepted.sweep
    assert sweep is not None  # noqa: S101 - the command is about a sweep
    view = await call.services.read(lambda tx: full_view(tx, sweep))
    starts = isinstance(command, StartSweep | ResumeSweep)
    if accepted.records:
        said = message(sweep)
    else:
        said = already if isinstance(already, str) else already(sweep)
    answer = SweepMoved(
        message=said,
        sweep_id=sweep.id,
        already=not accepted.records,
        sweep=view,
        receipt=accepted.receipt,
        warnings=call.warnings + (await signals(call, accepted) if starts else []),
    )
    return answers.json(answer)


def _started(sweep: Sweep) -> str:
    """In the words that older agents read."""
    total = sweep.runs.total + sweep.unregistered
    return f"Started {sweep.to_queue + sweep.unregistered}/{total} runs"


def _started_already(sweep: Sweep) -> str:
    return "Sweep is paused: resume goes on" if sweep.paused else "Sweep was started already"


def _stopped(sweep: Sweep) -> str:
    return "Sweep is being stopped" if sweep.to_stop else "Sweep stopped"


def _stopped_already(sweep: Sweep) -> str:
    return "Sweep is being stopped already" if sweep.to_stop else "Sweep was stopped already"


def _resumed(sweep: Sweep) -> str:
    going = sweep.to_queue + sweep.to_requeue + sweep.unregistered
    return f"Resumed {going}/{sweep.runs.total + sweep.unregistered} runs"


def _action(path: str, route: Callable[[Call], Awaitable[Response]], *query: Query) -> Endpoint:
    """An endpoint without fields in its body."""
    return Endpoint(
        method="POST",
        path=f"/sweeps/{{sweep}}/{path}",
        route=route,
        permission=Permission.CONTROL,
        query=query,
        body=Body(Empty, optional=True),
        answer=SweepMoved,
        refusals=(404, 409),
    )


ENDPOINTS: Final = (
    _action("start", start, _PARALLEL),
    _action("stop", stop),
    _action("resume", resume, _PARALLEL),
    _action("archive", archive),
    _action("unarchive", unarchive),
)
