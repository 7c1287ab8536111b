"""How many cards the kernel has a driver for, and what a host without NVML says."""

from pathlib import Path

from tallystick.execution.nvml import driver_cards


def test_cards_are_counted_by_the_drivers_directory(tmp_path: Path) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / name).mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert driver_cards(tmp_path) == 2


def test_else_by_device_files(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    assert driver_cards(tmp_path) == 3
    assert driver_cards(tmp_path / "none") == 0
