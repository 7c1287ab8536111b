"""Budgets: how many runs, how much GPU time, how long; set by people, known to everybody."""

from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body, given
from tallystick.api.call import Call
from tallystick.api.finding import find_sweep, is_id
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.views import seconds
from tallystick.db.database import Transaction
from tallystick.domain.budget import Budget, scope_of, session_in
from tallystick.domain.commands import SetBudget
from tallystick.domain.ids import SessionId
from tallystick.errors import InvalidError, NotFoundError
from tallystick.projections import activity, sessions, totals
from tallystick.projections.activity import Use
from tallystick.wire.signal_requests import PutBudget
from tallystick.wire.signal_views import BudgetUse, BudgetView

_MS_PER_HOUR: Final = 3_600_000
_MOST_RUNS: Final = 1_000_000
_MOST_HOURS: Final = 10_000_000.0


async def list_budgets(call: Call) -> Response:
    """Every budget that is set, with what of it is used."""
    now = call.services.clock.now()

    def ask(tx: Transaction) -> list[BudgetView]:
        limited = [one for one in totals.budgets(tx) if _is_limited(one)]
        used = activity.uses(tx, [one.id for one in limited], now=now)
        return [_view(one, used.get(one.id, Use())) for one in limited]

    return answers.json(await call.services.read(ask))


async def get(call: Call) -> Response:
    """The budget of a sweep or a session, and what of it is used; without one, only what is used.

    A scope is the id of a sweep, or the id of a session (`session:` before it, if you like).
    """
    return answers.json(await call.services.read(lambda tx: _found(tx, call)))


async def put(call: Call) -> Response:
    """Set or change a budget; people only. What is left out stays, null removes a limit.

    At 80 % of a limit it is warned of, once. At 100 % of `runs` further ones are refused; at 100 %
    of hours nothing more is started, and with the action `stop` what is active is ended, too.
    """
    body: PutBudget = call.body
    sent = given(call.raw)
    fields = {"runs": "runs", "gpu_ms": "gpu_hours", "wall_ms": "wall_hours"}
    command = SetBudget(
        scope=await call.services.read(lambda tx: _scope(tx, call.path["scope"])),
        runs=_runs(body.runs),
        gpu_ms=_ms("gpu_hours", body.gpu_hours),
        wall_ms=_ms("wall_hours", body.wall_hours),
        action=body.action,
        kept=tuple(kind for kind, field in fields.items() if field not in sent),
    )
    accepted = await call.services.submit(command, by=call.actor)
    more = {"receipt": accepted.receipt, "already": not accepted.records}
    return answers.json(await call.services.read(lambda tx: _found(tx, call, **more)))


def _present(tx: Transaction, text: str) -> tuple[str, Budget]:
    """The scope of a path, and the budget that it has, perhaps an empty one."""
    scope = _scope(tx, text)
    return scope, totals.budget(tx, scope) or Budget(id=scope)


def _scope(tx: Transaction, text: str) -> str:
    """The scope that a path names; raises `NotFoundError` when there is no such thing."""
    if is_id(text, "swp"):
        return find_sweep(tx, text).id
    named = session_in(text)
    session = sessions.get(tx, named) if named is not None else None
    if session is None:
        session = sessions.get(tx, text)
    if session is None:
        raise NotFoundError(
            f"there is no sweep and no session {text[:80]!r}",
            code="scope_not_found",
            next_actions=("GET /sweeps lists sweeps", "GET /sessions lists sessions"),
        )
    return scope_of(SessionId(session.id))


def _found(tx: Transaction, call: Call, **more: Any) -> BudgetView:
    scope, budget = _present(tx, call.path["scope"])
    used = activity.uses(tx, [scope], now=call.services.clock.now())
    return _view(budget, used.get(scope, Use()), **more)


def _view(budget: Budget, use: Use, **more: Any) -> BudgetView:
    session = session_in(budget.id)
    return BudgetView(
        scope=budget.id,
        sweep_id=budget.id if session is None else None,
        session_id=session,
        action=budget.action,
        runs=_use(budget, "runs", use, unit=1),
        gpu_hours=_use(budget, "gpu", use, unit=_MS_PER_HOUR),
        wall_hours=_use(budget, "wall", use, unit=_MS_PER_HOUR),
        set_at=seconds(budget.set_at) if budget.set_at else None,
        **more,
    )


def _use(budget: Budget, kind: str, use: Use, *, unit: int) -> BudgetUse:
    limit, used = budget.limit(kind), use.of(kind)
    return BudgetUse(
        limit=None if limit is None else limit / unit,
        used=used / unit,
        share=None if not limit else used / limit,
        warned=kind in budget.warned,
        reached=kind in budget.reached,
    )


def _is_limited(budget: Budget) -> bool:
    return any(limit is not None for limit in (budget.runs, budget.gpu_ms, budget.wall_ms))


def _runs(count: int | None) -> int | None:
    if count is not None and not 0 <= count <= _MOST_RUNS:
        raise _outside("runs", count, _MOST_RUNS)
    return count


def _ms(name: str, hours: float | None) -> int | None:
    if hours is not None and not 0 <= hours <= _MOST_HOURS:
        raise _outside(name, hours, int(_MOST_HOURS))
    return None if hours is None else round(hours * _MS_PER_HOUR)


def _outside(name: str, found: float, most: int) -> InvalidError:
    return InvalidError(
        f"{name}: expected 0 to {most}, or null; found {found}", code="body_invalid"
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/budgets",
        route=list_budgets,
        permission=Permission.READ,
        answer=list[BudgetView],
    ),
    Endpoint(
        method="GET",
        path="/budgets/{scope}",
        route=get,
        permission=Permission.READ,
        answer=BudgetView,
        refusals=(404,),
    ),
    Endpoint(
        method="PUT",
        path="/budgets/{scope}",
        route=put,
        permission=Permission.PEOPLE,
        body=Body(PutBudget, refuse_unknown=True),
        answer=BudgetView,
        refusals=(404,),
    ),
)
