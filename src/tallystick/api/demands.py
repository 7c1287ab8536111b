"""What a body asks for, as the rules know it (P3.2).

The devices that a command itself names are part of what it asks for: the run waits until exactly
those are free, and leases them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tallystick.api.call import Call
from tallystick.api.texts import is_secret
from tallystick.domain.capacity import Capacity
from tallystick.domain.demands import MOST_RETRIES, Demands, check
from tallystick.domain.needs import needs_of
from tallystick.domain.reasons import Impossible
from tallystick.domain.run import MOST_TAGS
from tallystick.domain.shares import default_gpus, limited
from tallystick.errors import InvalidError
from tallystick.projections import totals
from tallystick.shell import pins
from tallystick.wire.demands import Asked
from tallystick.wire.requests import GpuWrap
from tallystick.wire.views import Warning as Notice

_TAG: Final = re.compile(r"[A-Za-z0-9._:/=-]{1,40}")


async def demands_of(
    call: Call,
    asked: Asked,
    *,
    command: str | None,
    env: Mapping[str, str] | None = None,
    wrap: GpuWrap | None = None,
    base: Demands | None = None,
) -> Demands:
    """Demands, checked against their ranges and against what the host has.

    What is not asked for stays as in `base`; `command` is None when it stays, too. A command that
    names no devices may have them named in `env`. Raises `InvalidError` (gpus_conflict,
    gpus_unavailable, resources_unavailable, body_invalid); what is only worth knowing becomes a
    warning.
    """
    known = base or Demands()
    named = await _named(call, known, command, env or {})
    if command is not None and known.pins:
        known = replace(known, gpus=None, pins=())  # they went with the old command
    gpus = pins.reconcile(named, asked.gpus)
    if gpus is None:
        gpus = known.gpus
    wrapped = gpus is None and wrap is not None and wrap.enabled
    room = None
    if named or gpus or wrapped or asked.cpus or asked.memory_mb or asked.gpu_memory_mb:
        room = await _room(call)
        gpus, named = _devices(call, room, gpus=gpus, named=named, wrapped=wrapped)
    changes: dict[str, Any] = {
        "cpus": asked.cpus,
        "gpu_memory_mb": asked.gpu_memory_mb,
        "memory_mb": asked.memory_mb,
        "priority": asked.priority,
        "timeout_ms": _milliseconds("timeout_seconds", asked.timeout_seconds),
        **_retrying(asked, wrap),
    }
    given = {key: value for key, value in changes.items() if value is not None}
    demands = check(replace(known, gpus=gpus, pins=named or (), **given))
    if room is not None:
        _check_possible(demands, room, call.services.settings.execution.default_gpus)
    return demands


async def _room(call: Call) -> Capacity:
    """What this host hands out, as its settings and people say; a driver may take its time."""
    found = await call.services.work(call.services.backend.capacity)
    cluster = await call.services.read(totals.cluster)
    return limited(found, slots=None, gpu_count=cluster.gpu_count)


def _check_possible(demands: Demands, room: Capacity, default: int | None) -> None:
    """Refuse what no end of any run would ever make room for."""
    needs = needs_of(demands, room, default_gpus(room, default))
    if isinstance(needs, Impossible):
        raise InvalidError(
            f"expected what this host can give; the run {needs.words(now=0)}",
            code="resources_unavailable",
            hint="ask for what there is, or leave it out",
            next_actions=("GET /wild/v2/system-health says what there is",),
        )


async def _named(
    call: Call, known: Demands, command: str | None, env: Mapping[str, str]
) -> tuple[str, ...] | None:
    """The devices that the command names, or its environment; None when neither says anything."""
    if command is None:
        return known.pins or None
    found = await call.prepare(lambda: pins.named(command))
    if found is None and pins.VARIABLE in env:
        found = pins.named_by(env[pins.VARIABLE])
    return found


def _devices(
    call: Call,
    room: Capacity,
    *,
    gpus: int | None,
    named: tuple[str, ...] | None,
    wrapped: bool,
) -> tuple[int | None, tuple[str, ...]]:
    """How many devices, and which of them are named."""
    if named:
        gpus = _pinned(call, named, room)
    elif wrapped:
        gpus = _wrapped(call, room)
    elif gpus and gpus > len(room.devices):
        raise _unavailable(gpus, room)
    return gpus, named if named and gpus else ()


def _retrying(asked: Asked, wrap: GpuWrap | None) -> dict[str, Any]:
    """What is said of retries.

    Those of the old wrapper waited for a free device, which the queue does now; what is left for
    them is a device that was too small after all.
    """
    old = wrap if wrap is not None and wrap.enabled and asked.retries is None else None
    retries = asked.retries
    if old is not None:  # they were unlimited, or as good as that
        retries = min(max(old.retries or 0, 0), MOST_RETRIES)
    delay = asked.retry_delay_seconds
    if delay is None and old is not None:
        delay = old.retry_delay_seconds
    on = None if asked.retry_on is None else tuple(dict.fromkeys(asked.retry_on))
    if on is None and old is not None and retries:
        on = ("out_of_memory",)
    return {
        "retries": retries,
        "retry_on": on,
        "backoff_ms": _milliseconds("retry_delay_seconds", delay),
    }


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags, each once, in their order; raises `InvalidError`."""
    if len(tags) > MOST_TAGS:
        raise InvalidError(
            f"tags: expected at most {MOST_TAGS}; found {len(tags)}", code="tags_invalid"
        )
    for tag in tags:
        if _TAG.fullmatch(tag) is None:
            raise InvalidError(
                "tags: expected 1 to 40 letters, digits, '.', '_', ':', '/', '=' and '-'; "
                f"found {tag[:40]!r}",
                code="tags_invalid",
            )
        if is_secret(tag):
            raise InvalidError(
                "tags: expected words that everybody may read; found what looks like a secret",
                code="tags_invalid",
            )
    return tuple(dict.fromkeys(tags))


