"""Where attempts run, under the names that agents read."""

import platform
from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Cluster, ClusterDetails, ClusterView, RunSummary
from tallystick.api.views import seconds
from tallystick.domain.status import Tally
from tallystick.projections import totals
from tallystick.wire.requests import DetectCluster
from tallystick.wire.views import Warning as Notice


async def get(call: Call) -> Response:
    """What the server runs on, and how many runs are where."""
    return await _answer(call)


async def detect(call: Call) -> Response:
    """Look again what the server runs on; what is found is told, whatever was preferred."""
    body: DetectCluster = call.body
    if body.preferred_type is not None and body.preferred_type != _type(_gpus(call)):
        detail = (
            f"preferred_type {body.preferred_type[:80]!r} was not used: "
            f"what was found is {_type(_gpus(call))}"
        )
        call.warnings.append(Notice(code="preferred_type_ignored", detail=detail))
    return await _answer(call)


async def _answer(call: Call) -> Response:
    tally = await call.services.read(totals.get)
    now = seconds(call.services.clock.now())
    view = ClusterView(
        cluster=_cluster(_gpus(call), backend=call.services.backend.name, now=now),
        run_summary=_summary(tally),
        warnings=call.warnings,
    )
    return answers.json(view)


def _gpus(call: Call) -> int:
    return call.services.backend.gpu_count


def _type(gpus: int) -> str:
    return "local_gpu" if gpus else "cpu_only"


def _cluster(gpus: int, *, backend: str, now: float) -> Cluster:
    """This machine."""
    if gpus:
        label, description = "Local GPU", f"Runs are executed on this machine, with {gpus} GPU(s)."
    else:
        label, description = "CPU only", "Runs are executed on this machine, which has no GPU."
    return Cluster(
        type=_type(gpus),
        status="healthy",
        source="detected",
        label=label,
        description=description,
        head_node=platform.node() or None,
        node_count=1,
        gpu_count=gpus,
        confidence=1.0,
        details=ClusterDetails(signals=[f"backend:{backend}", f"gpus:{gpus}"]),
        last_detected_at=now,
        updated_at=now,
    )


def _summary(tally: Tally) -> RunSummary:
    return RunSummary(
        total=tally.total,
        running=tally.running,
        launching=tally.launching,
        queued=tally.queued,
        ready=tally.ready,
        failed=tally.failed,
        finished=tally.finished,
    )


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/cluster",
        route=get,
        permission=Permission.READ,
        answer=ClusterView,
    ),
    Endpoint(
        method="POST",
        path="/cluster/detect",
        route=detect,
        permission=Permission.CONTROL,
        body=Body(DetectCluster, optional=True),
        answer=ClusterView,
    ),
)
