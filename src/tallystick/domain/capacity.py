"""What a backend can execute at once: the numbers and devices that the queue is decided with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU that may be handed out."""

    id: str
    """Its UUID, as the driver says: stands in the ledger as the lease."""
    index: int
    """Its number in PCI order, for people."""
    name: str = ""
    memory_mb: int = 0
    """0 where the driver does not tell."""
    held_by: str | None = None
    """A stranger that uses it, in words; None when only runs of ours do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """All that attempts can be given."""

    slots: int
    """Runs that should execute at once, at least 1."""
    cpus: int = 1
    memory_mb: int = 0
    """0 where nobody knows; then it limits nothing."""
    devices: tuple[Device, ...] = ()
