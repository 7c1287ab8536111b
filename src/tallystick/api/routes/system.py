"""What is open to everybody: health, the start page, the documentation; and system health."""

from pathlib import Path
from typing import Final

import swagger_ui_bundle
from starlette.responses import Response

from tallystick.api import answers, pages
from tallystick.api.call import Call
from tallystick.api.health import health_view, standing, with_place
from tallystick.api.routes.queue import room_for
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Health
from tallystick.errors import NotFoundError
from tallystick.wire.signal_views import SystemHealth

_UI: Final = Path(str(swagger_ui_bundle.swagger_ui_path))
_FILES: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""The parts of swagger-ui that the page needs; the rest is not handed out."""


async def health(call: Call) -> Response:
    """Whether the server answers and can write, and how long its ledger is."""
    return answers.json(_health(call))


def _health(call: Call) -> Health:
    services = call.services
    broken = services.handler.broken
    return Health(
        status="ok" if broken is None else "read_only",
        service="tallystick",
        version=services.version,
        workdir=str(services.settings.server.workspace),
        ledger_size=services.ledger.size,
        ledger_origin=services.ledger.origin,
        reason=None if broken is None else broken.detail,
    )


async def start_page(call: Call) -> Response:
    """A page for people; the health document for programs that ask for JSON."""
    if "application/json" in call.request.headers.get("accept", ""):
        return await health(call)
    return answers.html(pages.start(_health(call)))


async def docs(_call: Call) -> Response:
    """Every call, to be read and tried in a browser; works without a network."""
    return answers.html(pages.DOCS, policy=pages.DOCS_POLICY)


async def docs_file(call: Call) -> Response:
    """The parts of the documentation page."""
    name = call.path["file"]
    if name in pages.OWN_FILES:
        content, media_type = pages.OWN_FILES[name]
        return answers.text(content, media_type)
    if name not in _FILES:
        raise NotFoundError(f"there is no /docs/{name[:80]}", next_actions=("GET /docs",))
    content_bytes = await call.services.work((_UI / name).read_bytes)
    return Response(
        content_bytes,
        headers={"content-type": _FILES[name], "cache-control": "public, max-age=86400"},
    )


async def openapi_json(call: Call) -> Response:
    """This document."""
    return answers.raw_json(await call.gate.document())


async def llms_txt(call: Call) -> Response:
    """Where an agent starts reading."""
    return answers.text(pages.llms(call.services.skills))


async def system_health(call: Call) -> Response:
    """How many runs are where, how many more could start now, and on what.

    Runs are counted as every list counts them: archived ones are left out, launching ones hold
    their place, and `free` is 0 while nothing is started. An agent needs none of it to start runs:
    what does not fit waits in the queue.
    """
    services = call.services
    room = await services.work(room_for, call)
    now = await services.read(standing)
    view = health_view(now, room.capacity)
    data_dir = services.settings.server.data_dir
    size = services.ledger.size
    return answers.json(
        await services.work(lambda: with_place(view, ledger_size=size, data_dir=data_dir))
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/",
        route=start_page,
        permission=Permission.OPEN,
        media_type="text/html",
        also=("application/json",),
    ),
    Endpoint(
        method="GET",
        path="/health",
        route=health,
        permission=Permission.OPEN,
        answer=Health,
    ),
    Endpoint(
        method="GET",
        path="/docs",
        route=docs,
        permission=Permission.OPEN,
        media_type="text/html",
    ),
    Endpoint(
        method="GET",
        path="/docs/{file}",
        route=docs_file,
        permission=Permission.OPEN,
        media_type="text/css",
        hidden=True,
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        route=openapi_json,
        permission=Permission.OPEN,
    ),
    Endpoint(
        method="GET",
        path="/llms.txt",
        route=llms_txt,
        permission=Permission.OPEN,
        media_type="text/plain",
    ),
    Endpoint(
        method="GET",
        path="/wild/v2/system-health",
        route=system_health,
        permission=Permission.READ,
        answer=SystemHealth,
    ),
)
