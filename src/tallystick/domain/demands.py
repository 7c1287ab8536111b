"""What a run asks of the machine and of the queue (P3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tallystick.errors import InvalidError

LONGEST_BACKOFF_MS: Final = 3_600_000
"""However often a run is tried, the next try is at most an hour away."""

RETRYABLE: Final = ("failed", "timed_out", "out_of_memory")
"""Outcomes that a retry can mend; a lost run is never retried by itself (P3.7)."""

LONGEST_TIMEOUT_MS: Final = 366 * 24 * 3_600_000
MOST_RETRIES: Final = 100
MOST_DEVICES: Final = 1_024
PRIORITIES: Final = (-100, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Resources, place in the queue, time limit and retries of one run; None is not asked for."""

    cpus: int | None = None
    gpus: int | None = None
    """How many devices it leases; None: one where the host has any."""
    gpu_memory_mb: int | None = None
    """Of each device."""
    memory_mb: int | None = None
    pins: tuple[str, ...] = ()
    """Devices that the command itself names, by index or UUID."""
    priority: int = 0
    """Higher starts first, within its session."""
    timeout_ms: int | None = None
    retries: int = 0
    """Further attempts after one that ended in `retry_on`."""
    retry_on: tuple[str, ...] = ("failed",)
    backoff_ms: int = 10_000
    """Before the first retry; doubled for each one after."""

    def pause_ms(self, tries: int) -> int:
        """How long after its end the attempt number `tries` is tried again."""
        return min(self.backoff_ms << min(max(tries - 1, 0), 20), LONGEST_BACKOFF_MS)


def check(demands: Demands) -> Demands:
    """The same demands; raises `InvalidError` for what no host could mean."""
    _within("cpus", demands.cpus, 1, 100_000)
    _within("gpus", demands.gpus, 0, MOST_DEVICES)
    _within("gpu_memory_mb", demands.gpu_memory_mb, 1, 2**40)
    _within("memory_mb", demands.memory_mb, 1, 2**40)
    _within("priority", demands.priority, *PRIORITIES)
    _within("timeout_seconds", demands.timeout_ms, 1, LONGEST_TIMEOUT_MS, unit_ms=True)
    _within("retries", demands.retries, 0, MOST_RETRIES)
    _within("retry_delay_seconds", demands.backoff_ms, 0, LONGEST_BACKOFF_MS, unit_ms=True)
    _check_retry_on(demands.retry_on)
    return demands


def _within(name: str, value: int | None, least: int, most: int, *, unit_ms: bool = False) -> None:
    """Refuse a number outside its range."""
    if value is not None and not least <= value <= most:
        shown = (least / 1000, most / 1000, value / 1000) if unit_ms else (least, most, value)
        raise InvalidError(
            f"{name}: expected {shown[0]} to {shown[1]}; found {shown[2]}", code="body_invalid"
        )


def _check_retry_on(outcomes: Sequence[str]) -> None:
    """Only what a retry can mend."""
    for outcome in outcomes:
        if outcome not in RETRYABLE:
            raise InvalidError(
                f"retry_on: expected some of {', '.join(RETRYABLE)}; found {outcome[:40]!r}",
                code="body_invalid",
                hint="a lost run is never retried by itself: nobody knows whether it ended; "
                "POST /runs/{id}/rerun or POST /sweeps/{id}/resume repeats it",
            )
