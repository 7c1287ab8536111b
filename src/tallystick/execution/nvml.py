"""What NVIDIA's driver says about the GPUs of this host, asked through its library (NVML).

The binding is loaded when the library is there and not before. An error is an answer: what could
not be told stands beside what could, in the driver's own words.
"""

import ctypes
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LIBRARY: Final = "libnvidia-ml.so.1"
"""Comes with the driver; NVML is not packed with anything else."""
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One process that computes on a card."""

    pid: int
    memory_bytes: int | None = None
    """None where the driver does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One GPU, as the driver describes it."""

    id: str
    """Its UUID, `GPU-…`."""
    index: int
    """NVML counts in the order of the PCI bus."""
    name: str
    memory_mb: int
    """All of it, in MiB; 0 where the driver does not tell."""
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One look at all cards; nothing at all where there is no driver."""

    cards: tuple[Card, ...] = ()
    failed: dict[int, str] = field(default_factory=dict)
    """Cards that are there and did not answer, by index, with why."""
    trouble: str | None = None
    """Why the driver as a whole did not answer."""


class Nvml:
    """The driver's library, kept open between two looks: a card may sleep while nobody has it open,
    and then takes seconds to wake. For one thread at a time.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._binding: types.ModuleType | None = None
        self._open = False

    def read(self) -> Answer:
        """Ask for everything; raises nothing that the driver could cause."""
        if self._binding is None:
            self._binding = _load()
        if self._binding is None:
            return Answer()
        try:
            return self._read(self._binding)
        except self._binding.NVMLError as error:
            self.close()
            return Answer(trouble=str(error))

    def close(self) -> None:
        """Let the driver go; the next `read` begins anew. May be repeated."""
        if self._binding is not None and self._open:
            self._open = False
            try:
                self._binding.nvmlShutdown()
            except self._binding.NVMLError:
                return  # it was gone already

    def _read(self, nvml: Any) -> Answer:
        """All cards, each for itself."""
        if not self._open:
            nvml.nvmlInit()
            self._open = True
        cards: list[Card] = []
        failed: dict[int, str] = {}
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                cards.append(_card(nvml, index))
            except nvml.NVMLError as error:
                failed[index] = str(error)
        return Answer(cards=tuple(cards), failed=failed)


def driver_cards(root: Path) -> int:
    """How many NVIDIA GPUs the kernel has a driver for, whatever NVML says; `root` is `/`."""
    listed = root / "proc/driver/nvidia/gpus"
    if listed.is_dir():
        return sum(1 for _ in listed.iterdir())
    return sum(1 for _ in (root / "dev").glob("nvidia[0-9]*"))


def _load() -> types.ModuleType | None:
    """The binding, where there is something to bind to."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    import pynvml  # noqa: PLC0415 - as large as all of this package's room: not for hosts without

    module: types.ModuleType = pynvml
    return module


def _card(nvml: Any, index: int) -> Card:
    """One card; raises `NVMLError` when it does not answer."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Card(
        id=_text(nvml.nvmlDeviceGetUUID(handle)),
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_mb=_or_none(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total // _MIB) or 0,
        uses=_uses(nvml, handle),
    )


def _uses(nvml: Any, handle: Any) -> tuple[Use, ...]:
    """Who computes on it; nobody where the driver cannot tell (in WSL, say)."""
    ask = nvml.nvmlDeviceGetComputeRunningProcesses_v3
    found = _or_none(nvml, lambda: ask(handle))
    if found is None:  # drivers before 510 know the second version only
        ask = nvml.nvmlDeviceGetComputeRunningProcesses_v2
        found = _or_none(nvml, lambda: ask(handle)) or ()
    return tuple(Use(pid=int(one.pid), memory_bytes=one.usedGpuMemory) for one in found)


def _or_none(nvml: Any, ask: Callable[[], Any]) -> Any:
    """An answer, or None for what this driver or this card has no answer to."""
    try:
        return ask()
    except (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_NoPermission,
    ):
        return None


def _text(value: str | bytes) -> str:
    """The binding's strings, with nothing in them that would disturb a line."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(letter if letter.isprintable() else "?" for letter in text)
