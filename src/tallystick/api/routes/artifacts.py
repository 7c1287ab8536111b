"""Artifacts: files of a run, kept by content when its attempts end, on request, or when sent."""

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from tallystick.api import answers, uploads
from tallystick.api.call import Call
from tallystick.api.finding import find_run
from tallystick.api.measured import PATIENCE_SECONDS, State, state_of
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.domain.attempt import Attempt
from tallystick.errors import ConflictError, InvalidError, NotFoundError
from tallystick.projections import attempts
from tallystick.store.incoming import Blob
from tallystick.store.index import opened
from tallystick.store.series import Series
from tallystick.wire.artifact_views import ArtifactsCollected, ArtifactView, LeftOut

LONGEST_PATH: Final = 1_024
MOST_LISTED: Final = 10_000

_IMAGES: Final[Mapping[str, str]] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_SANDBOX: Final = "sandbox; default-src 'none'; style-src 'none'; frame-ancestors 'none'"
PREVIEW_BYTES: Final = 65_536


async def list_artifacts(call: Call) -> Response:
    """The files that were kept of a run, by path, each with the digest of its newest bytes."""
    state = await _state(call)
    kept = await call.services.work(_notes, call.services.data.series, state, "artifact")
    begins: str = call.query["prefix"] or ""
    after: str = call.query["after"] or ""
    paths = sorted(path for path in kept if path.startswith(begins) and path > after)
    return answers.json([artifact_view(path, kept[path]) for path in paths[: call.query["limit"]]])


def artifact_view(path: str, facts: Mapping[str, Any]) -> ArtifactView:
    """One file."""
    return ArtifactView(
        name=PurePosixPath(path).name,
        path=path,
        type="wandb" if path.endswith(".wandb") else "other",
        bytes=facts["bytes"],
        sha256=facts["sha256"],
        attempt=facts["attempt"],
        origin=facts["origin"],
        kept_at=facts["at"] / 1000,
    )


async def left_out(call: Call) -> Response:
    """Files that were not kept, and why."""
    state = await _state(call)
    found = await call.services.work(_notes, call.services.data.series, state, "left_out")
    return answers.json([LeftOut(path=path, why=str(why)) for path, why in sorted(found.items())])


async def download(call: Call) -> Response:
    """The bytes of one file, whole or the `Range` that is asked for.

    With `preview` at most its first 64 KiB, as plain text or as a picture, for a page to show:
    never as anything that a browser would execute.
    """
    path = call.path["path"]
    state = await _state(call)
    kept = await call.services.work(_notes, call.services.data.series, state, "artifact")
    blob = found_blob(call, kept, path)
    if call.query["preview"]:
        return await _preview(call, path, blob)
    name = PurePosixPath(path).name
    return uploads.sent(
        call,
        blob,
        {
            "content-type": "application/octet-stream",
            "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "content-security-policy": _SANDBOX,
        },
    )


def found_blob(call: Call, kept: Mapping[str, Any], path: str) -> Blob:
    """The bytes of a path; raises `NotFoundError`."""
    facts = kept.get(path)
    if facts is None:
        raise NotFoundError(
            f"Artifact not found: {path[:200]}",
            code="artifact_not_found",
            next_actions=(f"GET /runs/{call.path.get('run', '{id}')}/artifacts lists them",),
        )
    return Blob(facts["sha256"], facts["bytes"])


async def _preview(call: Call, path: str, blob: Blob) -> Response:
    kind = _IMAGES.get(PurePosixPath(path).suffix.lower())
    headers = {"content-security-policy": _SANDBOX}
    if kind is not None:
        return uploads.sent(call, blob, headers | {"content-type": kind})
    read = call.services.data.blobs.read
    content = await call.services.work(
        lambda: b"".join(read(blob.sha256, start=0, end=min(blob.size, PREVIEW_BYTES)))
    )
    return Response(
        content.decode("utf-8", "replace"), media_type="text/plain; charset=utf-8", headers=headers
    )


async def upload(call: Call) -> Response:
    """Keep a file that is sent, whatever its size up to `artifacts.max_file_mb`.

    Sending the same bytes for the same path again is harmless; other bytes become its newest.
    """
    attempt = await written_attempt(call, call.path["run"])
    path = checked_path(call.path["path"])
    return answers.json(artifact_view(path, await keep(call, attempt, path, origin="sent")))


