"""MLflow's artifact proxy: files that a client sends to, lists and reads from its run.

A path is `<experiment>/<run>/artifacts/<path>`, as `artifact_uri` of the run begins; the experiment
says nothing. Files of a nested run lie below its name.
"""

from pathlib import PurePosixPath
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, uploads
from tallystick.api.call import Call
from tallystick.api.measured import PATIENCE_SECONDS, state_of
from tallystick.api.protocols.mlflow import check_place, open_run
from tallystick.api.protocols.mlflow_models import run_of
from tallystick.api.protocols.mlflow_shapes import Place
from tallystick.api.queries import Query
from tallystick.api.routes.artifacts import (
    checked_path,
    found_blob,
    keep,
    kept_notes,
    written_attempt,
)
from tallystick.api.routing import Endpoint, Permission
from tallystick.errors import InvalidError

ROOT: Final = "/api/2.0/mlflow-artifacts/artifacts"


async def put(call: Call) -> Response:
    """Keep a file."""
    place, path = await _place(call, call.path["path"])
    await open_run(call, place)
    attempt = await written_attempt(call, place.run)
    await keep(call, attempt, checked_path(path), origin="sent")
    return answers.json({})


async def listing(call: Call) -> Response:
    """The files and directories right below a path."""
    place, path = await _place(call, call.query["path"] or "")
    begins = f"{path}/" if path else ""
    found: dict[str, dict[str, Any]] = {}
    for name, facts in (await _kept(call, place)).items():
        if not name.startswith(begins):
            continue
        head, deeper, _ = name.removeprefix(begins).partition("/")
        found[head] = (
            {"path": head, "is_dir": True}
            if deeper
            else {"path": head, "is_dir": False, "file_size": facts["bytes"]}
        )
    return answers.json({"files": [found[head] for head in sorted(found)]})


async def get(call: Call) -> Response:
    """The bytes of a file."""
    place, path = await _place(call, call.path["path"])
    blob = found_blob(call, await _kept(call, place), path)
    return uploads.sent(call, blob, {"content-type": "application/octet-stream"})


async def _kept(call: Call, place: Place) -> dict[str, Any]:
    state = await state_of(call.services, place.run, patience_seconds=PATIENCE_SECONDS)
    series = call.services.data.series
    return await call.services.work(kept_notes, series, place.run, state.order, "artifact")


async def _place(call: Call, path: str) -> tuple[Place, str]:
    """The run, and the path in its record."""
    parts = PurePosixPath(path).parts
    if len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        place = Place(run_of(parts[2]))
        inside = ["models", *parts[2:3], *parts[4:]]
    elif len(parts) >= 3 and parts[2] == "artifacts":
        place = Place.of(parts[1])
        inside = [part for part in (place.child, *parts[3:]) if part]
    else:
        raise InvalidError(
            "path: expected <experiment>/<run>/artifacts/…, as artifact_uri of the run begins; "
            f"found {path[:80]!r}",
            code="path_invalid",
        )
    await check_place(call, place)
    return place, "/".join(inside)


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path=ROOT,
        route=listing,
        permission=Permission.TRACK,
        query=(Query(name="path", longest=2_048, description="A directory."),),
        hidden=True,
    ),
    Endpoint(
        method="GET",
        path=f"{ROOT}/{{path*}}",
        route=get,
        permission=Permission.TRACK,
        hidden=True,
    ),
    Endpoint(
        method="PUT",
        path=f"{ROOT}/{{path*}}",
        route=put,
        permission=Permission.TRACK,
        hidden=True,
        uploads=True,
    ),
)
