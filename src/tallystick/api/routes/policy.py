"""The compliance policy in force; only people may set it (P1.2)."""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.routing import Endpoint, Permission
from tallystick.domain.commands import SetPolicy
from tallystick.domain.ids import Enforcement
from tallystick.projections import totals
from tallystick.wire.requests import UpdatePolicy
from tallystick.wire.views import PolicyView


async def get(call: Call) -> Response:
    """What happens to requests without a session or a sweep."""
    found = await call.services.read(totals.policy)
    return answers.json(PolicyView(session=found.session, sweep=found.sweep))


async def put(call: Call) -> Response:
    """Set the policy; fields that are left out stay as they are."""
    body: UpdatePolicy = call.body
    command = SetPolicy(
        session=None if body.session is None else Enforcement(body.session),
        sweep=None if body.sweep is None else Enforcement(body.sweep),
    )
    accepted = await call.services.submit(command, by=call.actor)
    policy = accepted.policy
    return answers.json(
        PolicyView(session=policy.session, sweep=policy.sweep, receipt=accepted.receipt)
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/policy",
        route=get,
        permission=Permission.READ,
        answer=PolicyView,
    ),
    Endpoint(
        method="PUT",
        path="/policy",
        route=put,
        permission=Permission.PEOPLE,
        body=Body(UpdatePolicy, refuse_unknown=True),
        answer=PolicyView,
    ),
)
