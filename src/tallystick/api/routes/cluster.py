"""Where attempts run, under the names that agents read: what is found, and what people say.

What people said comes first, is an entry of the ledger and survives a restart; what nobody said is
looked at. Draining keeps queued runs waiting while somebody works on the machine.
"""

import json
import platform
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.draining import drain_view
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Cluster, ClusterDetails, ClusterView, Empty, RunSummary
from tallystick.api.texts import checked_characters
from tallystick.api.views import load_texts, seconds
from tallystick.control.texts import Texts
from tallystick.db.database import Transaction
from tallystick.domain import cluster as domain
from tallystick.domain import commands
from tallystick.domain.ids import Text
from tallystick.domain.status import Tally
from tallystick.errors import InvalidError
from tallystick.projections import totals
from tallystick.wire.requests import DetectCluster
from tallystick.wire.signal_requests import DrainCluster, SetCluster
from tallystick.wire.views import Warning as Notice

LONGEST_LINE: Final = 500
LONGEST_NOTES: Final = 10_000
"""Characters."""

_MOST: Final = 1_000_000
_LABELS: Final = {
    "cpu_only": ("CPU only", "Runs are executed on this machine, which has no GPU."),
    "local_gpu": ("Local GPU", "Runs are executed on this machine, with its GPUs."),
    "slurm": ("Slurm", "A Slurm cluster, as people say; runs are executed on this machine."),
    "kubernetes": ("Kubernetes", "A Kubernetes cluster, as people say."),
    "ray": ("Ray", "A Ray cluster, as people say."),
    "shared_head_node": ("Shared head node", "A machine that others use, too, as people say."),
    "unknown": ("Unknown", "Nobody knows what this machine is."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is there, whatever anybody says."""

    gpus: int
    backend: str
    now: float

    @property
    def type(self) -> str:
        """The word for it."""
        return "local_gpu" if self.gpus else "cpu_only"


async def get(call: Call) -> Response:
    """What the server runs on, how many runs are where, and whether it is drained."""
    return await _answer(call)


async def detect(call: Call) -> Response:
    """Look again what the server runs on; what people said before is still told first."""
    body: DetectCluster = call.body
    found = await _look(call)
    if body.preferred_type is not None and body.preferred_type != found.type:
        detail = (
            f"preferred_type {body.preferred_type[:80]!r} was not used: "
            f"what was found is {found.type}"
        )
        call.warnings.append(Notice(code="preferred_type_ignored", detail=detail))
    said = await call.services.read(totals.cluster)
    if said.kind not in {None, found.type}:
        detail = (
            f"a person said {said.kind}, and that is told; what was found is {found.type} with "
            f"{found.gpus} GPU(s)"
        )
        call.warnings.append(Notice(code="cluster_set_by_hand", detail=detail))
    return await _answer(call)


async def put(call: Call) -> Response:
    """Say what this machine is; people only. What is left out is taken from what is found.

    A `gpu_count` below what is there restricts what is handed out to runs; one above it changes
    nothing, and is answered with a warning.
    """
    body: SetCluster = call.body
    found, texts = await _look(call), call.texts()
    for name, count in (("node_count", body.node_count), ("gpu_count", body.gpu_count)):
        if count is not None and not 0 <= count <= _MOST:
            raise InvalidError(
                f"{name}: expected 0 to {_MOST}, or null; found {count}", code="body_invalid"
            )
    if body.gpu_count is not None and body.gpu_count > found.gpus:
        detail = (
            f"gpu_count: {body.gpu_count} is kept and told; {found.gpus} GPU(s) can be handed out "
            "here, so no more than those are"
        )
        call.warnings.append(Notice(code="gpu_count_above", detail=detail))
    command = commands.SetCluster(
        kind=body.type,
        status=body.status,
        source=body.source or "manual",
        head_node=_text(texts, "head_node", body.head_node, LONGEST_LINE),
        node_count=body.node_count,
        gpu_count=body.gpu_count,
        notes=_text(texts, "notes", body.notes, LONGEST_NOTES),
        details=_details_text(texts, body.details),
    )
    return await _change(call, command, texts)


async def drain(call: Call) -> Response:
    """Start nothing more, for maintenance; people only. What runs goes on, what is queued waits.

    Repeating it is harmless: the answer says `already`.
    """
    body: DrainCluster = call.body
    texts = call.texts()
    present = await call.services.read(_present)
    if present.cluster.drained and body.reason in {
        None,
        present.text(present.cluster.drain_reason),
    }:
        return await _answer(call, already=True)
    command = commands.Drain(reason=_text(texts, "reason", body.reason, LONGEST_NOTES))
    return await _change(call, command, texts)


async def undrain(call: Call) -> Response:
    """Start queued runs again; people only. Repeating it is harmless."""
    return await _change(call, commands.Undrain(), call.texts())


async def _change(
    call: Call, command: commands.SetCluster | commands.Drain | commands.Undrain, texts: Texts
) -> Response:
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    return await _answer(call, already=not accepted.records, receipt=accepted.receipt)


@dataclass(frozen=True, slots=True)
class _Present:
    """What people said, with the texts of it."""

    cluster: domain.Cluster
    texts: dict[str, str]

    def text(self, text: Text | None) -> str | None:
        """One of the texts; None when there is none or it was erased."""
        return None if text is None else self.texts.get(text.c)


def _present(tx: Transaction) -> _Present:
    said = totals.cluster(tx)
    wanted = (said.head_node, said.notes, said.details, said.drain_reason)
    return _Present(said, load_texts(tx, wanted))


async def _answer(call: Call, **more: Any) -> Response:
    found = await _look(call)

    def ask(tx: Transaction) -> ClusterView:
        present = _present(tx)
        return ClusterView(
            cluster=_view(present, found),
            run_summary=_summary(totals.get(tx)),
            draining=drain_view(tx, present.cluster),
            warnings=call.warnings,
            **more,
        )

    return answers.json(await call.services.read(ask))


async def _look(call: Call) -> _Found:
    room = await call.services.work(call.services.backend.capacity)
    now = seconds(call.services.clock.now())
    return _Found(gpus=len(room.devices), backend=call.services.backend.name, now=now)


def _view(present: _Present, found: _Found) -> Cluster:
    """What people said, filled up with what was found."""
    said = present.cluster
    kind = said.kind or found.type
    label, description = _LABELS[kind]
    if kind == found.type == "local_gpu":
        description = f"Runs are executed on this machine, with {found.gpus} GPU(s)."
    by_hand = any((said.kind, said.status, said.gpu_count is not None, said.node_count is not None))
    return Cluster(
        type=kind,
        status=said.status or "healthy",
        source=said.source if by_hand else "detected",
        label=label,
        description=description,
        head_node=present.text(said.head_node) or platform.node() or None,
        node_count=1 if said.node_count is None else said.node_count,
        gpu_count=found.gpus if said.gpu_count is None else said.gpu_count,
        notes=present.text(said.notes),
        confidence=None if by_hand else 1.0,
        details=_details(present, found),
        last_detected_at=found.now,
        updated_at=found.now if said.updated_at is None else seconds(said.updated_at),
    )


def _details(present: _Present, found: _Found) -> ClusterDetails:
    """What was looked at, and what people wanted to keep."""
    signals = [f"backend:{found.backend}", f"gpus:{found.gpus}"]
    try:
        said = json.loads(present.text(present.cluster.details) or "{}")
    except ValueError:  # a secret that was cut out may have taken a quote along
        said = {}
    kept = dict(said) if isinstance(said, dict) else {}
    own = kept.pop("signals", [])
    if isinstance(own, list):
        signals += [one for one in own if isinstance(one, str)]
    counts = {
        name: kept.pop(name)
        for name in ("slurm_nodes", "kubernetes_nodes", "ssh_hosts")
        if isinstance(kept.get(name), int) and not isinstance(kept.get(name), bool)
    }
    return ClusterDetails(signals=signals, more=kept, **counts)


def _text(texts: Texts, name: str, text: str | None, longest: int) -> Text | None:
    if text is None or not text.strip():
        return None
    return texts.add(checked_characters(name, text, longest=longest))


def _details_text(texts: Texts, details: dict[str, Any] | None) -> Text | None:
    if details is None:
        return None
    size = len(json.dumps(details))
    if size > LONGEST_NOTES:
        raise InvalidError(
            f"details: expected at most {LONGEST_NOTES} bytes of JSON; found {size}",
            code="text_too_long",
        )
    return texts.add_document(details)


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


def _by_people(path: str, route: Any, body: Body[Any]) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        route=route,
        permission=Permission.PEOPLE,
        body=body,
        answer=ClusterView,
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
    _by_people("/cluster", put, Body(SetCluster, refuse_unknown=True)),
    _by_people("/cluster/drain", drain, Body(DrainCluster, optional=True)),
    _by_people("/cluster/undrain", undrain, Body(Empty, optional=True)),
)
