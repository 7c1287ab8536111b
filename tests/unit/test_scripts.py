"""What is read of a script, by the guard, by lint and by the server."""

import os
from pathlib import Path

from tallystick.scripts import MOST_BYTES, read_script
from tallystick.shell.verdicts import MOST_SCRIPT_BYTES


def test_only_the_beginning_of_a_plain_file_is_a_script(tmp_path: Path) -> None:
    plain, pipe = tmp_path / "t.py", tmp_path / "pipe"
    plain.write_bytes(b"x" * (MOST_BYTES + 5))
    os.mkfifo(pipe)
    assert read_script(str(plain)) == b"x" * MOST_BYTES
    for other in (pipe, tmp_path, tmp_path / "absent", "/dev/zero", "a\0b"):
        assert read_script(str(other)) is None, other


def test_as_much_is_read_as_is_looked_at() -> None:
    assert MOST_BYTES == MOST_SCRIPT_BYTES
