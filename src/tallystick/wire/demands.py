"""What a run asks for, as it stands in the bodies of several calls.

Several bodies inherit these fields; their descriptions are data, because a docstring under a field
is only read in the class that a body is.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

Retryable = Literal["failed", "timed_out", "out_of_memory"]
TAGS = {
    "schema": {
        "maxItems": 16,
        "items": {"type": "string", "pattern": r"^[A-Za-z0-9._:/=-]{1,40}$"},
    }
}
"""What the OpenAPI document says of tags; the routes check it."""


def _said(description: str, **schema: Any) -> Any:
    """A field with what the OpenAPI document says of it."""
    return field(default=None, metadata={"schema": {"description": description, **schema}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Resources, place in the queue, time limit, retries; everything may be left out (P3.2)."""

    cpus: int | None = _said("Cores it takes; unlimited by default.", minimum=1, maximum=100_000)
    gpus: int | None = _said(
        "GPUs leased to it alone, as CUDA_VISIBLE_DEVICES. By default 1 where the host has any.",
        minimum=0,
        maximum=1_024,
    )
    gpu_memory_mb: int | None = _said(
        "Memory that each of its GPUs must have, in MiB.", minimum=1, maximum=2**40
    )
    memory_mb: int | None = _said(
        "Main memory it takes, in MiB; a limit where the host can enforce one.",
        minimum=1,
        maximum=2**40,
    )
    priority: int | None = _said(
        "Higher starts first within its session; 0 by default.", minimum=-100, maximum=100
    )
    timeout_seconds: float | None = _said(
        "Ended as `timed_out` when it runs longer.", minimum=0.001, maximum=366 * 24 * 3600
    )
    retries: int | None = _said(
        "Further attempts after one that ended in `retry_on`; 0 by default.",
        minimum=0,
        maximum=100,
    )
    retry_on: tuple[Retryable, ...] | None = _said(
        "Outcomes that are tried again; `failed` by default. A lost run never is (P3.7)."
    )
    retry_delay_seconds: float | None = _said(
        "Before the first retry; doubled for each one after, at most an hour. 10 by default.",
        minimum=0,
        maximum=3600,
    )


class AskedWords(TypedDict, total=False):
    """The same as keywords of a call."""

    cpus: int | None
    gpus: int | None
    gpu_memory_mb: int | None
    memory_mb: int | None
    priority: int | None
    timeout_seconds: float | None
    retries: int | None
    retry_on: tuple[Retryable, ...] | None
    retry_delay_seconds: float | None


class RunDemands(AskedWords, total=False):
    """And what else says where a run stands among others."""

    tags: list[str]
    depends_on: list[str]
