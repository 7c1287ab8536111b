"""Sweeps: containers of related runs (P2)."""

from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_sweep
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routes.runs import register
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import SweepPage
from tallystick.api.sweep_views import of_sweeps, sweep_view
from tallystick.api.texts import LONGEST_NAME, checked_characters, checked_session
from tallystick.api.waiting import WAIT, until_changed
from tallystick.db.database import Transaction
from tallystick.domain.commands import CreateSweep
from tallystick.domain.ids import SweepId
from tallystick.domain.sweep import Sweep
from tallystick.projections import queue, sweeps
from tallystick.wire.requests import CreateRun, CreateWildSweep
from tallystick.wire.views import RunView, SweepView
from tallystick.wire.views import Warning as Notice

LONGEST_GOAL: Final = 20_000
"""Characters of a goal."""

_UNNAMED: Final = CreateWildSweep().name


async def create_wild(call: Call) -> Response:
    """Create a sweep: a user-visible container for related runs (P2.1).

    Everything but `chat_session_id` may be left out. Keep the `id`: runs are created in it.
    """
    body: CreateWildSweep = call.body
    texts = call.texts()
    name = checked_characters("name", body.name, longest=LONGEST_NAME)
    goal = checked_characters("goal", body.goal, longest=LONGEST_GOAL)
    command = CreateSweep(
        sweep=SweepId(call.services.clock.new_id("swp")),
        name=texts.add(name if name.strip() else _UNNAMED),
        goal=texts.add(goal),
        session=checked_session(body.chat_session_id),
        request=call.mark(),
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    assert accepted.sweep is not None  # noqa: S101 - the handler answers with what it created
    more: dict[str, Any] = {
        "receipt": accepted.receipt,
        "warnings": views.notices(accepted.sweep.violations) + call.warnings,
    }
    if accepted.replayed:
        return await _answer_again(call, accepted.subject, more)
    material = views.Material(texts=texts.known)
    return answers.json(sweep_view(accepted.sweep, material, [], **more))


async def _answer_again(call: Call, sweep: str, more: dict[str, Any]) -> Response:
    """The original of a repeated request."""
    return answers.json(
        await call.services.read(lambda tx: full_view(tx, find_sweep(tx, sweep), **more))
    )


async def list_sweeps(call: Call) -> Response:
    """Sweeps, newest first, each with the ids of its first 50 runs."""
    limit: int = call.query["limit"]
    cursor: str | None = call.query["cursor"]
    session: str | None = call.query["chat_session_id"]
    before = position_of(cursor)
    archived = {"false": False, "true": None, "only": True}[call.query["archived"]]

    def ask(tx: Transaction) -> tuple[list[SweepView], str | None]:
        found = sweeps.page(tx, limit=limit + 1, before=before, session=session, archived=archived)
        shown, after = page_of(found, limit, lambda sweep: sweep.created_seq)
        material, ids = of_sweeps(tx, shown, in_list=True)
        items = [
            sweep_view(sweep, material, ids.get(sweep.id, []), in_list=True) for sweep in shown
        ]
        return items, after

    items, after = await call.services.read(ask)
    return answers.json(items if cursor is None else SweepPage(items=items, next_cursor=after))


async def get_sweep(call: Call) -> Response:
    """One sweep; its status and progress follow from its runs (P2.3).

    With `wait` it answers when the status changes or the time is up (P4.2).
    """
    key = call.path["sweep"]
    sweep = await until_changed(
        call,
        lambda: call.services.read(lambda tx: find_sweep(tx, key)),
        stream=key,
        settled=_settled,
        status=lambda sweep: sweep.status,
    )
    return answers.json(await call.services.read(lambda tx: full_view(tx, sweep)))


def _settled(sweep: Sweep) -> bool:
    """Whether nothing in it is on its way; a sweep without runs may still get some."""
    return 0 < sweep.runs.total == sweep.runs.ended and not sweep.unsettled


def full_view(tx: Transaction, sweep: Sweep, **more: Any) -> SweepView:
    """One sweep, whole."""
    material, ids = of_sweeps(tx, [sweep], in_list=False)
    reason = queue.held_up(tx, sweep) if sweep.runs.queued else None
    held_up = None if reason is None else reason.words(now=0)
    return sweep_view(sweep, material, ids.get(sweep.id, []), held_up=held_up, **more)


async def create_run(call: Call) -> Response:
    """Register one trial in this sweep (P3.1); `sweep_id` in the body is not looked at.

    Without `chat_session_id` the run belongs to the sweep's session.
    """
    body: CreateRun = call.body
    if body.sweep_id and body.sweep_id != call.path["sweep"]:
        detail = "sweep_id: the sweep in the path was used, not this one"
        call.warnings.append(Notice(code="sweep_id_overridden", detail=detail))
    return await register(call, body, sweep=call.path["sweep"])


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/sweeps/wild",
        route=create_wild,
        permission=Permission.CREATE,
        body=Body(CreateWildSweep, optional=True),
        answer=SweepView,
        creates=True,
    ),
    Endpoint(
        method="GET",
        path="/sweeps",
        route=list_sweeps,
        permission=Permission.READ,
        query=(
            page_size(1000, 50),
            CURSOR,
            Query(name="chat_session_id", description="Only sweeps of this session."),
            Query(
                name="archived",
                default="false",
                choices=("false", "true", "only"),
                description="`true` includes archived sweeps, `only` shows nothing else.",
            ),
        ),
        answer=list[SweepView] | SweepPage,
    ),
    Endpoint(
        method="GET",
        path="/sweeps/{sweep}",
        route=get_sweep,
        permission=Permission.READ,
        query=(WAIT,),
        answer=SweepView,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/sweeps/{sweep}/runs",
        route=create_run,
        permission=Permission.CREATE,
        body=Body(CreateRun),
        answer=RunView,
        creates=True,
        refusals=(404,),
    ),
)