async def keep(call: Call, attempt: Attempt, path: str, *, origin: str) -> dict[str, Any]:
    """Keep the body of a request under a path; the facts that the record has of it."""
    blob = await uploads.received(call)
    services = call.services

    def note() -> None:
        services.data.collector.keep(attempt, path, blob, origin=origin)

    await services.work(note)
    return {
        "bytes": blob.size,
        "sha256": blob.sha256,
        "attempt": attempt.id,
        "origin": origin,
        "at": services.clock.now(),
    }


async def collect(call: Call) -> Response:
    """Look for files now, without waiting for the end of the attempt."""
    attempt = await written_attempt(call, call.path["run"])
    services = call.services
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(services.uploads, services.data.collector.collect, attempt)
    return answers.json(
        ArtifactsCollected(
            files=found.files,
            bytes=found.bytes,
            unchanged=found.unchanged,
            left_out=[LeftOut(path=path, why=why) for path, why in found.left_out],
        )
    )


async def written_attempt(call: Call, key: str) -> Attempt:
    """The newest attempt of a run; raises `ConflictError` before the first."""
    run = await call.services.read(lambda tx: find_run(tx, key))
    attempt_id = run.attempt
    found = None
    if attempt_id is not None:
        found = await call.services.read(lambda tx: attempts.get(tx, attempt_id))
    if found is None:
        raise ConflictError(
            f"run {run.id} is {run.status}: nothing was executed yet, so it has no files",
            code="run_not_started",
            next_actions=(f"POST /runs/{run.id}/start",),
        )
    return found


def checked_path(path: str) -> str:
    """A relative path without tricks; raises `InvalidError`."""
    parts = path.split("/")
    usable = (
        0 < len(path) <= LONGEST_PATH
        and path.isprintable()
        and "\\" not in path
        and all(part not in {"", ".", ".."} for part in parts)
    )
    if not usable:
        raise InvalidError(
            "path: expected names between single slashes, without '.', '..' and unprintable "
            f"characters, at most {LONGEST_PATH} of them; found {path[:80]!r}",
            code="path_invalid",
        )
    return path


async def _state(call: Call) -> State:
    run = await call.services.read(lambda tx: find_run(tx, call.path["run"]))
    return await state_of(call.services, run.id, patience_seconds=PATIENCE_SECONDS)


def _notes(series: Series, state: State, kind: str) -> dict[str, Any]:
    return kept_notes(series, state.run, state.order, kind)


def kept_notes(series: Series, run: str, order: list[str], kind: str) -> dict[str, Any]:
    """What the index of a run notes of one kind, without what was taken back."""
    with opened(series.directory(run), order) as index:
        found = index.notes(kind) if index is not None else {}
    return {name: held for name, held in found.items() if held is not None}


_PATH: Final = "/runs/{run}/artifacts/{path*}"

ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/runs/{run}/artifacts",
        route=list_artifacts,
        permission=Permission.READ,
        query=(
            Query(name="prefix", description="Only paths that begin with this.", longest=1_024),
            Query(name="after", description="Only paths behind this one.", longest=1_024),
            Query(
                name="limit",
                kind=int,
                default=1_000,
                minimum=1,
                maximum=MOST_LISTED,
                description="At most so many.",
            ),
        ),
        answer=list[ArtifactView],
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}/artifacts-left-out",
        route=left_out,
        permission=Permission.READ,
        answer=list[LeftOut],
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/runs/{run}/artifacts",
        route=collect,
        permission=Permission.METRICS,
        answer=ArtifactsCollected,
        refusals=(404, 409),
    ),
    Endpoint(
        method="GET",
        path=_PATH,
        route=download,
        permission=Permission.READ,
        query=(
            Query(
                name="preview",
                kind=bool,
                default=False,
                description="At most 64 KiB as plain text, or a picture as a picture.",
            ),
        ),
        media_type="application/octet-stream",
        also=("text/plain",),
        refusals=(404,),
    ),
    Endpoint(
        method="PUT",
        path=_PATH,
        route=upload,
        permission=Permission.METRICS,
        answer=ArtifactView,
        refusals=(404, 409, 413),
        uploads=True,
    ),
)
