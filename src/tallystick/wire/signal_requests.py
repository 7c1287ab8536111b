"""Bodies of calls about alerts, budgets, the cluster and the events of a session.

The docstring under a field is its description in the OpenAPI document.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

_LINE = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$", "maxLength": 500}
_TEXT = {"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$", "maxLength": 10_000}
_NOTE = {"pattern": r"^[^\u0000]*$", "maxLength": 10_000}
_COUNT = {"minimum": 0, "maximum": 1_000_000}
_HOURS = {"minimum": 0, "maximum": 10_000_000}

MOST_CHOICES = 16
MOST_EVENT_IDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlert:
    """POST /runs/{id}/alerts: ask somebody to look at a run; nothing waits for the answer."""

    message: str = field(metadata={"schema": _TEXT})
    """What was seen, and what is asked."""
    choices: list[Any] = field(
        metadata={
            "schema": {
                "minItems": 1,
                "maxItems": MOST_CHOICES,
                "items": {
                    "anyOf": [
                        {"type": "string", **_LINE},
                        {
                            "type": "object",
                            "required": ["label"],
                            "properties": {
                                "label": {"type": "string", **_LINE},
                                "action": {
                                    "type": "string",
                                    "enum": ["continue", "stop", "note"],
                                },
                            },
                        },
                    ]
                },
            }
        }
    )
    """Texts, or objects with `label` and `action` (continue, stop or note).

    A text has the action of its own name when it is exactly `stop` or `continue`; any other is a
    note, whatever it says."""
    severity: str = "warning"
    """info, warning or critical; anything else counts as warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondAlert:
    """POST /alerts/{id}/respond: choose; `stop` ends the run."""

    choice: str | None = field(default=None, metadata={"schema": {"maxLength": 500}})
    """One of the alert's choices. May be left out where `action` is given."""
    action: Literal["continue", "stop", "note"] | None = None
    """What is to follow; by default what the chosen one stands for."""
    note: str | None = field(default=None, metadata={"schema": _NOTE})
    """Why, for the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveEvents:
    """POST /wild/v2/events/{session}/resolve: these were heard; they are not told again."""

    event_ids: list[str] = field(metadata={"schema": {"maxItems": MOST_EVENT_IDS}})


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBudget:
    """PUT /budgets/{scope}: people only. What is left out stays; null removes a limit."""

    runs: int | None = field(default=None, metadata={"schema": _COUNT})
    """How many runs may be registered."""
    gpu_hours: float | None = field(default=None, metadata={"schema": _HOURS})
    """Hours of GPU time, summed over devices; runs that are active now count."""
    wall_hours: float | None = field(default=None, metadata={"schema": _HOURS})
    """Hours since its first run started."""
    action: Literal["refuse", "stop"] | None = None
    """At 100 % of hours nothing more is started; with `stop` what is active is ended, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCluster:
    """POST /cluster: what people say about the machine, whole; people only."""

    type: (
        Literal[
            "unknown",
            "slurm",
            "local_gpu",
            "cpu_only",
            "kubernetes",
            "ray",
            "shared_head_node",
        ]
        | None
    ) = None
    """Null takes what is found."""
    status: Literal["unknown", "healthy", "degraded", "offline"] | None = None
    source: Literal["unset", "manual", "detected"] | None = None
    """`manual` by default."""
    head_node: str | None = field(
        default=None, metadata={"schema": {"pattern": r"^[^\u0000]*$", "maxLength": 500}}
    )
    node_count: int | None = field(default=None, metadata={"schema": _COUNT})
    gpu_count: int | None = field(default=None, metadata={"schema": _COUNT})
    """At most so many GPUs are handed out; null hands out all that may be."""
    notes: str | None = field(default=None, metadata={"schema": _NOTE})
    details: dict[str, Any] | None = None
    """`signals`, `slurm_nodes`, `kubernetes_nodes`, `ssh_hosts`, and whatever you want to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainCluster:
    """POST /cluster/drain: start nothing more; what runs goes on. People only."""

    reason: str | None = field(default=None, metadata={"schema": _NOTE})
    """Said to everybody whose run waits for it."""
