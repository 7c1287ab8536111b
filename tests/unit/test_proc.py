"""What tells a process from its later namesake."""

import os

from tallystick import proc


def test_a_pid_is_told_from_its_namesake() -> None:
    assert (proc.start_ticks(os.getpid()) or 0) > 0
    assert proc.start_ticks(2**22 + 1) is None
    assert proc.stat_fields(2**22 + 1) is None


def test_the_boot_has_one_id() -> None:
    assert len(proc.boot_id()) == 36
    assert proc.boot_id() == proc.boot_id()
