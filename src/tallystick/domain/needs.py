"""What a run asks for, in terms of this host: devices that would do, cores, memory.

What no end of any run makes room for is said at once, instead of being waited for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.domain.capacity import Capacity, Device
from tallystick.domain.demands import Demands
from tallystick.domain.reasons import Impossible, gpu_names, gpus


@dataclass(frozen=True, slots=True)
class Needs:
    """What one run asks for."""

    usable: tuple[Device, ...]
    """Devices that it could have, whoever has them now; exactly those that it names."""
    count: int
    """How many of them."""
    pinned: tuple[int, ...]
    """Indexes of the devices that it names."""
    cpus: int
    memory_mb: int


def needs_of(demands: Demands, capacity: Capacity, default_gpus: int) -> Needs | Impossible:
    """What it asks for, or why this host can never give it."""
    pinned = _pinned(demands, capacity.devices)
    if None in pinned:
        present = tuple(device.index for device in capacity.devices)
        asked = "GPU " + ", ".join(demands.pins)
        return Impossible(asked, gpu_names(present) if present else "none")
    named = tuple(dict.fromkeys(device for device in pinned if device is not None))
    large = tuple(device for device in capacity.devices if _large_enough(device, demands))
    count = len(named) if named else _count(demands, default_gpus)
    too_much = _beyond_devices(demands, capacity, count, named, large) or _beyond_host(
        demands, capacity
    )
    if too_much is not None:
        return too_much
    return Needs(
        usable=named or large,
        count=count,
        pinned=tuple(device.index for device in named),
        cpus=demands.cpus or 0,
        memory_mb=demands.memory_mb or 0 if capacity.memory_mb else 0,
    )


def _count(demands: Demands, default_gpus: int) -> int:
    """How many devices, where none are named; whoever asks for their memory asks for one."""
    if demands.gpus is None and demands.gpu_memory_mb is not None:
        return max(1, default_gpus)
    return default_gpus if demands.gpus is None else demands.gpus


def _pinned(demands: Demands, devices: Sequence[Device]) -> list[Device | None]:
    """The devices that the command names, by index or (the beginning of) a UUID."""
    found: list[Device | None] = []
    for pin in demands.pins:
        named = [device for device in devices if pin in {str(device.index), device.id}]
        if not named and not pin.isdigit():
            named = [device for device in devices if device.id.startswith(pin)]
        found.append(named[0] if len(named) == 1 else None)
    return found


def _large_enough(device: Device, demands: Demands) -> bool:
    """A device that does not tell its memory is not held against it."""
    return device.memory_mb == 0 or device.memory_mb >= (demands.gpu_memory_mb or 0)


def _beyond_devices(
    demands: Demands,
    capacity: Capacity,
    count: int,
    named: Sequence[Device],
    large: Sequence[Device],
) -> Impossible | None:
    """More devices than there are, or larger ones."""
    devices = capacity.devices
    if count > len(devices):
        return Impossible(gpus(count), str(len(devices) or "none"))
    if count > len(large) or not set(named) <= set(large):
        largest = max(device.memory_mb for device in devices)
        has = f"{len(large) or 'none'} that large, the largest has {largest} MB"
        return Impossible(f"{gpus(count)} with {demands.gpu_memory_mb} MB", has)
    return None


def _beyond_host(demands: Demands, capacity: Capacity) -> Impossible | None:
    """More cores or memory than there are; memory that nobody knows limits nothing."""
    if (demands.cpus or 0) > capacity.cpus:
        return Impossible(f"{demands.cpus} CPUs", str(capacity.cpus))
    if 0 < capacity.memory_mb < (demands.memory_mb or 0):
        return Impossible(f"{demands.memory_mb} MB of memory", f"{capacity.memory_mb} MB")
    return None
