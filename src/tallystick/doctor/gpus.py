"""Checks of the GPUs: what the driver says of them, and who else uses them."""

import os
from collections import Counter
from pathlib import Path
from typing import Final

from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.doctor.place import Place
from tallystick.domain.capacity import Device
from tallystick.errors import InvalidError
from tallystick.execution import processes
from tallystick.execution.devices import Devices, Owner, leased_to
from tallystick.execution.nvml import LIBRARY, Nvml, driver_cards

_NAME: Final = "gpus"
_NO_LIBRARY: Final = (
    "install the libraries of the same driver; in a container: "
    "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility"
)
_BROKEN: Final = "nvidia-smi   (it says the same; after an update of the driver: reboot)"


def gpus(place: Place) -> Finding:
    """The GPUs that may be handed out; a driver without an answer, and strangers, are told."""
    return looked_at(place, Nvml())


def looked_at(place: Place, nvml: Nvml) -> Finding:
    """The same, of what this library says."""
    choice = place.settings.execution.gpus
    try:
        devices = Devices(
            choice,
            whose=lambda pid: _owner(place.runs_dir, pid),
            nvml=nvml,
            tell=lambda _line: None,  # it stands in the finding
        )
    except InvalidError as error:
        return fail(_NAME, error.detail, str(error.hint))
    found, trouble = devices.look(), devices.trouble
    devices.close()
    cards = driver_cards(place.proc.parent)
    if not found and trouble:
        said = "; ".join(trouble)
        if cards:
            return warn(_NAME, f"the kernel has {cards}, and none is handed out: {said}", _BROKEN)
        return ok(_NAME, f"none (the driver: {said})")
    if not found and cards and choice != "none":
        said = f"the kernel has {cards}, and {LIBRARY} is missing: none is handed out"
        return warn(_NAME, said, _NO_LIBRARY)
    return _told(found, trouble, choice)


def _told(found: tuple[Device, ...], trouble: tuple[str, ...], choice: str | None) -> Finding:
    """What there is, and what keeps some of it from being used."""
    kinds = Counter(device.name for device in found)
    what = ", ".join(f"{count} x {name}" for name, count in kinds.items()) or "none"
    if choice is not None:
        what += f" (execution.gpus: {choice})"
    if trouble:
        return warn(_NAME, f"{what}; {'; '.join(trouble)}", "nvidia-smi -L   (lists what is there)")
    held = [device for device in found if device.held_by]
    if held:
        said = "; ".join(f"GPU {device.index} is held by {device.held_by}" for device in held)
        free = ",".join(str(device.index) for device in found if not device.held_by)
        return warn(
            _NAME,
            f"{what}; {said}",
            f"runs wait until that has ended; or: TALLY_EXECUTION_GPUS={free or 'none'} tally up",
        )
    return ok(_NAME, what)


def _owner(runs_dir: Path, pid: int) -> Owner | None:
    """Which attempt below `runs_dir` a process belongs to, by what its environment says."""
    for process in processes.line_of(pid):
        directory = Path(os.fsdecode(process.directory))
        if process.directory and directory.is_relative_to(runs_dir.resolve()):
            return Owner(directory.name, leased_to(directory))
    return None
