"""Calls about what may be used: budgets, and the machine itself."""

from typing import Any, Literal

from tallystick.client.caller import path_of
from tallystick.client.calls import Calls
from tallystick.client.reading import view, views
from tallystick.wire.codec import to_json
from tallystick.wire.signal_requests import DrainCluster, SetCluster
from tallystick.wire.signal_views import BudgetView, SystemHealth

Unchanged = Literal["unchanged"]
ClusterType = Literal[
    "unknown", "slurm", "local_gpu", "cpu_only", "kubernetes", "ray", "shared_head_node"
]


class MachineCalls(Calls):
    """Budgets, capacity, draining."""

    def budgets(self) -> list[BudgetView]:
        """Every budget that is set, with what of it is used."""
        return views(BudgetView, self._caller.get("/budgets"))

    def budget(self, scope: str) -> BudgetView:
        """What a sweep or a session may use and has used; `scope` is the id of either."""
        return view(BudgetView, self._caller.get(path_of("budgets", scope)))

    def set_budget(
        self,
        scope: str,
        *,
        runs: int | Unchanged | None = "unchanged",
        gpu_hours: float | Unchanged | None = "unchanged",
        wall_hours: float | Unchanged | None = "unchanged",
        action: Literal["refuse", "stop"] | None = None,
    ) -> BudgetView:
        """Set or change a budget; None removes a limit. People only, else `ForbiddenError`."""
        limits = {"runs": runs, "gpu_hours": gpu_hours, "wall_hours": wall_hours}
        changes = {name: limit for name, limit in limits.items() if limit != "unchanged"}
        body = changes if action is None else {**changes, "action": action}
        answer = self._caller.post(path_of("budgets", scope), body, method="PUT")
        return view(BudgetView, answer)

    def system_health(self) -> SystemHealth:
        """Counts of runs, the room for more, and who has what of the machine."""
        return view(SystemHealth, self._caller.get("/wild/v2/system-health"))

    def cluster(self) -> dict[str, Any]:
        """What the server runs on, as a document."""
        document: dict[str, Any] = self._caller.get("/cluster")
        return document

    def set_cluster(
        self,
        *,
        type: ClusterType | None = None,  # noqa: A002 - the word on the wire
        status: Literal["unknown", "healthy", "degraded", "offline"] | None = None,
        head_node: str | None = None,
        node_count: int | None = None,
        gpu_count: int | None = None,
        notes: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Say what the machine is, whole; what is left out is found. People only.

        A `gpu_count` below what is there restricts what is handed out to runs.
        """
        body = SetCluster(
            type=type,
            status=status,
            head_node=head_node,
            node_count=node_count,
            gpu_count=gpu_count,
            notes=notes,
            details=details,
        )
        given = {name: value for name, value in to_json(body).items() if value is not None}
        document: dict[str, Any] = self._caller.post("/cluster", given)
        return document

    def drain(self, reason: str | None = None) -> dict[str, Any]:
        """Start nothing more; what runs goes on. People only; repeating it is harmless."""
        document: dict[str, Any] = self._caller.post("/cluster/drain", DrainCluster(reason=reason))
        return document

    def undrain(self) -> dict[str, Any]:
        """Start queued runs again. People only; repeating it is harmless."""
        document: dict[str, Any] = self._caller.post("/cluster/undrain")
        return document
