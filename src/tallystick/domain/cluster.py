"""What people say about the machine: what it is, how much of it may be used, whether to wait."""

from dataclasses import dataclass, replace
from typing import Final

from tallystick.domain.commands import Drain, SetCluster, Undrain
from tallystick.domain.events import Fact, Record
from tallystick.domain.ids import PEOPLE, Actor, Text
from tallystick.domain.signal_events import ClusterDrained, ClusterSet, ClusterUndrained
from tallystick.errors import ForbiddenError

CLUSTER: Final = "cluster"
"""Stream and id: there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What was said last; None where nobody said anything."""

    id: str = CLUSTER
    kind: str | None = None
    status: str | None = None
    source: str = "unset"
    head_node: Text | None = None
    node_count: int | None = None
    gpu_count: int | None = None
    notes: Text | None = None
    details: Text | None = None
    updated_at: int | None = None
    drained: bool = False
    drained_at: int | None = None
    drain_reason: Text | None = None


def decide(state: Cluster, command: SetCluster | Drain | Undrain, *, by: Actor) -> list[Fact]:
    """Only people decide about the machine; raises `ForbiddenError`."""
    if by.role not in PEOPLE:
        raise ForbiddenError(
            f"the machine is described, drained and undrained by people; this token's role is "
            f"{by.role}",
            code="people_only",
            hint="ask the researcher to do it with their own token",
        )
    match command:
        case Drain():
            changed = not state.drained or (command.reason and command.reason != state.drain_reason)
            event: ClusterDrained | ClusterSet = ClusterDrained(reason=command.reason)
            return [Fact(CLUSTER, event)] if changed else []
        case Undrain():
            return [Fact(CLUSTER, ClusterUndrained())] if state.drained else []
        case SetCluster():
            event = ClusterSet(
                kind=command.kind,
                status=command.status,
                source=command.source,
                head_node=command.head_node,
                node_count=command.node_count,
                gpu_count=command.gpu_count,
                notes=command.notes,
                details=command.details,
            )
            return [Fact(CLUSTER, event)]


def evolve(
    state: Cluster, record: Record, event: ClusterSet | ClusterDrained | ClusterUndrained
) -> Cluster:
    """State after an entry."""
    match event:
        case ClusterDrained():
            return replace(state, drained=True, drained_at=record.ts, drain_reason=event.reason)
        case ClusterUndrained():
            return replace(state, drained=False, drained_at=None, drain_reason=None)
        case ClusterSet():
            return replace(
                state,
                kind=event.kind,
                status=event.status,
                source=event.source,
                head_node=event.head_node,
                node_count=event.node_count,
                gpu_count=event.gpu_count,
                notes=event.notes,
                details=event.details,
                updated_at=record.ts,
            )
