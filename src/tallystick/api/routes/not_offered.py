"""Calls that older agents know and that are not offered: each names the call to make instead.

They are no part of the OpenAPI document; whoever has a token learns from the refusal.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.responses import Response

from tallystick.api.call import Call
from tallystick.api.problems import MethodError
from tallystick.api.routing import Endpoint, Permission
from tallystick.errors import NotFoundError

_WATCH: Final = "GET /runs/{id}?wait=55 answers when a run's status changes"
_EVENTS: Final = "GET /events?session=<chat_session_id> streams what happened"
_OWN_LOOP: Final = "keep your own loop; register each trial with POST /runs"
_EDITOR: Final = "use git and your own editor on the machine"
_SCREEN: Final = "GET /sessions/{id} and GET /runs?chat_session_id=<id> show what was done"

TABLE: Final[tuple[tuple[str, str, str], ...]] = (
    ("GET", "/runs/{run}/sidecar-logs", "GET /runs/{id}/logs"),
    ("GET", "/runs/{run}/sidecar-logs/stream", "GET /runs/{id}/logs/stream"),
    ("POST", "/runs/{run}/status", "only the kernel's word ends a run; POST /runs/{id}/stop"),
    ("POST", "/wild/v2/start", _OWN_LOOP),
    ("POST", "/wild/v2/stop", "POST /runs/{id}/stop for each run that should end"),
    ("POST", "/wild/v2/pause", _OWN_LOOP),
    ("POST", "/wild/v2/resume", _OWN_LOOP),
    ("POST", "/wild/v2/steer", _OWN_LOOP),
    ("GET", "/wild/v2/status", "GET /wild/v2/system-health, GET /sessions/{id}"),
    ("GET", "/wild/v2/plan/{session}", "GET /sweeps?chat_session_id=<id> shows what is planned"),
    ("GET", "/wild/v2/iteration-log/{session}", _EVENTS),
    ("GET", "/wild/v2/evo-sweep/{rest*}", "GET /sweeps/{id}"),
    ("POST", "/wild/v2/evo-sweep/{rest*}", "POST /sweeps/wild"),
    ("GET", "/wild-mode", "GET /policy"),
    ("POST", "/wild-mode", "PUT /policy, by a person"),
    ("POST", "/sessions", "send chat_session_id with POST /sweeps/wild; that opens the session"),
    ("POST", "/sessions/{session}/{rest*}", _SCREEN),
    ("GET", "/sessions/{session}/{rest*}", _SCREEN),
    ("POST", "/chat", _SCREEN),
    ("GET", "/models", _SCREEN),
    ("POST", "/models", _SCREEN),
    ("GET", "/plans", "POST /sweeps/wild with the plan as its goal"),
    ("POST", "/plans", "POST /sweeps/wild with the plan as its goal"),
    ("GET", "/plans/{rest*}", "GET /sweeps/{id}"),
    ("POST", "/plans/{rest*}", "POST /sweeps/wild with the plan as its goal"),
    ("GET", "/journey/{rest*}", _EVENTS),
    ("POST", "/journey/{rest*}", "the ledger records what happens by itself; GET /events"),
    ("GET", "/memories", _SCREEN),
    ("POST", "/memories", _SCREEN),
    ("GET", "/memories/{rest*}", _SCREEN),
    ("POST", "/memories/{rest*}", _SCREEN),
    ("GET", "/git/{rest*}", _EDITOR),
    ("POST", "/git/{rest*}", _EDITOR),
    ("GET", "/integrations/slack/{rest*}", _WATCH),
    ("POST", "/integrations/slack/{rest*}", _WATCH),
)
"""Method, path, what to do instead."""

OFFERED: Final[Mapping[str, str]] = {
    "/sessions": "GET",
}
"""Paths of the table that are offered with another method: 405 then, and not 404."""


def _refusing(method: str, path: str, instead: str) -> Callable[[Call], Awaitable[Response]]:
    async def refuse(_call: Call) -> Response:
        """Refuse, and name the call to make instead."""
        said = f"{method} {path} is not offered by this server"
        allowed = OFFERED.get(path)
        if allowed is not None:
            raise MethodError(
                said, code="not_offered", hint=instead, next_actions=(instead,), allowed=[allowed]
            )
        raise NotFoundError(said, code="not_offered", hint=instead, next_actions=(instead,))

    return refuse


ENDPOINTS: Final = tuple(
    Endpoint(
        method=method,
        path=path,
        route=_refusing(method, path, instead),
        permission=Permission.READ,
        hidden=True,
    )
    for method, path, instead in TABLE
)
