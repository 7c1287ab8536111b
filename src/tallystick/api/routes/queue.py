"""The queue: who waits, in which order, and why (P3.2).

Every waiting run says in words what would have to change for it to start; nobody has to compute
capacity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.call import Call
from tallystick.api.health import health_view, standing
from tallystick.api.paging import CURSOR, page_size, position_of
from tallystick.api.routing import Endpoint, Permission
from tallystick.control.scheduler import room_of
from tallystick.db.database import Transaction
from tallystick.domain.ids import RunId
from tallystick.domain.reasons import NotStarted
from tallystick.domain.run import Run
from tallystick.domain.status import Phase
from tallystick.projections import runs
from tallystick.projections.line import Queue, Waiting
from tallystick.projections.queue import Room
from tallystick.wire.queue_views import QueuedRunView, QueueView


@dataclass(frozen=True, slots=True)
class Told:
    """What a run's view says of its waiting."""

    pending_reason: str
    queue_position: int | None = None


def room_for(call: Call) -> Room:
    """What the server may use now, as the queue is asked with.

    It looks at the host, which may take a moment: not to be called on the event loop.
    """
    services = call.services
    now = services.clock.now()
    return room_of(services.backend, services.settings.execution, now=now)


def reasons_for(tx: Transaction, found: Sequence[Run], room: Room) -> dict[str, Told]:
    """Why each run among `found` that is ready or queued waits, and its place in line.

    The queue is read only when one of them is in it; in one pass for all of them.
    """
    if any(run.phase is Phase.QUEUED for run in found):
        return _told(Queue(tx, room).waiting(found), now=room.now)
    return {
        run.id: Told(NotStarted(run.id).words(now=room.now))
        for run in found
        if run.phase is Phase.READY
    }


def _told(waiting: Mapping[RunId, Waiting], *, now: int) -> dict[str, Told]:
    """In words."""
    return {run: Told(one.reason.words(now=now), one.position) for run, one in waiting.items()}


async def get(call: Call) -> Response:
    """The queue in the order in which it starts, why each run waits, and what is free.

    Sessions take turns by their share of the machine; within one, priority decides, then age. A
    position is exact for runs that ask for the same; one that must wait for something besides (a
    dependency, a retry's pause, a paused sweep, a budget) has none.
    """
    limit: int = call.query["limit"]
    first = position_of(call.query["cursor"]) or 1
    answer = await call.services.read(
        lambda tx: _page(tx, room_for(call), first=first, limit=limit)
    )
    return answers.json(answer)


def _page(tx: Transaction, room: Room, *, first: int, limit: int) -> QueueView:
    """One page of the queue and the state of the machine, of one moment."""
    queue = Queue(tx, room)
    ids = queue.page(first=first, limit=limit + 1)
    by_id = {run.id: run for run in runs.many(tx, ids)}
    shown = [by_id[key] for key in ids[:limit] if key in by_id]
    told = _told(queue.waiting(shown), now=room.now)
    material = views.Material(texts=views.load_texts(tx, [run.name for run in shown]))
    machine = health_view(standing(tx), room.capacity)
    return QueueView(
        capacity=machine.capacity,
        slots_used=machine.running,
        devices=machine.devices,
        sessions=machine.sessions,
        draining=machine.draining,
        queued=machine.queue_depth,
        in_line=queue.in_line,
        items=[_item(run, material, told[run.id]) for run in shown],
        next_cursor=str(first + limit) if len(ids) > limit else None,
    )


def _item(run: Run, material: views.Material, told: Told) -> QueuedRunView:
    """One run of the page."""
    asked = run.demands
    return QueuedRunView(
        position=told.queue_position,
        id=run.id,
        name=material.text(run.name) or "",
        chat_session_id=run.session,
        sweep_id=run.sweep,
        priority=asked.priority,
        cpus=asked.cpus,
        gpus=asked.gpus,
        gpu_memory_mb=asked.gpu_memory_mb,
        memory_mb=asked.memory_mb,
        pinned_gpus=list(asked.pins),
        pending_reason=told.pending_reason,
        attempts=run.attempts,
        queued_at=views.optional_seconds(run.queued_at),
        retry_at=views.optional_seconds(run.not_before),
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/queue",
        route=get,
        permission=Permission.READ,
        query=(page_size(1000, 100), CURSOR),
        answer=QueueView,
    ),
)