def _wrapped(call: Call, room: Capacity) -> int:
    """The old wrapper asked for whatever was free; one device is what it needs."""
    if room.devices:
        return 1
    detail = "gpuwrap_config: this host has no GPU; the run is executed without one"
    call.warnings.append(Notice(code="gpus_unavailable", detail=detail))
    return 0


def _pinned(call: Call, named: Sequence[str], room: Capacity) -> int:
    """How many of the named devices can be leased: all of them, or none on a host without any."""
    if not room.devices:
        detail = (
            f"the command sets {pins.VARIABLE}={','.join(named)}, and this host has no GPU to "
            "hand out; the run is executed without one"
        )
        call.warnings.append(Notice(code="gpus_unavailable", detail=detail))
        return 0
    there = {device.id for device in room.devices} | {str(device.index) for device in room.devices}
    missing = [name for name in named if name not in there]
    if missing:
        raise InvalidError(
            f"command: expected GPUs that this host hands out ({_indexes(room)}); the command "
            f"sets {pins.VARIABLE} to {','.join(named)}",
            code="gpus_unavailable",
            hint=f"leave {pins.VARIABLE} out: it is set to the devices that the run is given",
        )
    detail = (
        f"the command names GPU {', '.join(named)}: it waits for exactly that, and others cannot "
        f"have it meanwhile. Leave {pins.VARIABLE} out and send gpus={len(named)} to get any that "
        "is free"
    )
    call.warnings.append(Notice(code="cuda_visible_devices", detail=detail))
    return len(named)


def _indexes(room: Capacity) -> str:
    return ", ".join(str(device.index) for device in room.devices)


def _unavailable(gpus: int, room: Capacity) -> InvalidError:
    count = len(room.devices)
    return InvalidError(
        f"gpus: expected at most {count}, which is what this host hands out; found {gpus}",
        code="gpus_unavailable",
        hint="leave gpus out to run with what there is",
        next_actions=("GET /cluster says what there is",),
    )


def _milliseconds(name: str, seconds: float | None) -> int | None:
    """Whole milliseconds; raises `InvalidError` for what is no time."""
    if seconds is None:
        return None
    if not math.isfinite(seconds) or seconds < 0 or seconds > 2**40:
        raise InvalidError(f"{name}: expected seconds; found {seconds!r}", code="body_invalid")
    return max(round(seconds * 1000), 1) if seconds else 0
